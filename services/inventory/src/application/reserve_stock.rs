//! Reserve stock.

use std::sync::Arc;

use gantry_contract::{Clock, idempotency::RequestKey};
use uuid::Uuid;

use super::{InventoryError, InventoryRepository};
use crate::domain::{Command, Items, Reservation};

/// Reserves stock until it is sold or released.
#[derive(Clone, Debug)]
pub struct ReserveStock {
    /// Products and reservations.
    pub inventory: Arc<dyn InventoryRepository>,
    /// Time of the reservation.
    pub clock: Arc<dyn Clock>,
}

/// Reservation to be made.
#[derive(Clone, Debug)]
pub struct NewReservation {
    /// Id that the caller chose. Unique for ever, so that a repetition is safe after the record of its
    /// request has expired.
    pub id: Uuid,
    /// Products and quantities.
    pub items: Items,
    /// Request of the caller. Identifies repetitions.
    pub request: RequestKey,
}

impl ReserveStock {
    /// Reserves all of the items or none. A repetition returns the reservation as it is now.
    ///
    /// # Errors
    /// [`InventoryError::Refused`], [`InventoryError::RequestIdReused`].
    pub async fn run(&self, new: NewReservation) -> Result<Reservation, InventoryError> {
        let NewReservation { id, items, request } = new;
        let (products, now) = (items.iter().len(), self.clock.now());
        let command = Command::Reserve(items);
        let reservation = self.inventory.change_reservation(id, command, request, now).await?;
        tracing::info!(reservation_id = %id, products, "stock reserved");
        Ok(reservation)
    }
}
