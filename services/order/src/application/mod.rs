//! Use cases of the orders, one per file, and their ports.
//!
//! A use case decides, and a port writes its decision as a whole or not at all. The server has
//! authorized the caller. Time and ids come through ports.

mod completion_notifier;
mod create_order;
mod error;
mod get_order;
mod list_orders;
mod place_order;
mod place_order_saga;
mod ports;

use std::sync::Arc;

use gantry_contract::{Clock, Ids};

use crate::domain::Pricing;

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

/// Ports of the use cases and of the saga.
#[derive(Clone, Debug)]
pub struct Ports {
    /// Orders.
    pub orders: Arc<dyn OrderRepository>,
    /// Users.
    pub users: Arc<dyn Users>,
    /// Prices of products.
    pub catalogue: Arc<dyn Catalogue>,
    /// Stock of products.
    pub stock: Arc<dyn Stock>,
    /// Clock.
    pub clock: Arc<dyn Clock>,
    /// Source of ids.
    pub ids: Arc<dyn Ids>,
}

impl UseCases {
    /// Creates the use cases. `sagas` drives placed orders, `notifier` reports their ends.
    pub fn new(
        ports: Ports,
        pricing: Pricing,
        drafts: DraftLimit,
        sagas: gantry_saga::Handle,
        notifier: CompletionNotifier,
    ) -> Self {
        let Ports { orders, users, catalogue, stock: _, clock, ids } = ports;
        let pricing = Arc::new(pricing);
        Self {
            create_order: CreateOrder {
                orders: orders.clone(),
                users,
                catalogue,
                pricing: pricing.clone(),
                clock: clock.clone(),
                ids: ids.clone(),
                drafts,
            },
            place_order: PlaceOrder {
                orders: orders.clone(),
                pricing,
                sagas,
                notifier,
                clock,
                ids,
            },
            get_order: GetOrder { orders: orders.clone() },
            list_orders: ListOrders { orders },
        }
    }
}
