//! Taking stock aside.

use gantry_contract::idempotency::RequestKey;
use uuid::Uuid;

use super::{Inventory, InventoryError};
use crate::domain::{Ask, Items, Reservation};

/// A reservation that is to be.
#[derive(Clone, Debug)]
pub struct ReserveStock {
    /// The id its maker chose: unique for ever, which makes a repetition safe long after
    /// the record of the request is gone.
    pub reservation: Uuid,
    /// What is to be held.
    pub items: Items,
}

impl Inventory {
    /// Holds all of the items or none; repeated, it returns the reservation as it is now.
    ///
    /// # Errors
    /// [`InventoryError::Refused`], [`InventoryError::RequestIdReused`].
    pub async fn reserve_stock(
        &self,
        command: ReserveStock,
        request: RequestKey,
    ) -> Result<Reservation, InventoryError> {
        let ReserveStock { reservation: id, items } = command;
        let count = items.iter().len();
        let reservation = self
            .repository
            .change_reservation(id, Ask::Reserve(items), request, self.clock.now())
            .await?;
        tracing::info!(reservation = %id, products = count, "stock reserved");
        Ok(reservation)
    }
}
