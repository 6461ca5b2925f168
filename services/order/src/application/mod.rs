//! Use cases of the orders, one a file, and the ports they need.
//!
//! - [`CreateOrder`], [`PlaceOrder`], [`GetOrder`], [`ListOrders`];
//! - [`PlaceOrderSaga`]: the saga of a placed order;
//! - [`OrderRepository`], [`Users`], [`Catalogue`], [`Stock`]: the ports;
//! - [`OrderError`]: refusals, in the service's own words.

mod completion_notifier;
mod create_order;
mod error;
mod get_order;
mod list_orders;
mod place_order;
mod place_order_saga;
mod ports;

pub use completion_notifier::CompletionNotifier;
pub use create_order::{CreateOrder, DraftLimit, NewOrder};
pub use error::OrderError;
pub use get_order::GetOrder;
pub use list_orders::ListOrders;
pub use place_order::{PlaceOrder, Placement};
pub use place_order_saga::PlaceOrderSaga;
pub use ports::{
    Catalogue, CatalogueError, CommitError, Customer, DraftQuota, OrderRepository, Seen, Stock,
    StockError, StoredOrder, Unanswered, UnitOfWork, Users, UsersError,
};

/// Use cases of the service. Clones share everything.
#[derive(Clone, Debug)]
pub struct UseCases {
    /// CreateOrder.
    pub create_order: CreateOrder,
    /// PlaceOrder.
    pub place_order: PlaceOrder,
    /// GetOrder.
    pub get_order: GetOrder,
    /// ListOrders.
    pub list_orders: ListOrders,
}
