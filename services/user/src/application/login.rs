//! Log in.

use std::{sync::Arc, time::Duration};

use gantry_contract::{Clock, Ids};

use super::{
    AccessToken, PasswordHasher, RefreshGrant, RefreshTokens, Token, TokenIssuer, UserError,
    UserRepository,
};
use crate::domain::{Attempt, Email, PasswordHash};

/// Exchanges an address and a password for tokens.
///
/// Whether an address is known must not be learned here: an unknown one, or one
/// that cannot exist, goes through the hasher like a wrong password, and is
/// answered alike.
#[derive(Clone, Debug)]
pub struct Login {
    /// Where users are kept.
    pub users: Arc<dyn UserRepository>,
    /// Where refresh tokens are kept.
    pub refresh_tokens: Arc<dyn RefreshTokens>,
    /// Tells whether the password is right.
    pub hasher: Arc<dyn PasswordHasher>,
    /// Makes the tokens.
    pub tokens: Arc<dyn TokenIssuer>,
    /// Tells from when on the tokens are valid.
    pub clock: Arc<dyn Clock>,
    /// Gives the login an id: its family of refresh tokens.
    pub ids: Arc<dyn Ids>,
    /// How long a refresh token is valid.
    pub refresh_ttl: Duration,
}

/// What a user has once logged in.
#[derive(Clone, Debug)]
pub struct Session {
    /// What they call with.
    pub access: AccessToken,
    /// What they get the next access token with.
    pub refresh: Token,
}

impl Login {
    /// Logs a user in.
    ///
    /// # Errors
    /// [`UserError::BadCredentials`]; [`UserError::NotActive`], told only to who knows the
    /// password; those of the ports.
    pub async fn run(&self, email: &str, attempt: Attempt) -> Result<Session, UserError> {
        let account = match Email::try_new(email) {
            Ok(email) => self.users.find_account(&email).await?,
            Err(_nobodys) => None,
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
