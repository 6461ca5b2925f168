//! Users and their rules: no I/O, no clock, no new ids.
//!
//! Constructors (`try_new`) check values, so that an invalid value cannot exist. `Debug` hides
//! personal and secret values (address, name, password, hash), so that log lines and errors do not
//! show them.

mod email;
mod name;
mod password;
mod role;
mod text;
mod user;

pub use email::Email;
pub use name::Name;
pub use password::{Password, PasswordAttempt, PasswordHash};
pub use role::Role;
pub use user::{Status, Tier, User, UserId};

/// Violation of a rule. Does not contain the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} {rule}")]
pub struct Invalid {
    /// Name of the field: `email`.
    pub field: &'static str,
    /// Broken rule: `must be an e-mail address`.
    pub rule: &'static str,
}
