//! Aggregates with an event that the bus refuses.
//!
//! Their events stay unpublished while those of others go on. One of them at a time is tried again, with
//! backoff, because each refusal ends the publisher. If it passes, the next one is tried at once.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

use crate::{Aggregate, Event, settings::Backoff};

/// Maximum number of blocked aggregates.
const FULL: usize = 1000;

#[derive(Debug)]
pub(crate) struct Blocked {
    backoff: Backoff,
    /// In the order of their last refusal.
    waiting: VecDeque<Aggregate>,
    /// The one that is tried again.
    tried: Option<Aggregate>,
    /// Refusals since one of them passed.
    refusals: u32,
    /// Time of the next trial.
    next: Instant,
}

impl Blocked {
    pub(crate) fn new(backoff: Backoff, now: Instant) -> Self {
        Self { backoff, waiting: VecDeque::new(), tried: None, refusals: 0, next: now }
    }

    /// Returns the number of blocked aggregates.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len() + usize::from(self.tried.is_some())
    }

    /// Chooses the aggregate that is tried now, if it is time.
    pub(crate) fn choose(&mut self, now: Instant) {
        if self.tried.is_none() && self.next <= now {
            self.tried = self.waiting.pop_front();
        }
    }

    /// Returns the aggregates whose events are not read.
    pub(crate) fn excluded(&mut self) -> &[Aggregate] {
        self.waiting.make_contiguous()
    }

    /// Returns true if no more aggregates may become blocked.
    pub(crate) fn is_full(&self) -> bool {
        self.len() >= FULL
    }

    /// Returns the aggregate that is tried.
    pub(crate) fn tried(&self) -> Option<&Aggregate> {
        self.tried.as_ref()
    }

    /// Returns the time until the next trial. None if nothing waits for one.
    pub(crate) fn wait(&self, now: Instant) -> Option<Duration> {
        let waits = self.tried.is_none() && !self.waiting.is_empty();
        waits.then(|| self.next.saturating_duration_since(now))
    }

    /// Notes a refusal. Returns true if the aggregate was not blocked before.
    pub(crate) fn refused(&mut self, aggregate: &Aggregate, now: Instant) -> bool {
        let again = self.tried.take_if(|tried| tried == aggregate).is_some();
        if again || self.waiting.is_empty() {
            self.refusals = self.refusals.saturating_add(1);
            self.next = now + self.backoff.after(self.refusals);
        }
        self.waiting.push_back(aggregate.clone());
        !again
    }

    /// Notes that the bus has taken these events.
    pub(crate) fn published(&mut self, events: &[Event], now: Instant) {
        if events.iter().any(|event| Some(&event.aggregate) == self.tried.as_ref()) {
            self.passed(now);
        }
    }

    /// Notes that the tried aggregate is blocked no more.
    pub(crate) fn passed(&mut self, now: Instant) {
        self.tried = None;
        self.refusals = 0;
        self.next = now;
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn order(number: u128) -> Aggregate {
        Aggregate::new("order", Uuid::from_u128(number)).unwrap()
    }

    fn blocked(now: Instant, orders: std::ops::Range<u128>) -> Blocked {
        let backoff = Backoff { initial: SECOND, max: 4 * SECOND, jitter: 0.0 };
        let mut blocked = Blocked::new(backoff, now);
        for number in orders {
            assert!(blocked.refused(&order(number), now));
        }
        blocked
    }

    #[test]
    fn one_after_the_other_is_tried_with_backoff() {
        let mut now = Instant::now();
        let mut blocked = blocked(now, 0..3);
        blocked.choose(now);
        assert_eq!((blocked.tried(), blocked.wait(now)), (None, Some(SECOND)));
        for (number, wait) in [(0, 2), (1, 4), (2, 4), (0, 4)] {
            now += blocked.wait(now).unwrap();
            blocked.choose(now);
            assert_eq!(blocked.tried(), Some(&order(number)));
            assert_eq!(blocked.excluded().len(), 2);
            assert!(!blocked.refused(&order(number), now));
            assert_eq!(blocked.wait(now), Some(wait * SECOND));
        }
    }

    #[test]
    fn one_that_passes_lets_the_next_be_tried_at_once() {
        let mut now = Instant::now();
        let mut blocked = blocked(now, 0..3);
        now += SECOND;
        for left in [2, 1, 0] {
            blocked.choose(now);
            assert_eq!(blocked.len(), left + 1);
            blocked.passed(now);
            assert_eq!(blocked.len(), left);
        }
        assert_eq!(blocked.wait(now), None);
        blocked.choose(now);
        assert_eq!(blocked.tried(), None);
    }

    #[test]
    fn new_ones_do_not_postpone_the_trial() {
        let now = Instant::now();
        let mut blocked = blocked(now, 0..1);
        assert!(blocked.refused(&order(1), now + SECOND / 2));
        assert_eq!(blocked.wait(now), Some(SECOND));
        assert!(!blocked.is_full());
    }
}
