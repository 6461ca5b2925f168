//! What the shop's services share, and nobody else needs: it names the shop's contract.
//!
//! - [`USERS_KEYS`]: the keys of users' tokens, fetched from the user service;
//! - [`timestamp`], [`amount`], [`money`]: values that stand in several packages of the contract.
//!
//! What other teams can use as well belongs into `shared/`.

mod convert;
mod users_keys;

pub use convert::{amount, money, timestamp};
pub use users_keys::USERS_KEYS;
