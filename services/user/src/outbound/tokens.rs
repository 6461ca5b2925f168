//! Access tokens signed by this service, and refresh tokens drawn at random.

use std::{collections::BTreeSet, fmt};

use aws_lc_rs::{
    digest::{SHA256, digest},
    rand::{SecureRandom, SystemRandom},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use gantry_contract::Contract;
use gantry_identity::{UserClaims, UserSigner};
use time::OffsetDateTime;

use crate::{
    application::{AccessToken, RefreshToken, Token, TokenIssuer},
    domain::User,
};

/// Random bytes in a refresh token: so many that it cannot be guessed, which is why
/// a fast hash of it may be kept.
const REFRESH_BYTES: usize = 32;

/// Makes both kinds of token.
pub struct Tokens {
    signer: UserSigner,
    contract: &'static Contract,
    random: SystemRandom,
}

impl Tokens {
    /// Signs with `signer`; what a user's roles amount to is read in `contract`.
    pub fn new(signer: UserSigner, contract: &'static Contract) -> Self {
        Self { signer, contract, random: SystemRandom::new() }
    }

    /// The permissions of the user's roles, on everything or on what is their own.
    fn permissions(&self, user: &User) -> Vec<String> {
        let roles = user.roles.iter().filter_map(|role| self.contract.role(role.as_str()));
        let held: BTreeSet<_> =
            roles.flat_map(|role| role.permissions.iter().chain(role.own)).collect();
        held.into_iter().map(|permission| (*permission).to_owned()).collect()
    }
}

impl TokenIssuer for Tokens {
    fn access_token(&self, user: &User, now: OffsetDateTime) -> AccessToken {
        let claims = UserClaims {
            sub: user.id.to_string(),
            email: user.email.as_str().to_owned(),
            roles: user.roles.iter().map(|role| role.as_str().to_owned()).collect(),
            permissions: self.permissions(user),
        };
        let signed = self.signer.token(&claims, now);
        AccessToken { token: Token::new(signed.token), expires_in: signed.expires_in }
    }

    fn refresh_token(&self) -> RefreshToken {
        let mut secret = [0; REFRESH_BYTES];
        #[expect(
            clippy::expect_used,
            reason = "fails only where the system gives no randomness, and then nothing is secure"
        )]
        self.random.fill(&mut secret).expect("the system gives randomness");
        let token = URL_SAFE_NO_PAD.encode(secret);
        RefreshToken { hash: sha256(&token), token: Token::new(token) }
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").field("signer", &self.signer).finish_non_exhaustive()
    }
}

/// What is kept of a refresh token.
fn sha256(token: &str) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
    hash
}
