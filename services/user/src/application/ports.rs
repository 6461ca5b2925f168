//! Ports of the use cases.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use gantry_contract::{
    idempotency::RequestKey,
    page::{Page, PageRequest},
};
use gantry_sql::StorageError;
use time::OffsetDateTime;
use uuid::Uuid;

use super::UserError;
use crate::domain::{Email, Password, PasswordAttempt, PasswordHash, User, UserId};

/// Users, their password hashes and the requests that created them.
///
/// # Errors
/// Every method may also fail with a [`StorageError`].
#[async_trait]
pub trait UserRepository: fmt::Debug + Send + Sync {
    /// Writes a user, their password hash and the record of the request in one unit. Writes nothing
    /// if an equal request did so before.
    ///
    /// # Errors
    /// [`UserError::RequestIdReused`], checked first; [`UserError::EmailTaken`].
    async fn create(&self, new: NewUser) -> Result<Created, UserError>;

    /// Returns the user that an equal request created.
    ///
    /// # Errors
    /// [`UserError::RequestIdReused`].
    async fn created_by(&self, request: &RequestKey) -> Result<Option<UserId>, UserError>;

    /// Returns the user with this id.
    async fn find(&self, id: UserId) -> Result<Option<User>, StorageError>;

    /// Returns the user with this address, and the hash of their password.
    async fn find_account(&self, email: &Email) -> Result<Option<Account>, StorageError>;

    /// Returns one page of the users, oldest first: of all users, or of this one only. The page's key
    /// is the user's id.
    async fn list(
        &self,
        only: Option<UserId>,
        page: &PageRequest,
    ) -> Result<Page<User>, StorageError>;
}

/// Refresh tokens that were issued.
#[async_trait]
pub trait RefreshTokens: fmt::Debug + Send + Sync {
    /// Writes an issued token.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn add(&self, grant: RefreshGrant) -> Result<(), StorageError>;
}

/// Hasher of passwords. Slow on purpose, with bounds on the hashes that run and wait.
///
/// # Errors
/// [`UserError::Overloaded`] if too many wait, [`UserError::Failed`] if a hash cannot be made or read.
#[async_trait]
pub trait PasswordHasher: fmt::Debug + Send + Sync {
    /// Returns the hash to keep.
    async fn hash(&self, password: Password) -> Result<PasswordHash, UserError>;

    /// Returns true if the attempt is the hashed password. Without a hash, because the user is unknown,
    /// it returns false and takes as long.
    async fn verify(
        &self,
        attempt: PasswordAttempt,
        hash: Option<PasswordHash>,
    ) -> Result<bool, UserError>;
}

/// Issuer of tokens.
pub trait TokenIssuer: fmt::Debug + Send + Sync {
    /// Issues an access token, valid from `now`.
    fn access_token(&self, user: &User, now: OffsetDateTime) -> AccessToken;

    /// Issues a refresh token, which cannot be guessed.
    fn refresh_token(&self) -> RefreshToken;
}

/// User to be written.
#[derive(Clone, Debug)]
pub struct NewUser {
    /// The user.
    pub user: User,
    /// Hash of their password.
    pub password_hash: PasswordHash,
    /// Request to record. None if the creation cannot be repeated.
    pub request: Option<RequestKey>,
}

/// Outcome of writing a [`NewUser`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Created {
    /// The user was written.
    Now,
    /// Nothing was written: an equal request created this user before.
    Before(UserId),
}

/// User with the hash that proves a login.
#[derive(Clone, Debug)]
pub struct Account {
    /// The user.
    pub user: User,
    /// Hash of their password.
    pub password_hash: PasswordHash,
}

/// Secret for its owner alone. `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// Wraps a secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns the secret, to be sent to its owner.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(redacted)")
    }
}

/// Access token of a user.
#[derive(Clone, Debug)]
pub struct AccessToken {
    /// The token.
    pub token: Token,
    /// Lifetime.
    pub expires_in: Duration,
}

/// New refresh token.
#[derive(Clone, Debug)]
pub struct RefreshToken {
    /// The token, for the user.
    pub token: Token,
    /// SHA-256 of the token, for the service.
    pub hash: [u8; 32],
}

/// Stored form of a refresh token.
#[derive(Clone, Debug)]
pub struct RefreshGrant {
    /// SHA-256 of the token.
    pub hash: [u8; 32],
    /// Family: the tokens of one login, each exchanged for the next.
    pub family: Uuid,
    /// Owner.
    pub user: UserId,
    /// Time of issue.
    pub create_time: OffsetDateTime,
    /// Time of expiry.
    pub expire_time: OffsetDateTime,
}
