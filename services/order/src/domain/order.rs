//! The order: commands in, events out.

use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::{
    Change, Event, Lines, LinesError, OrderId, PlacedBy, Price, Pricing, Recorded, RejectReason,
    Status, Tier, UserId,
};

/// An order, as its history has made it. What is ordered is fixed with the draft.
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
    created_at: OffsetDateTime,
    updated_at: OffsetDateTime,
}

/// The order stands where this is not possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an order that is {is} cannot become {wanted}")]
pub struct StatusForbids {
    /// Where it stands.
    pub is: Status,
    /// Where it was to stand.
    pub wanted: Status,
}

/// A history that no order can have had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the history of order {id} is broken at version {version}")]
pub struct Broken {
    /// The order.
    pub id: OrderId,
    /// Where.
    pub version: u64,
}

impl Order {
    /// Makes a draft.
    ///
    /// # Errors
    /// [`LinesError::TooLarge`] where it would cost too much.
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

    /// Places the order for its final price, to be carried through by `saga`.
    ///
    /// # Errors
    /// [`StatusForbids`] unless it is a draft.
    pub fn place(
        &self,
        price: Price,
        saga: Uuid,
        by: Option<PlacedBy>,
        now: OffsetDateTime,
    ) -> Result<Change, StatusForbids> {
        self.becomes(Status::Placed, Event::Placed { saga, by, price }, now)
    }

    /// Tells that the order is sold.
    ///
    /// # Errors
    /// [`StatusForbids`] unless it is placed.
    pub fn confirm(&self, now: OffsetDateTime) -> Result<Change, StatusForbids> {
        self.becomes(Status::Confirmed, Event::Confirmed, now)
    }

    /// Tells that the order is not possible.
    ///
    /// # Errors
    /// [`StatusForbids`] unless it is placed.
    pub fn reject(
        &self,
        reason: RejectReason,
        now: OffsetDateTime,
    ) -> Result<Change, StatusForbids> {
        self.becomes(Status::Rejected, Event::Rejected { reason }, now)
    }

    /// Whether the order can be placed now.
    ///
    /// # Errors
    /// [`StatusForbids`] where it cannot.
    pub fn may_become(&self, wanted: Status) -> Result<(), StatusForbids> {
        if self.status.may_become(wanted) {
            return Ok(());
        }
        Err(StatusForbids { is: self.status, wanted })
    }

    fn becomes(
        &self,
        wanted: Status,
        event: Event,
        now: OffsetDateTime,
    ) -> Result<Change, StatusForbids> {
        self.may_become(wanted)?;
        let recorded = Recorded { version: self.version + 1, at: now, event };
        Ok(Change { order: self.clone().after(&recorded), recorded })
    }

    /// Rebuilds an order from its history; nothing where there is none.
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
            created_at: at,
            updated_at: at,
        }
    }

    /// The order after an event of its history. Events are the truth: they are not
    /// judged by today's rules.
    fn after(mut self, recorded: &Recorded) -> Self {
        self.version = recorded.version;
        self.updated_at = recorded.at;
        match &recorded.event {
            // A birth comes first only: `rebuild` refuses another.
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

    /// The order's id.
    pub fn id(&self) -> OrderId {
        self.id
    }

    /// How many events its history has: it changes with every change of the order.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Whose it is.
    pub fn user(&self) -> UserId {
        self.user
    }

    /// The user's tier when the draft was made.
    pub fn tier(&self) -> Tier {
        self.tier
    }

    /// What is ordered.
    pub fn lines(&self) -> &Lines {
        &self.lines
    }

    /// What it costs.
    pub fn price(&self) -> Price {
        self.price
    }

    /// Where it stands.
    pub fn status(&self) -> Status {
        self.status
    }

    /// Why it was rejected, where it was.
    pub fn reject_reason(&self) -> Option<RejectReason> {
        self.reject_reason
    }

    /// Who placed it.
    pub fn placed_by(&self) -> Option<&PlacedBy> {
        self.placed_by.as_ref()
    }

    /// When the draft was made.
    pub fn created_at(&self) -> OffsetDateTime {
        self.created_at
    }

    /// When it was last changed.
    pub fn updated_at(&self) -> OffsetDateTime {
        self.updated_at
    }
}

#[cfg(test)]
#[path = "order_tests.rs"]
mod tests;
