//! Logging in, seen from the ports.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use gantry_contract::idempotency::RequestKey;
use gantry_user::{
    application::{
        AccessToken, Account, Clock, Created, Ids, Login, NewUser, PasswordHasher, RefreshGrant,
        RefreshToken, RefreshTokens, Token, TokenIssuer, UserError, UserRepository,
    },
    domain::{Attempt, Email, Name, Password, PasswordHash, Role, Status, User, UserId},
};
use time::{Duration, OffsetDateTime, macros::datetime};
use uuid::Uuid;

const NOW: OffsetDateTime = datetime!(2026-01-02 03:04:05 UTC);
const FAMILY: Uuid = Uuid::from_u128(7);

/// The world with one user in it, noting what it is asked.
struct World {
    ann: User,
    verified: Mutex<Vec<Option<PasswordHash>>>,
    granted: Mutex<Vec<RefreshGrant>>,
}

impl World {
    fn new(status: Status) -> Arc<Self> {
        let (email, name) = (Email::try_new("ann@example.org"), Name::try_new("Ann"));
        let ann = User::new(UserId(Uuid::nil()), email.unwrap(), name.unwrap(), Role::User, NOW);
        let ann = User { status, ..ann };
        Arc::new(Self { ann, verified: Mutex::default(), granted: Mutex::default() })
    }

    fn login(self: &Arc<Self>) -> Login {
        let world = || Arc::clone(self);
        Login {
            users: world(),
            refresh_tokens: world(),
            hasher: world(),
            tokens: world(),
            clock: world(),
            ids: world(),
            refresh_ttl: std::time::Duration::from_secs(60),
        }
    }
}

#[async_trait]
impl UserRepository for World {
    async fn create(&self, _: NewUser) -> Result<Created, UserError> {
        unreachable!()
    }

    async fn created_by(&self, _: &RequestKey) -> Result<Option<UserId>, UserError> {
        unreachable!()
    }

    async fn find(&self, _: UserId) -> Result<Option<User>, UserError> {
        unreachable!()
    }

    async fn find_account(&self, email: &Email) -> Result<Option<Account>, UserError> {
        let user = (*email == self.ann.email).then(|| self.ann.clone());
        Ok(user.map(|user| Account { user, password_hash: PasswordHash::new("right") }))
    }

    async fn list(
        &self,
        _: Option<UserId>,
        _: Option<UserId>,
        _: u32,
    ) -> Result<Vec<User>, UserError> {
        unreachable!()
    }

    async fn count(&self, _: Option<UserId>, _: u32) -> Result<u32, UserError> {
        unreachable!()
    }
}

#[async_trait]
impl RefreshTokens for World {
    async fn add(&self, grant: RefreshGrant) -> Result<(), UserError> {
        self.granted.lock().unwrap().push(grant);
        Ok(())
    }
}

#[async_trait]
impl PasswordHasher for World {
    async fn hash(&self, _: Password) -> Result<PasswordHash, UserError> {
        unreachable!()
    }

    async fn verify(
        &self,
        attempt: Attempt,
        hash: Option<PasswordHash>,
    ) -> Result<bool, UserError> {
        self.verified.lock().unwrap().push(hash.clone());
        Ok(hash.is_some_and(|hash| hash.as_str() == attempt.expose()))
    }
}

impl TokenIssuer for World {
    fn access_token(&self, user: &User, now: OffsetDateTime) -> AccessToken {
        let token = Token::new(format!("{} {}", user.id, now.unix_timestamp()));
        AccessToken { token, expires_in: std::time::Duration::from_secs(30) }
    }

    fn refresh_token(&self) -> RefreshToken {
        RefreshToken { token: Token::new("refresh"), hash: [9; 32] }
    }
}

impl Clock for World {
    fn now(&self) -> OffsetDateTime {
        NOW
    }
}

impl Ids for World {
    fn next(&self) -> Uuid {
        FAMILY
    }
}

#[tokio::test]
async fn every_attempt_goes_through_the_hasher() {
    let world = World::new(Status::Active);
    let somebodys = Some(PasswordHash::new("right"));
    for (email, hash) in [
        ("ann@example.org", &somebodys),
        ("bob@example.org", &None),
        ("no address", &None),
        ("", &None),
    ] {
        let refused = world.login().run(email, Attempt::new("wrong")).await;
        assert!(matches!(refused, Err(UserError::BadCredentials)), "{email}: {refused:?}");
        let verified: Vec<_> = world.verified.lock().unwrap().drain(..).collect();
        assert_eq!(&verified[..], std::slice::from_ref(hash));
    }
    assert!(world.granted.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_login_begins_a_family_of_refresh_tokens() {
    let world = World::new(Status::Active);
    let session = world.login().run(" ANN@example.org", Attempt::new("right")).await.unwrap();
    assert_eq!(session.refresh.expose(), "refresh");
    assert_eq!(session.access.token.expose(), format!("{} {}", Uuid::nil(), NOW.unix_timestamp()));
    let granted = world.granted.lock().unwrap();
    let [grant] = &granted[..] else { panic!("{granted:?}") };
    assert_eq!((grant.hash, grant.family, grant.user), ([9; 32], FAMILY, world.ann.id));
    assert_eq!((grant.issued_at, grant.expires_at), (NOW, NOW + Duration::seconds(60)));
}

#[tokio::test]
async fn only_who_knows_the_password_learns_that_the_user_is_not_active() {
    for status in [Status::Pending, Status::Deactivated, Status::Deleted] {
        let world = World::new(status);
        let login = world.login();
        let right = login.run("ann@example.org", Attempt::new("right")).await;
        assert!(matches!(right, Err(UserError::NotActive(_))), "{status:?}: {right:?}");
        let wrong = login.run("ann@example.org", Attempt::new("wrong")).await;
        assert!(matches!(wrong, Err(UserError::BadCredentials)), "{status:?}: {wrong:?}");
        assert!(world.granted.lock().unwrap().is_empty());
    }
}
