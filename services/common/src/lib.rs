//! Code that the shop's services share and that depends on the shop's contract.
//!
//! - [`USERS_KEYS`]: the keys of users' tokens, fetched from the user service;
//! - [`timestamp`], [`amount`], [`money`]: conversions of values that several packages of the contract have;
//! - [`page_by_id`]: check of the page of a list that is sorted by id;
//! - [`internal`]: a failure whose cause is logged and not sent.
//!
//! Code without the shop's contract belongs in `shared/`, where other teams can use it.

mod convert;
mod failure;
mod users_keys;

pub use convert::{amount, money, page_by_id, timestamp};
pub use failure::internal;
pub use users_keys::USERS_KEYS;
