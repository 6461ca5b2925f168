//! Answers that wait for their peers to take them, and how many bytes of memory they may hold.
//!
//! A peer that calls and takes nothing holds each answer: until its time is over where it
//! grants no window, and for as long as the connection lives where it grants one and does not
//! read. Where all of them together hold too much, what waits on a connection that holds more
//! than its share is reset instead: the others are not to pay for it.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use bytes::{Buf, Bytes};

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

    fn hold(&self, bytes: usize) {
        self.own.fetch_add(bytes, Ordering::Relaxed);
        self.budget.all.fetch_add(bytes, Ordering::Relaxed);
    }

    fn release(&self, bytes: usize) {
        self.own.fetch_sub(bytes, Ordering::Relaxed);
        self.budget.all.fetch_sub(bytes, Ordering::Relaxed);
    }

    fn is_over(&self) -> bool {
        self.own.load(Ordering::Relaxed) > SHARE
            && self.budget.all.load(Ordering::Relaxed) > self.budget.max
    }
}

/// What of one answer is booked as waiting, until this is dropped.
#[derive(Debug)]
pub(super) struct Held {
    account: Arc<Account>,
    bytes: usize,
}

impl Held {
    pub(super) fn new(account: Arc<Account>) -> Self {
        Self { account, bytes: 0 }
    }

    pub(super) fn set(&mut self, bytes: usize) {
        if self.bytes != bytes {
            self.account.hold(bytes);
            self.account.release(self.bytes);
            self.bytes = bytes;
        }
    }

    /// Whether what waits on this connection has to go.
    pub(super) fn is_over(&self) -> bool {
        self.account.is_over()
    }

    /// The data as it is given to HTTP/2, booked for itself.
    pub(super) fn part(&self, data: Bytes) -> Part {
        let mut held = Self::new(Arc::clone(&self.account));
        held.set(data.len());
        Part { data, _held: held }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.set(0);
    }
}

/// A part of an answer that HTTP/2 was given to write: it waits where the peer does not read.
#[derive(Debug)]
pub(crate) struct Part {
    data: Bytes,
    _held: Held,
}

impl Buf for Part {
    fn remaining(&self) -> usize {
        self.data.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.data.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.data.advance(count);
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

    #[test]
    fn what_is_written_or_given_up_is_no_longer_held() {
        let account = Arc::new(Account::new(Budget::new(0)));
        let held = || account.own.load(Ordering::Relaxed);
        let answer = Held::new(Arc::clone(&account));
        let mut written = answer.part(Bytes::from_static(b"written"));
        let given_up = answer.part(Bytes::from_static(b"given up"));
        assert_eq!(written.copy_to_bytes(7), "written");
        assert_eq!(held(), 15);
        drop(written);
        assert_eq!(held(), 8);
        drop(given_up);
        assert_eq!(held(), 0);
    }
}
