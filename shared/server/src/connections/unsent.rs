//! Answers that wait for their peers to take them, and how many bytes of memory they may hold.
//!
//! A peer that calls and takes nothing holds each answer until its time is over. Where all
//! of them together hold too much, what waits on a connection that holds more than its
//! share is reset instead: the others are not to pay for it.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// What one connection may hold whatever the others do, in bytes.
const SHARE: usize = 256 * 1024;

/// What waits on all connections of a server.
#[derive(Debug)]
pub(crate) struct Budget {
    max: usize,
    all: AtomicUsize,
}

impl Budget {
    /// `max` is in bytes.
    pub(crate) fn new(max: u32) -> Arc<Self> {
        Arc::new(Self { max: max as usize, all: AtomicUsize::new(0) })
    }
}

/// What waits on one connection.
#[derive(Debug)]
pub(crate) struct Account {
    budget: Arc<Budget>,
    own: AtomicUsize,
}

impl Account {
    pub(crate) fn new(budget: Arc<Budget>) -> Self {
        Self { budget, own: AtomicUsize::new(0) }
    }

    pub(super) fn hold(&self, bytes: usize) {
        self.own.fetch_add(bytes, Ordering::Relaxed);
        self.budget.all.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn release(&self, bytes: usize) {
        self.own.fetch_sub(bytes, Ordering::Relaxed);
        self.budget.all.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Whether what waits here has to go.
    pub(super) fn is_over(&self) -> bool {
        self.own.load(Ordering::Relaxed) > SHARE
            && self.budget.all.load(Ordering::Relaxed) > self.budget.max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_holds_more_than_a_share_pays_for_what_is_too_much() {
        let budget = Budget::new(1_000_000);
        let [greedy, modest] = [0, 1].map(|_| Account::new(Arc::clone(&budget)));
        greedy.hold(1_000_000);
        modest.hold(SHARE);
        assert!(greedy.is_over());
        assert!(!modest.is_over());
        greedy.release(SHARE);
        assert!(!greedy.is_over(), "there is room for it");
        modest.release(SHARE);
        greedy.release(1_000_000 - SHARE);
        assert_eq!(budget.all.load(Ordering::Relaxed), 0);
    }
}
