//! Contract of the repository, checked on every adapter.

/// Declares the tests of the suite, on the repository that `$open` opens.
macro_rules! contract {
    ($open:path) => {
        gantry_common_testing::repository_contract! { super::suite, $open:
            a_user_reads_back_as_created
            an_unknown_user_is_not_found
            an_address_belongs_to_one_user_in_any_case
            a_repeated_request_creates_one_user
            a_request_id_stands_for_one_request
            concurrent_creations_of_an_address_have_one_winner
            concurrent_repetitions_create_one_user
            pages_neither_repeat_nor_skip
            a_list_can_be_limited_to_one_user
            a_refresh_token_is_unique_and_has_an_owner
        }
    };
}

mod postgres;
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
