//! Read one order.

use std::sync::Arc;

use gantry_contract::Scope;

use super::{OrderError, OrderRepository, StoredOrder};
use crate::domain::OrderId;

/// Reads one order.
#[derive(Clone, Debug)]
pub struct GetOrder {
    /// Orders.
    pub orders: Arc<dyn OrderRepository>,
}

impl GetOrder {
    /// Returns the order of this id if it lies within `scope`.
    ///
    /// # Errors
    /// The refusal of an unseen order, alike for an unknown and a foreign one; errors of the storage.
    pub async fn run(&self, id: OrderId, scope: &Scope) -> Result<StoredOrder, OrderError> {
        let found = self.orders.find(id).await?;
        let seen = found.filter(|found| scope.covers(&found.order.user().to_string()));
        seen.ok_or_else(|| OrderError::of_unseen(id, scope))
    }
}
