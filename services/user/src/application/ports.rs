//! Ports: needs of the use cases.

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

/// Valid refresh tokens.
#[async_trait]
pub trait RefreshTokens: fmt::Debug + Send + Sync {
    /// Writes an issued token.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn add(&self, grant: RefreshGrant) -> Result<(), StorageError>;
}

/// Hasher of passwords. Slow on purpose; only so many hashes run or wait at a time.
///
/// # Errors
/// [`UserError::Overloaded`] if too many wait, [`UserError::Failed`] if a hash cannot be made or read.
#[async_trait]
pub trait PasswordHasher: fmt::Debug + Send + Sync {
    /// Returns the hash to keep.
    async fn hash(&self, password: Password) -> Result<PasswordHash, UserError>;

    /// Returns whether the attempt is the hashed password. Without a hash (there is no such user) it
    /// returns false, and takes as long.
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

    /// Issues a refresh token: a secret that cannot be guessed.
    fn refresh_token(&self) -> RefreshToken;
}

/// User to be written.
#[derive(Clone, Debug)]
pub struct NewUser {
    /// The user.
    pub user: User,
    /// Hash of their password.
    pub password_hash: PasswordHash,
    /// Request that creates it; none if it cannot be repeated.
    pub request: Option<RequestKey>,
}

/// Outcome of writing a [`NewUser`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Created {
    /// It was written.
    Now,
    /// Nothing was written: an equal request had created this user.
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

/// Access token, with which a user calls.
#[derive(Clone, Debug)]
pub struct AccessToken {
    /// The token.
    pub token: Token,
    /// Lifetime.
    pub expires_in: Duration,
}

/// A new refresh token.
#[derive(Clone, Debug)]
pub struct RefreshToken {
    /// The token, for the user.
    pub token: Token,
    /// Its SHA-256, for the service.
    pub hash: [u8; 32],
}

/// A refresh token as it is kept.
#[derive(Clone, Debug)]
pub struct RefreshGrant {
    /// The SHA-256 of the token.
    pub hash: [u8; 32],
    /// Family, shared with the tokens it is exchanged for and with them alone: one login is one
    /// family.
    pub family: Uuid,
    /// Owner.
    pub user: UserId,
    /// Time of issue.
    pub create_time: OffsetDateTime,
    /// Time from which it is invalid.
    pub expire_time: OffsetDateTime,
}
