//! Turning a reservation into a sale.

use gantry_contract::idempotency::RequestKey;
use uuid::Uuid;

use super::{Inventory, InventoryError};
use crate::domain::{Ask, Reservation};

impl Inventory {
    /// Sells what the reservation holds; repeated, it changes nothing.
    ///
    /// # Errors
    /// [`InventoryError::Refused`] where it was never made or is released,
    /// [`InventoryError::RequestIdReused`].
    pub async fn commit_reservation(
        &self,
        id: Uuid,
        request: RequestKey,
    ) -> Result<Reservation, InventoryError> {
        let now = self.clock.now();
        let reservation = self.repository.change_reservation(id, Ask::Commit, request, now).await?;
        tracing::info!(reservation = %id, "reservation committed");
        Ok(reservation)
    }
}
