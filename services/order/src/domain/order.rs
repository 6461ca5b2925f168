//! Orders: commands that return events.

use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    Change, Event, Lines, LinesError, OrderId, PlacedBy, Price, Pricing, Recorded, RejectReason,
    Status, Tier, UserId,
};

/// Order. Its items never change after the draft is created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    id: OrderId,
    version: u64,
    user: UserId,
    tier: Tier,
    lines: Lines,
    price: Price,
    status: Status,
    reject_reason: Option<RejectReason>,
    placed_by: Option<PlacedBy>,
    create_time: OffsetDateTime,
    update_time: OffsetDateTime,
}

/// Refusal of a change that the order's status does not allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an order that is {from} cannot become {to}")]
pub struct InvalidTransition {
    /// Current status.
    pub from: Status,
    /// Requested status.
    pub to: Status,
}

/// History with missing, repeated or misplaced events.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the history of order {id} is broken at version {version}")]
pub struct Broken {
    /// Id of the order.
    pub id: OrderId,
    /// Version of the first invalid event.
    pub version: u64,
}

impl Order {
    /// Creates a draft.
    ///
    /// # Errors
    /// [`LinesError::TooLarge`] if the price does not fit into [`Money`](gantry_money::Money).
    pub fn create(
        id: OrderId,
        user: UserId,
        tier: Tier,
        lines: Lines,
        pricing: &Pricing,
        now: OffsetDateTime,
    ) -> Result<Change, LinesError> {
        let price = pricing.draft(&lines, tier)?;
        let order = Self::born(id, user, tier, lines.clone(), price, now);
        let event = Event::Created { user, tier, lines, price };
        Ok(Change { order, recorded: Recorded { version: 1, at: now, event } })
    }

    /// Places the order for its final price. The saga with the id `saga` then confirms or rejects it.
    ///
    /// # Errors
    /// [`InvalidTransition`] unless it is a draft.
    pub fn place(
        &self,
        price: Price,
        saga: Uuid,
        by: Option<PlacedBy>,
        now: OffsetDateTime,
    ) -> Result<Change, InvalidTransition> {
        self.becomes(Status::Placed, Event::Placed { saga, by, price }, now)
    }

    /// Confirms the order: the goods are sold.
    ///
    /// # Errors
    /// [`InvalidTransition`] unless it is placed.
    pub fn confirm(&self, now: OffsetDateTime) -> Result<Change, InvalidTransition> {
        self.becomes(Status::Confirmed, Event::Confirmed, now)
    }

    /// Rejects the order.
    ///
    /// # Errors
    /// [`InvalidTransition`] unless it is placed.
    pub fn reject(
        &self,
        reason: RejectReason,
        now: OffsetDateTime,
    ) -> Result<Change, InvalidTransition> {
        self.becomes(Status::Rejected, Event::Rejected { reason }, now)
    }

    /// Checks that the order may change to `wanted`.
    ///
    /// # Errors
    /// [`InvalidTransition`] if it may not.
    pub fn may_become(&self, wanted: Status) -> Result<(), InvalidTransition> {
        if self.status.may_become(wanted) {
            return Ok(());
        }
        Err(InvalidTransition { from: self.status, to: wanted })
    }

    fn becomes(
        &self,
        wanted: Status,
        event: Event,
        now: OffsetDateTime,
    ) -> Result<Change, InvalidTransition> {
        self.may_become(wanted)?;
        let recorded = Recorded { version: self.version + 1, at: now, event };
        Ok(Change { order: self.clone().after(&recorded), recorded })
    }

    /// Rebuilds an order from its history. Returns `None` for an empty history.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn rebuild(
        id: OrderId,
        history: impl IntoIterator<Item = Recorded>,
    ) -> Result<Option<Self>, Broken> {
        let mut history = history.into_iter();
        let Some(first) = history.next() else { return Ok(None) };
        let broken = |version| Broken { id, version };
        let Recorded { version: 1, at, event: Event::Created { user, tier, lines, price } } = first
        else {
            return Err(broken(first.version));
        };
        let order = Self::born(id, user, tier, lines, price, at);
        history
            .try_fold(order, |order, recorded| {
                let second_birth = matches!(recorded.event, Event::Created { .. });
                if second_birth || recorded.version != order.version + 1 {
                    return Err(broken(recorded.version));
                }
                Ok(order.after(&recorded))
            })
            .map(Some)
    }

    fn born(
        id: OrderId,
        user: UserId,
        tier: Tier,
        lines: Lines,
        price: Price,
        at: OffsetDateTime,
    ) -> Self {
        Self {
            id,
            version: 1,
            user,
            tier,
            lines,
            price,
            status: Status::Draft,
            reject_reason: None,
            placed_by: None,
            create_time: at,
            update_time: at,
        }
    }

    /// Applies an event of the history without checking it: rules may have changed since.
    fn after(mut self, recorded: &Recorded) -> Self {
        self.version = recorded.version;
        self.update_time = recorded.at;
        match &recorded.event {
            // Only the first event creates: `rebuild` refuses another.
            Event::Created { .. } => {}
            Event::Placed { saga: _, by, price } => {
                self.status = Status::Placed;
                self.placed_by.clone_from(by);
                self.price = *price;
            }
            Event::Confirmed => self.status = Status::Confirmed,
            Event::Rejected { reason } => {
                self.status = Status::Rejected;
                self.reject_reason = Some(*reason);
            }
        }
        self
    }

    /// Returns the order's id.
    pub fn id(&self) -> OrderId {
        self.id
    }

    /// Returns the version: the number of events in the history.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Returns the owner.
    pub fn user(&self) -> UserId {
        self.user
    }

    /// Returns the tier of the owner when the draft was created.
    pub fn tier(&self) -> Tier {
        self.tier
    }

    /// Returns the ordered items.
    pub fn lines(&self) -> &Lines {
        &self.lines
    }

    /// Returns the price.
    pub fn price(&self) -> Price {
        self.price
    }

    /// Returns the status.
    pub fn status(&self) -> Status {
        self.status
    }

    /// Returns the reason of a rejected order.
    pub fn reject_reason(&self) -> Option<RejectReason> {
        self.reject_reason
    }

    /// Returns the user who placed the order.
    pub fn placed_by(&self) -> Option<&PlacedBy> {
        self.placed_by.as_ref()
    }

    /// Returns the time of the draft's creation.
    pub fn create_time(&self) -> OffsetDateTime {
        self.create_time
    }

    /// Returns the time of the last change.
    pub fn update_time(&self) -> OffsetDateTime {
        self.update_time
    }
}

#[cfg(test)]
mod tests;
