//! What the inventory is, apart from how it is kept and who asks.
//!
//! A [`Product`] has a [`Sku`], a price and a [`Stock`]: how many can be reserved, are
//! reserved, and are sold. A [`Reservation`] takes [`Items`] aside and ends as a sale or
//! back on the shelf. [`decide`] is every rule between the two, in one place: the
//! adapters load, ask it, and store what it says, within one transaction.
//!
//! Rules:
//! - no count is ever negative, and reserving, committing and releasing never change
//!   available + reserved + sold;
//! - a reservation is made of all of its items or not at all;
//! - a reservation's id is unique for ever, and what ended stays ended.
//!
//! Sync and pure: no clock, no I/O, no ids made here.

mod decide;
mod items;
mod product;
mod reservation;
mod sku;
mod stock;

pub use decide::{Ask, Decision, Refusal, Shelf, Shortage, decide};
pub use items::{Items, ItemsError, Quantity, QuantityError};
pub use product::{Product, ProductError, ProductName};
pub use reservation::{Corrupt, Reservation, Status};
pub use sku::{Sku, SkuError};
pub use stock::{MAX_STOCK, Stock, StockError, Unbalanced};

#[cfg(test)]
mod tests;
