//! Products, their stock and reservations of it.
//!
//! A [`Product`] has a [`Sku`], a price and a [`Stock`]: the numbers available, reserved and sold. A
//! [`Reservation`] holds [`Items`] until they are sold or put back. [`decide`] holds every rule
//! between the two: within one transaction, an adapter loads, calls it and stores the result.
//!
//! Rules:
//! - No count is ever negative. Reserving, committing and releasing never change
//!   available + reserved + sold.
//! - A reservation holds all of its items or does not exist.
//! - A reservation's id is unique for ever, and an ended reservation stays ended.
//!
//! Synchronous and pure: no clock, no I/O, no new ids.

mod decide;
mod items;
mod product;
mod reservation;
mod sku;
mod stock;

pub use decide::{Command, Decision, Refusal, Shortage, Stocks, decide};
pub use items::{Items, ItemsError, Quantity, QuantityError};
pub use product::{Product, ProductError, ProductName};
pub use reservation::{Corrupt, Reservation, Status};
pub use sku::{Sku, SkuError};
pub use stock::{MAX_STOCK, Stock, StockError, Unbalanced};
