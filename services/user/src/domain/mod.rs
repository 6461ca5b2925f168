//! What a user is, and the rules that hold for one. No I/O, no clock, no ids made here.
//!
//! Values are checked where they are made (`try_new`), so that an invalid one does
//! not exist. What is personal or secret (address, name, password, hash) hides
//! from `Debug`: a log line or an error that holds one shows nothing of it.

mod email;
mod name;
mod password;
mod role;
mod text;
mod user;

pub use email::Email;
pub use name::Name;
pub use password::{Attempt, Password, PasswordHash};
pub use role::Role;
pub use user::{Status, Tier, User, UserId};

/// A value that breaks a rule. Never holds the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} {rule}")]
pub struct Invalid {
    /// Whose value: `email`.
    pub field: &'static str,
    /// What it must be: `must be an e-mail address`.
    pub rule: &'static str,
}
