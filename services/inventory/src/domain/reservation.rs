//! Reservations of stock: reserved, then committed or released for ever.

use time::OffsetDateTime;
use uuid::Uuid;

use super::Items;

/// Reservation of stock under an id that the caller chose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reservation {
    id: Uuid,
    state: State,
    create_time: OffsetDateTime,
    update_time: OffsetDateTime,
}

/// State with its items. Only a tombstone has none: it was released first, and refuses the late
/// reservation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    Reserved(Items),
    Committed(Items),
    Released(Option<Items>),
}

/// Status of a reservation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// The items are reserved.
    Reserved,
    /// The items are sold.
    Committed,
    /// The items are available again.
    Released,
}

/// Stored reservation without items that was never released.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a reservation without items that was never released")]
pub struct Corrupt;

impl Reservation {
    /// Creates a reservation.
    pub fn reserved(id: Uuid, items: Items, now: OffsetDateTime) -> Self {
        Self { id, state: State::Reserved(items), create_time: now, update_time: now }
    }

    /// Creates the tombstone of a release that came before its reservation.
    pub fn tombstone(id: Uuid, now: OffsetDateTime) -> Self {
        Self { id, state: State::Released(None), create_time: now, update_time: now }
    }

    /// Restores a stored reservation.
    ///
    /// # Errors
    /// [`Corrupt`].
    pub fn stored(
        id: Uuid,
        status: Status,
        items: Option<Items>,
        create_time: OffsetDateTime,
        update_time: OffsetDateTime,
    ) -> Result<Self, Corrupt> {
        let state = match (status, items) {
            (Status::Reserved, Some(items)) => State::Reserved(items),
            (Status::Committed, Some(items)) => State::Committed(items),
            (Status::Released, items) => State::Released(items),
            (Status::Reserved | Status::Committed, None) => return Err(Corrupt),
        };
        Ok(Self { id, state, create_time, update_time })
    }

    /// Returns the reservation as committed.
    pub(super) fn committed(&self, items: Items, now: OffsetDateTime) -> Self {
        Self { state: State::Committed(items), update_time: now, ..*self }
    }

    /// Returns the reservation as released.
    pub(super) fn released(&self, items: Items, now: OffsetDateTime) -> Self {
        Self { state: State::Released(Some(items)), update_time: now, ..*self }
    }

    /// Returns the id that the caller chose.
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// Returns the status.
    pub fn status(&self) -> Status {
        match self.state {
            State::Reserved(_) => Status::Reserved,
            State::Committed(_) => Status::Committed,
            State::Released(_) => Status::Released,
        }
    }

    /// Returns the items; none for a tombstone.
    pub fn items(&self) -> Option<&Items> {
        match &self.state {
            State::Reserved(items) | State::Committed(items) => Some(items),
            State::Released(items) => items.as_ref(),
        }
    }

    /// Returns the state with its items.
    pub(super) fn state(&self) -> &State {
        &self.state
    }

    /// Returns the time of the first command.
    pub fn create_time(&self) -> OffsetDateTime {
        self.create_time
    }

    /// Returns the time of the last change of status.
    pub fn update_time(&self) -> OffsetDateTime {
        self.update_time
    }
}
