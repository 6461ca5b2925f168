//! What can be done with orders: one use case a file, and the ports they need.
//!
//! - [`CreateOrder`], [`PlaceOrder`], [`GetOrder`], [`ListOrders`];
//! - [`placing`]: the saga that carries a placed order through;
//! - [`Orders`], [`Users`], [`Catalogue`], [`Stock`]: the ports;
//! - [`Error`]: why a use case refuses, in the service's own words.

mod create_order;
mod error;
mod get_order;
mod list_orders;
mod place_order;
pub mod placing;
mod ports;
mod settled;

pub use create_order::{CreateOrder, DraftLimit, NewOrder};
pub use error::Error;
pub use get_order::GetOrder;
pub use list_orders::ListOrders;
pub use place_order::{PlaceOrder, Placement};
pub use ports::{
    Catalogue, CatalogueError, CommitError, Customer, DraftQuota, Orders, Seen, Stock, StockError,
    StorageError, StoredOrder, Unanswered, UnitOfWork, Users, UsersError,
};
pub use settled::Settled;
