//! Use cases on fake ports.

mod create_user;
mod login;

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;
use gantry_contract::{
    Clock, Ids,
    idempotency::RequestKey,
    page::{Page, PageRequest},
};
use gantry_sql::StorageError;
use gantry_user::{
    application::{
        AccessToken, Account, Created, NewUser, PasswordHasher, RefreshGrant, RefreshToken,
        RefreshTokens, Token, TokenIssuer, UserError, UserRepository,
    },
    domain::{Email, Name, Password, PasswordAttempt, PasswordHash, Role, Status, User, UserId},
};
use time::{OffsetDateTime, macros::datetime};
use uuid::Uuid;

const NOW: OffsetDateTime = datetime!(2026-01-02 03:04:05 UTC);
/// The only generated id.
const ID: Uuid = Uuid::from_u128(7);

/// All ports at once. They know one user and record their calls.
#[derive(Debug)]
struct Ports {
    ann: User,
    /// Request that created Ann.
    request: Option<RequestKey>,
    /// Number of hashed passwords.
    hashed: AtomicUsize,
    /// Hashes that passwords were verified against.
    verified: Mutex<Vec<Option<PasswordHash>>>,
    granted: Mutex<Vec<RefreshGrant>>,
}

impl Ports {
    fn new(status: Status, request: Option<RequestKey>) -> Arc<Self> {
        let (email, name) = (Email::try_new("ann@example.org"), Name::try_new("Ann"));
        let ann = User::new(UserId(Uuid::nil()), email.unwrap(), name.unwrap(), Role::User, NOW);
        let ann = User { status, ..ann };
        Arc::new(Self {
            ann,
            request,
            hashed: AtomicUsize::new(0),
            verified: Mutex::default(),
            granted: Mutex::default(),
        })
    }
}

#[async_trait]
impl UserRepository for Ports {
    async fn create(&self, _: NewUser) -> Result<Created, UserError> {
        Ok(Created::Now)
    }

    async fn created_by(&self, request: &RequestKey) -> Result<Option<UserId>, UserError> {
        Ok((self.request.as_ref() == Some(request)).then_some(self.ann.id))
    }

    async fn find(&self, id: UserId) -> Result<Option<User>, StorageError> {
        Ok((id == self.ann.id).then(|| self.ann.clone()))
    }

    async fn find_account(&self, email: &Email) -> Result<Option<Account>, StorageError> {
        let user = (*email == self.ann.email).then(|| self.ann.clone());
        Ok(user.map(|user| Account { user, password_hash: PasswordHash::new("right") }))
    }

    async fn list(&self, _: Option<UserId>, _: &PageRequest) -> Result<Page<User>, StorageError> {
        unreachable!()
    }
}

#[async_trait]
impl RefreshTokens for Ports {
    async fn add(&self, grant: RefreshGrant) -> Result<(), StorageError> {
        self.granted.lock().unwrap().push(grant);
        Ok(())
    }
}

#[async_trait]
impl PasswordHasher for Ports {
    async fn hash(&self, password: Password) -> Result<PasswordHash, UserError> {
        self.hashed.fetch_add(1, Ordering::Relaxed);
        Ok(PasswordHash::new(password.expose()))
    }

    async fn verify(
        &self,
        attempt: PasswordAttempt,
        hash: Option<PasswordHash>,
    ) -> Result<bool, UserError> {
        self.verified.lock().unwrap().push(hash.clone());
        Ok(hash.is_some_and(|hash| hash.as_str() == attempt.expose()))
    }
}

impl TokenIssuer for Ports {
    fn access_token(&self, user: &User, now: OffsetDateTime) -> AccessToken {
        let token = Token::new(format!("{} {}", user.id, now.unix_timestamp()));
        AccessToken { token, expires_in: std::time::Duration::from_secs(30) }
    }

    fn refresh_token(&self) -> RefreshToken {
        RefreshToken { token: Token::new("refresh"), hash: [9; 32] }
    }
}

impl Clock for Ports {
    fn now(&self) -> OffsetDateTime {
        NOW
    }
}

impl Ids for Ports {
    fn next(&self) -> Uuid {
        ID
    }
}
