//! Put reserved stock back.

use std::sync::Arc;

use gantry_contract::{Clock, idempotency::RequestKey};
use uuid::Uuid;

use super::{InventoryError, InventoryRepository};
use crate::domain::{Command, Reservation};

/// Puts back what a reservation holds.
#[derive(Clone, Debug)]
pub struct ReleaseReservation {
    /// Products and reservations.
    pub inventory: Arc<dyn InventoryRepository>,
    /// Time of the release.
    pub clock: Arc<dyn Clock>,
}

impl ReleaseReservation {
    /// Puts back what the reservation holds. A repetition changes nothing. An unknown reservation is
    /// marked as released, and refused if it still comes.
    ///
    /// # Errors
    /// [`InventoryError::Refused`] if it is committed, [`InventoryError::RequestIdReused`].
    pub async fn run(&self, id: Uuid, request: RequestKey) -> Result<Reservation, InventoryError> {
        let now = self.clock.now();
        let reservation =
            self.inventory.change_reservation(id, Command::Release, request, now).await?;
        tracing::info!(reservation_id = %id, "reservation released");
        Ok(reservation)
    }
}
