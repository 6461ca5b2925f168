//! Get one order.

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
    /// Returns the order with this id.
    ///
    /// # Errors
    /// [`OrderError::NotOwner`] if the caller may read only their own orders and this is another one,
    /// existing or not; [`OrderError::OrderNotFound`]; [`OrderError::Storage`].
    pub async fn run(&self, id: OrderId, scope: &Scope) -> Result<StoredOrder, OrderError> {
        let found = self.orders.find(id).await?;
        let seen = found.filter(|found| scope.covers(&found.order.user().to_string()));
        seen.ok_or_else(|| OrderError::of_unseen(id, scope))
    }
}
