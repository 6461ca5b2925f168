//! What every adapter of the repository must do, run on each of them.

mod sqlite;
mod suite;

use gantry_contract::idempotency::RequestKey;
use gantry_user::{
    application::{NewUser, RefreshGrant},
    domain::{Email, Name, PasswordHash, Role, User, UserId},
};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

/// A moment as fine as is stored.
const NOW: OffsetDateTime = time::macros::datetime!(2026-01-02 03:04:05.678901 UTC);

const CREATE: &str = "/shop.user.v1.UserService/CreateUser";

/// Runs every test of the suite on the repository that `$open` opens; it returns what
/// must live as long as the repository, and the repository.
macro_rules! repository_contract {
    ($open:path: $($test:ident)*) => {
        $(
            #[tokio::test]
            async fn $test() {
                let (_alive, repository) = $open().await;
                $crate::repository::suite::$test(&repository).await;
            }
        )*
    };
}
use repository_contract;

fn id(number: u128) -> UserId {
    UserId(Uuid::from_u128(number))
}

fn email(text: &str) -> Email {
    Email::try_new(text).unwrap()
}

/// A user with this id and this address.
fn user(number: u128, address: &str) -> User {
    let name = Name::try_new("Ünïcode 🦀 'quoted'; -- x").unwrap();
    User::new(id(number), email(address), name, Role::User, NOW)
}

/// What creates that user, where nobody can repeat it.
fn new(number: u128, address: &str) -> NewUser {
    NewUser {
        user: user(number, address),
        password_hash: PasswordHash::new(format!("hash of {number}")),
        request: None,
    }
}

/// What creates that user for a request.
fn asked(number: u128, address: &str, request: RequestKey) -> NewUser {
    NewUser { request: Some(request), ..new(number, address) }
}

/// A request with this id and this body.
fn request(id: u128, body: u8) -> RequestKey {
    RequestKey {
        subject: "ann".to_owned(),
        method: CREATE,
        request_id: Uuid::from_u128(id),
        fingerprint: [body; 32],
    }
}

fn grant(hash: u8, user: UserId, valid_for: Duration) -> RefreshGrant {
    RefreshGrant {
        hash: [hash; 32],
        family: Uuid::from_u128(7),
        user,
        create_time: NOW,
        expire_time: NOW + valid_for,
    }
}
