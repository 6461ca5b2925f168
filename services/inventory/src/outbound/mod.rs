//! The ports of the application, on what is really there.

mod keys;
pub mod sqlite;

pub use self::keys::users_keys;
