//! Stock taken aside: RESERVED, then COMMITTED or RELEASED, and never again.

use time::OffsetDateTime;
use uuid::Uuid;

use super::Items;

/// Stock taken aside under an id its maker chose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reservation {
    id: Uuid,
    state: State,
    created: OffsetDateTime,
    updated: OffsetDateTime,
}

/// What became of the stock. Only a release can be without items: it came before the
/// reservation it was for, and stands there to refuse it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    Reserved(Items),
    Committed(Items),
    Released(Option<Items>),
}

/// What has become of a reservation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// The stock is held.
    Reserved,
    /// The stock is sold.
    Committed,
    /// The stock is back.
    Released,
}

/// A stored reservation that holds or sold nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a reservation without items that was never released")]
pub struct Corrupt;

impl Reservation {
    /// A new one, which holds its items.
    pub fn reserved(id: Uuid, items: Items, now: OffsetDateTime) -> Self {
        Self { id, state: State::Reserved(items), created: now, updated: now }
    }

    /// The mark of a release that came before its reservation.
    pub fn tombstone(id: Uuid, now: OffsetDateTime) -> Self {
        Self { id, state: State::Released(None), created: now, updated: now }
    }

    /// What was kept.
    ///
    /// # Errors
    /// [`Corrupt`].
    pub fn stored(
        id: Uuid,
        status: Status,
        items: Option<Items>,
        created: OffsetDateTime,
        updated: OffsetDateTime,
    ) -> Result<Self, Corrupt> {
        let state = match (status, items) {
            (Status::Reserved, Some(items)) => State::Reserved(items),
            (Status::Committed, Some(items)) => State::Committed(items),
            (Status::Released, items) => State::Released(items),
            (Status::Reserved | Status::Committed, None) => return Err(Corrupt),
        };
        Ok(Self { id, state, created, updated })
    }

    /// The same, sold.
    pub(super) fn committed(&self, items: Items, now: OffsetDateTime) -> Self {
        Self { state: State::Committed(items), updated: now, ..*self }
    }

    /// The same, put back.
    pub(super) fn released(&self, items: Items, now: OffsetDateTime) -> Self {
        Self { state: State::Released(Some(items)), updated: now, ..*self }
    }

    /// The id its maker chose.
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// What has become of it.
    pub fn status(&self) -> Status {
        match self.state {
            State::Reserved(_) => Status::Reserved,
            State::Committed(_) => Status::Committed,
            State::Released(_) => Status::Released,
        }
    }

    /// What is or was reserved: nothing for a tombstone.
    pub fn items(&self) -> Option<&Items> {
        match &self.state {
            State::Reserved(items) | State::Committed(items) => Some(items),
            State::Released(items) => items.as_ref(),
        }
    }

    /// What became of the stock, with what it was about.
    pub(super) fn state(&self) -> &State {
        &self.state
    }

    /// When it was first seen.
    pub fn created(&self) -> OffsetDateTime {
        self.created
    }

    /// When its status last changed.
    pub fn updated(&self) -> OffsetDateTime {
        self.updated
    }
}
