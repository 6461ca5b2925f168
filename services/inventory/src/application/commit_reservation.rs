//! Commit a reservation.

use std::sync::Arc;

use gantry_contract::{Clock, idempotency::RequestKey};
use uuid::Uuid;

use super::{InventoryError, InventoryRepository};
use crate::domain::{Command, Reservation};

/// Sells the items of a reservation.
#[derive(Clone, Debug)]
pub struct CommitReservation {
    /// Products and reservations.
    pub inventory: Arc<dyn InventoryRepository>,
    /// Time of the sale.
    pub clock: Arc<dyn Clock>,
}

impl CommitReservation {
    /// Sells the items of the reservation. A repetition changes nothing.
    ///
    /// # Errors
    /// [`InventoryError::Refused`] if the reservation does not exist or is released,
    /// [`InventoryError::RequestIdReused`].
    pub async fn run(&self, id: Uuid, request: RequestKey) -> Result<Reservation, InventoryError> {
        let now = self.clock.now();
        let reservation =
            self.inventory.change_reservation(id, Command::Commit, request, now).await?;
        tracing::info!(reservation_id = %id, "reservation committed");
        Ok(reservation)
    }
}
