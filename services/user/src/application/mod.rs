//! Use cases of the users, one per file, and their ports.
//!
//! A use case decides, and a port writes its decision as a whole or not at all. The server has
//! authorized the caller. Time, ids and secrets come through ports.

mod create_user;
mod ensure_admin;
mod error;
mod get_user;
mod list_users;
mod login;
mod ports;

use std::{sync::Arc, time::Duration};

use gantry_contract::{Clock, Ids};

pub use create_user::{CreateUser, Registration};
pub use ensure_admin::{EnsureAdmin, EnsureAdminError};
pub use error::UserError;
pub use get_user::GetUser;
pub use list_users::ListUsers;
pub use login::{Login, Session};
pub use ports::{
    AccessToken, Account, Created, NewUser, PasswordHasher, RefreshGrant, RefreshToken,
    RefreshTokens, Token, TokenIssuer, UserRepository,
};

/// Use cases of the service. Clones share everything.
#[derive(Clone, Debug)]
pub struct UseCases {
    /// CreateUser.
    pub create_user: CreateUser,
    /// GetUser.
    pub get_user: GetUser,
    /// ListUsers.
    pub list_users: ListUsers,
    /// Login.
    pub login: Login,
}

/// Ports of the use cases.
#[derive(Clone, Debug)]
pub struct Ports {
    /// Users and their password hashes.
    pub users: Arc<dyn UserRepository>,
    /// Refresh tokens.
    pub refresh_tokens: Arc<dyn RefreshTokens>,
    /// Password hasher.
    pub hasher: Arc<dyn PasswordHasher>,
    /// Issuer of tokens.
    pub tokens: Arc<dyn TokenIssuer>,
    /// Clock.
    pub clock: Arc<dyn Clock>,
    /// Source of ids.
    pub ids: Arc<dyn Ids>,
}

impl UseCases {
    /// Creates the use cases. A refresh token is valid for `refresh_ttl`.
    pub fn new(ports: Ports, refresh_ttl: Duration) -> Self {
        let Ports { users, refresh_tokens, hasher, tokens, clock, ids } = ports;
        Self {
            create_user: CreateUser {
                users: users.clone(),
                hasher: hasher.clone(),
                clock: clock.clone(),
                ids: ids.clone(),
            },
            get_user: GetUser { users: users.clone() },
            list_users: ListUsers { users: users.clone() },
            login: Login { users, refresh_tokens, hasher, tokens, clock, ids, refresh_ttl },
        }
    }
}
