//! Release a reservation.

use std::sync::Arc;

use gantry_contract::{Clock, idempotency::RequestKey};
use uuid::Uuid;

use super::{InventoryError, InventoryRepository};
use crate::domain::{Command, Reservation};

/// Releases the items of a reservation.
#[derive(Clone, Debug)]
pub struct ReleaseReservation {
    /// Products and reservations.
    pub inventory: Arc<dyn InventoryRepository>,
    /// Time of the release.
    pub clock: Arc<dyn Clock>,
}

impl ReleaseReservation {
    /// Releases the items of the reservation. A repetition changes nothing. An unknown reservation is
    /// stored as released, so that it is refused if it arrives later.
    ///
    /// # Errors
    /// [`InventoryError::Refused`] if the reservation is committed, [`InventoryError::RequestIdReused`].
    pub async fn run(&self, id: Uuid, request: RequestKey) -> Result<Reservation, InventoryError> {
        let now = self.clock.now();
        let reservation =
            self.inventory.change_reservation(id, Command::Release, request, now).await?;
        tracing::info!(reservation_id = %id, "reservation released");
        Ok(reservation)
    }
}
