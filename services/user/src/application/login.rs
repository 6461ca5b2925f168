//! Log in.

use std::{sync::Arc, time::Duration};

use gantry_contract::{Clock, Ids};

use super::{
    AccessToken, PasswordHasher, RefreshGrant, RefreshTokens, Token, TokenIssuer, UserError,
    UserRepository,
};
use crate::domain::{Email, PasswordAttempt, PasswordHash};

/// Exchanges an address and a password for tokens.
///
/// A caller cannot probe for addresses: an unknown or malformed address goes through the hasher like a
/// wrong password, and gets the same response.
#[derive(Clone, Debug)]
pub struct Login {
    /// Users and their password hashes.
    pub users: Arc<dyn UserRepository>,
    /// Refresh tokens.
    pub refresh_tokens: Arc<dyn RefreshTokens>,
    /// Hasher that verifies the password.
    pub hasher: Arc<dyn PasswordHasher>,
    /// Issuer of the tokens.
    pub tokens: Arc<dyn TokenIssuer>,
    /// Time from which the tokens are valid.
    pub clock: Arc<dyn Clock>,
    /// Source of the id of the login's family of refresh tokens.
    pub ids: Arc<dyn Ids>,
    /// Lifetime of a refresh token.
    pub refresh_ttl: Duration,
}

/// Tokens of a login.
#[derive(Clone, Debug)]
pub struct Session {
    /// Access token, for calls.
    pub access: AccessToken,
    /// Refresh token, to be exchanged for the next access token.
    pub refresh: Token,
}

impl Login {
    /// Logs a user in.
    ///
    /// # Errors
    /// [`UserError::BadCredentials`]; [`UserError::NotActive`], if the password is right; errors of the
    /// ports.
    pub async fn run(&self, email: &str, attempt: PasswordAttempt) -> Result<Session, UserError> {
        let account = match Email::try_new(email) {
            Ok(email) => self.users.find_account(&email).await?,
            Err(_malformed) => None,
        };
        let hash: Option<PasswordHash> = account.as_ref().map(|known| known.password_hash.clone());
        let right = self.hasher.verify(attempt, hash).await?;
        let Some(user) = account.filter(|_| right).map(|account| account.user) else {
            tracing::info!("login refused");
            return Err(UserError::BadCredentials);
        };
        if !user.is_active() {
            tracing::info!(user_id = %user.id, status = user.status.as_str(), "login refused");
            return Err(UserError::NotActive(user.id));
        }

        let now = self.clock.now();
        let refresh = self.tokens.refresh_token();
        self.refresh_tokens
            .add(RefreshGrant {
                hash: refresh.hash,
                family: self.ids.next(),
                user: user.id,
                create_time: now,
                expire_time: now + self.refresh_ttl,
            })
            .await?;
        tracing::info!(user_id = %user.id, "user logged in");
        Ok(Session { access: self.tokens.access_token(&user, now), refresh: refresh.token })
    }
}
