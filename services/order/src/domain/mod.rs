//! Orders and their rules: no clock, no I/O.
//!
//! - [`Order`] is event-sourced: a command returns a [`Change`], and an order is rebuilt from its
//!   [`Event`]s.
//! - [`Status`] defines the transitions between statuses.
//! - [`Basket`] holds the requested items, [`Lines`] the same with catalogue prices. [`Pricing`]
//!   computes the final price from rules that are data.

mod address;
mod basket;
mod event;
mod ids;
mod lines;
mod order;
mod pricing;
mod status;

pub use address::{Address, AddressError, InvalidRegion, Region};
pub use basket::{Basket, BasketError, Quantity, Sku};
pub use event::{Change, Event, PlacedBy, Recorded};
pub use ids::{OrderId, UserId};
pub use lines::{Line, Lines, LinesError};
pub use order::{Broken, InvalidTransition, Order};
pub use pricing::{DiscountRule, Price, Pricing, TaxRule, Tier, UnknownTier};
pub use status::{RejectReason, Status};
