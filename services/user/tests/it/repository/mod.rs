//! Contract of the repository, checked on every adapter.

mod sqlite;
mod suite;

use gantry_common_testing::repository::{self, NOW};
use gantry_contract::idempotency::RequestKey;
use gantry_user::{
    application::{NewUser, RefreshGrant},
    domain::{Email, Name, PasswordHash, Role, User, UserId},
};
use time::Duration;
use uuid::Uuid;

const CREATE: &str = "/shop.user.v1.UserService/CreateUser";

fn id(number: u128) -> UserId {
    UserId(Uuid::from_u128(number))
}

fn email(text: &str) -> Email {
    Email::try_new(text).unwrap()
}

/// User with this id and this address.
fn user(number: u128, address: &str) -> User {
    let name = Name::try_new("Ünïcode 🦀 'quoted'; -- x").unwrap();
    User::new(id(number), email(address), name, Role::User, NOW)
}

/// Creation of that user without a request, so that it cannot be repeated.
fn new(number: u128, address: &str) -> NewUser {
    NewUser {
        user: user(number, address),
        password_hash: PasswordHash::new(format!("hash of {number}")),
        request: None,
    }
}

/// Creation of that user by a request.
fn requested(number: u128, address: &str, request: RequestKey) -> NewUser {
    NewUser { request: Some(request), ..new(number, address) }
}

/// Request with this id and this body.
fn request(id: u128, body: u8) -> RequestKey {
    repository::request(CREATE, id, body)
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
