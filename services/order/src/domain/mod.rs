//! What an order is and what may become of it: rules only, no clock, no I/O.
//!
//! - [`Order`] is event-sourced: every command answers with the [`Change`] it makes,
//!   and an order is what its [`Event`]s have made of it.
//! - [`Status`] says in one place which status may follow which.
//! - [`Basket`] is what somebody asks for, [`Lines`] what it costs in the catalogue,
//!   [`Pricing`] what it costs in the end: rules are data.

mod address;
mod basket;
mod event;
mod ids;
mod order;
mod pricing;
mod status;

pub use address::{Address, AddressError, Region};
pub use basket::{Basket, BasketError, Line, Lines, LinesError, Quantity, Sku};
pub use event::{Change, Event, PlacedBy, Recorded};
pub use ids::{OrderId, UserId};
pub use order::{Broken, Order, StatusForbids};
pub use pricing::{DiscountRule, Price, Pricing, Rate, TaxRule, Tier};
pub use status::{RejectReason, Status};
