//! What the use cases need of the world.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use gantry_contract::idempotency::RequestKey;
use gantry_sql::StorageError;
use time::OffsetDateTime;
use uuid::Uuid;

use super::UserError;
use crate::domain::{Attempt, Email, Password, PasswordHash, User, UserId};

/// Keeps the users.
///
/// # Errors
/// Besides those named: [`StorageError`].
#[async_trait]
pub trait UserRepository: fmt::Debug + Send + Sync {
    /// Writes a user, their password and the record of the request in one unit;
    /// or nothing, where an equal request did so before.
    ///
    /// # Errors
    /// [`UserError::RequestIdReused`] and, looked at after it, [`UserError::EmailTaken`].
    async fn create(&self, new: NewUser) -> Result<Created, UserError>;

    /// The user whom an equal request created.
    ///
    /// # Errors
    /// [`UserError::RequestIdReused`].
    async fn created_by(&self, request: &RequestKey) -> Result<Option<UserId>, UserError>;

    /// The user with this id.
    async fn find(&self, id: UserId) -> Result<Option<User>, StorageError>;

    /// The user with this address, and the hash of their password.
    async fn find_account(&self, email: &Email) -> Result<Option<Account>, StorageError>;

    /// Users in the order of their ids, from after `after` on: at most `limit` of
    /// them, of all or only this one.
    async fn list(
        &self,
        only: Option<UserId>,
        after: Option<UserId>,
        limit: u32,
    ) -> Result<Vec<User>, StorageError>;

    /// How many users there are; `most` stands for that many or more.
    async fn count(&self, only: Option<UserId>, most: u32) -> Result<u32, StorageError>;
}

/// Keeps the refresh tokens that are valid.
#[async_trait]
pub trait RefreshTokens: fmt::Debug + Send + Sync {
    /// Writes a token that was given out.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn add(&self, grant: RefreshGrant) -> Result<(), StorageError>;
}

/// Hashes passwords. Slow on purpose, and bounded in how many it hashes at a time.
///
/// # Errors
/// [`UserError::Overloaded`] where too many wait, [`UserError::Failed`] where a hash cannot
/// be made or read.
#[async_trait]
pub trait PasswordHasher: fmt::Debug + Send + Sync {
    /// The hash to keep.
    async fn hash(&self, password: Password) -> Result<PasswordHash, UserError>;

    /// Whether the attempt is the password that was hashed. Without a hash, because
    /// there is no such user, it never is, and saying so takes as long.
    async fn verify(&self, attempt: Attempt, hash: Option<PasswordHash>)
    -> Result<bool, UserError>;
}

/// Makes tokens.
pub trait TokenIssuer: fmt::Debug + Send + Sync {
    /// What the user calls with, from `now` on.
    fn access_token(&self, user: &User, now: OffsetDateTime) -> AccessToken;

    /// What the user gets a new access token with: a secret nobody can guess.
    fn refresh_token(&self) -> RefreshToken;
}

/// What is written when a user is created.
#[derive(Clone, Debug)]
pub struct NewUser {
    /// The user.
    pub user: User,
    /// Of their password.
    pub password_hash: PasswordHash,
    /// The request that asks for it; none where nobody can repeat it.
    pub request: Option<RequestKey>,
}

/// What became of a [`NewUser`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Created {
    /// It was written.
    Now,
    /// Nothing was written: an equal request had created this user.
    Before(UserId),
}

/// A user and what proves that somebody is that user.
#[derive(Clone, Debug)]
pub struct Account {
    /// The user.
    pub user: User,
    /// Of their password.
    pub password_hash: PasswordHash,
}

/// A secret that is sent to its owner and seen by nobody else.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// Hides `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, to be sent to its owner.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(redacted)")
    }
}

/// What a user calls with.
#[derive(Clone, Debug)]
pub struct AccessToken {
    /// The token.
    pub token: Token,
    /// How long it is valid.
    pub expires_in: Duration,
}

/// A new refresh token.
#[derive(Clone, Debug)]
pub struct RefreshToken {
    /// What the user keeps.
    pub token: Token,
    /// Its SHA-256, which is what the service keeps.
    pub hash: [u8; 32],
}

/// A refresh token as it is kept.
#[derive(Clone, Debug)]
pub struct RefreshGrant {
    /// The SHA-256 of the token.
    pub hash: [u8; 32],
    /// What it shares with the tokens it is exchanged for, and with them alone: one
    /// login is one family.
    pub family: Uuid,
    /// Whose it is.
    pub user: UserId,
    /// When it was given out.
    pub create_time: OffsetDateTime,
    /// When it ceases to be valid.
    pub expire_time: OffsetDateTime,
}
