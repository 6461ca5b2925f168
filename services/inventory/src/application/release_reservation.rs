//! Putting reserved stock back.

use gantry_contract::idempotency::RequestKey;
use uuid::Uuid;

use super::{Inventory, InventoryError};
use crate::domain::{Ask, Reservation};

impl Inventory {
    /// Puts back what the reservation holds; repeated, it changes nothing. One never seen
    /// is marked, so that it is refused should it still come.
    ///
    /// # Errors
    /// [`InventoryError::Refused`] where it is committed,
    /// [`InventoryError::RequestIdReused`].
    pub async fn release_reservation(
        &self,
        id: Uuid,
        request: RequestKey,
    ) -> Result<Reservation, InventoryError> {
        let now = self.clock.now();
        let reservation =
            self.repository.change_reservation(id, Ask::Release, request, now).await?;
        tracing::info!(reservation = %id, "reservation released");
        Ok(reservation)
    }
}
