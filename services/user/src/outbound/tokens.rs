//! Signed access tokens and random refresh tokens.

use std::{collections::BTreeSet, fmt, path::PathBuf, time::Duration};

use aws_lc_rs::{
    digest::{SHA256, digest},
    rand::{SecureRandom, SystemRandom},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use gantry_config::{Check, Problems};
use gantry_contract::Contract;
use gantry_identity::{KeyError, PublicKey, SigningKey, UserClaims, UserSigner};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::{
    application::{AccessToken, RefreshToken, Token, TokenIssuer},
    domain::User,
};

/// Random bytes in a refresh token. Too many to guess, so that storing a fast hash is safe.
const REFRESH_BYTES: usize = 32;

/// Keys and lifetimes of user tokens.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenSettings {
    /// Private key that signs access tokens, PKCS#8 PEM.
    pub key_file: PathBuf,
    /// Further published public keys, SubjectPublicKeyInfo PEM: the next signing key, the previous one.
    #[serde(default)]
    pub published_key_files: Vec<PathBuf>,
    /// Lifetime of an access token.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub access_ttl: Duration,
    /// Lifetime of a refresh token; at least that of an access token.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub refresh_ttl: Duration,
}

impl TokenSettings {
    /// Returns the published keys, each once: the signing key first.
    ///
    /// # Errors
    /// [`KeyError`] if a file cannot be read.
    pub fn published_keys(&self) -> Result<Vec<PublicKey>, KeyError> {
        let signing = SigningKey::load(&self.key_file)?.public();
        let others = self.published_key_files.iter().map(|path| PublicKey::load(path));
        let mut keys = [Ok(signing)].into_iter().chain(others).collect::<Result<Vec<_>, _>>()?;
        // All replicas may list the same file before and after its key begins to sign.
        let mut seen = BTreeSet::new();
        keys.retain(|key| seen.insert(key.key_id().to_owned()));
        Ok(keys)
    }
}

impl Check for TokenSettings {
    fn check(&self, problems: &mut Problems) {
        if self.key_file.as_os_str().is_empty() {
            problems.expected("key_file", "a file");
        }
        if self.refresh_ttl < self.access_ttl {
            problems.expected("refresh_ttl", "at least access_ttl");
        }
    }
}

/// Issuer of both kinds of token.
pub struct Tokens {
    signer: UserSigner,
    contract: &'static Contract,
    random: SystemRandom,
}

impl Tokens {
    /// Creates the issuer. `contract` has the permissions of each role.
    ///
    /// # Errors
    /// [`KeyError`] if the signing key cannot be read.
    pub fn open(settings: &TokenSettings, contract: &'static Contract) -> Result<Self, KeyError> {
        let signer = UserSigner::new(SigningKey::load(&settings.key_file)?, settings.access_ttl);
        Ok(Self { signer, contract, random: SystemRandom::new() })
    }

    /// Returns the permissions of the user's roles, those on own data included.
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
            reason = "fails only if the system has no randomness; then nothing is secure"
        )]
        self.random.fill(&mut secret).expect("the system has randomness");
        let token = URL_SAFE_NO_PAD.encode(secret);
        RefreshToken { hash: sha256(&token), token: Token::new(token) }
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").field("signer", &self.signer).finish_non_exhaustive()
    }
}

/// Returns the stored form of a refresh token.
fn sha256(token: &str) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
    hash
}
