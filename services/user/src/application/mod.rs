//! Use cases of the users, one a file, and the ports they need.
//!
//! A use case decides. It hands all of its writes to a port as one unit, which is written whole or not
//! at all. Time, ids and secrets come through ports too: nothing here depends on when or where it runs.

mod create_user;
mod ensure_admin;
mod error;
mod get_user;
mod list_users;
mod login;
mod ports;

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
