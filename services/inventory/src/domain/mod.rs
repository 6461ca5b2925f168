//! Products, their stock and reservations of it.
//!
//! A [`Product`] has a [`Sku`], a price and a [`Stock`]: the numbers available, reserved and sold. A
//! [`Reservation`] reserves [`Items`] until they are sold or released. [`decide`] has every rule between
//! the two. An adapter loads, calls it and stores its decision, in one transaction.
//!
//! Rules:
//! - No count is ever negative. Reserving, committing and releasing never change
//!   available + reserved + sold.
//! - A reservation has all of its items or does not exist.
//! - A reservation's id is unique for ever, and an ended reservation stays ended.
//!
//! Pure: no clock, no I/O, no new ids.

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
