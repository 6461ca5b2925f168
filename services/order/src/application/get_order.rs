//! Reading one order.

use std::sync::Arc;

use gantry_contract::Scope;

use crate::{
    application::{Error, Orders, StoredOrder},
    domain::OrderId,
};

/// Reads single orders.
#[derive(Clone, Debug)]
pub struct GetOrder {
    /// Where orders are kept.
    pub orders: Arc<dyn Orders>,
}

impl GetOrder {
    /// The order of this id, where it lies within `scope`.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn run(&self, id: OrderId, scope: &Scope) -> Result<StoredOrder, Error> {
        let found = self.orders.find(id).await?.ok_or(Error::OrderNotFound(id))?;
        if !scope.covers(&found.order.user().to_string()) {
            return Err(Error::NotOwner);
        }
        Ok(found)
    }
}
