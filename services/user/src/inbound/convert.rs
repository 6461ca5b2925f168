//! Conversion between the contract's messages and the application's types.
//!
//! The server has checked the contract's own rules. The rules of the domain are checked here, and
//! reported the same way: as violations of fields.

use gantry_common::timestamp;
use gantry_contract::{Violations, idempotency::RequestKey, ids};
use gantry_identity::{Jwk, PublicKey};
use gantry_proto::shop::user::v1 as contract;

use crate::{
    application::{Registration, Session},
    domain::{Email, Invalid, Name, Password, Status, Tier, User, UserId},
};

/// Returns the key in the published form.
pub(super) fn jwk(key: &PublicKey) -> contract::Jwk {
    let Jwk { kty, crv, x, kid, alg } = key.into();
    contract::Jwk { kty, crv, x, kid, alg, r#use: "sig".to_owned() }
}

/// Parses the command. The error lists every violation of the request.
pub(super) fn registration(
    request: contract::CreateUserRequest,
    key: RequestKey,
) -> Result<Registration, Violations> {
    let contract::CreateUserRequest { email, name, password, request_id: _ } = request;
    let mut violations = Violations::default();
    let email = violations.note(Email::try_new(&email));
    let name = violations.note(Name::try_new(&name));
    let password = violations.note(Password::try_new(&password));
    match (email, name, password) {
        (Some(email), Some(name), Some(password)) => {
            Ok(Registration { email, name, password, request: key })
        }
        _ => Err(violations),
    }
}

impl From<Invalid> for Violations {
    fn from(invalid: Invalid) -> Self {
        Self::one(invalid.field, invalid.rule)
    }
}

pub(super) fn user_id(id: &str) -> Result<UserId, Violations> {
    ids::uuid("id", id).map(UserId)
}

pub(super) fn user(user: &User) -> contract::User {
    contract::User {
        id: user.id.to_string(),
        email: user.email.as_str().to_owned(),
        name: user.name.as_str().to_owned(),
        status: status(user.status).into(),
        tier: tier(user.tier).into(),
        roles: user.roles.iter().map(|role| role.as_str().to_owned()).collect(),
        etag: user.etag(),
        create_time: Some(timestamp(user.create_time)),
        update_time: Some(timestamp(user.update_time)),
    }
}

pub(super) fn token_pair(session: &Session) -> contract::TokenPair {
    contract::TokenPair {
        access_token: session.access.token.expose().to_owned(),
        refresh_token: session.refresh.expose().to_owned(),
        expires_in: i32::try_from(session.access.expires_in.as_secs()).unwrap_or(i32::MAX),
    }
}

fn status(status: Status) -> contract::UserStatus {
    match status {
        Status::Active => contract::UserStatus::Active,
        Status::Pending => contract::UserStatus::Pending,
        Status::Deactivated => contract::UserStatus::Deactivated,
        Status::Deleted => contract::UserStatus::Deleted,
    }
}

fn tier(tier: Tier) -> contract::Tier {
    match tier {
        Tier::Regular => contract::Tier::Regular,
        Tier::Premium => contract::Tier::Premium,
        Tier::Vip => contract::Tier::Vip,
    }
}
