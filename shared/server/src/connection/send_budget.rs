//! Memory limit of responses that wait for their peers to read them.
//!
//! A peer that calls and reads nothing makes the server hold each response: until its timeout if
//! the peer grants no window, and for the life of the connection if it grants one and does not
//! read. If all waiting responses together exceed the budget, those on connections above their
//! share are reset. Other connections are not affected.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use bytes::{Buf, Bytes};

/// Number of bytes that a connection may always hold.
const SHARE: usize = 256 * 1024;

/// Bytes of waiting responses on all connections of a server, and their limit.
#[derive(Debug)]
pub(crate) struct SendBudget {
    max: usize,
    all: AtomicUsize,
}

impl SendBudget {
    /// Creates a budget of `max` bytes.
    pub(crate) fn new(max: u32) -> Arc<Self> {
        Arc::new(Self { max: max as usize, all: AtomicUsize::new(0) })
    }
}

/// Bytes of waiting responses on one connection.
#[derive(Debug)]
pub(crate) struct ConnectionUsage {
    budget: Arc<SendBudget>,
    own: AtomicUsize,
}

impl ConnectionUsage {
    pub(crate) fn new(budget: Arc<SendBudget>) -> Self {
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

/// Waiting bytes of one response, released when dropped.
#[derive(Debug)]
pub(crate) struct Reservation {
    usage: Arc<ConnectionUsage>,
    bytes: usize,
}

impl Reservation {
    pub(crate) fn new(usage: Arc<ConnectionUsage>) -> Self {
        Self { usage, bytes: 0 }
    }

    pub(crate) fn set(&mut self, bytes: usize) {
        if self.bytes != bytes {
            self.usage.hold(bytes);
            self.usage.release(self.bytes);
            self.bytes = bytes;
        }
    }

    /// Returns `true` if the waiting responses of this connection have to be reset.
    pub(crate) fn is_over(&self) -> bool {
        self.usage.is_over()
    }

    /// Returns the data with its own reservation, for HTTP/2.
    pub(crate) fn track(&self, data: Bytes) -> TrackedBytes {
        let mut reservation = Self::new(Arc::clone(&self.usage));
        reservation.set(data.len());
        TrackedBytes { data, _reservation: reservation }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.set(0);
    }
}

/// Part of a response handed to HTTP/2; it waits there if the peer does not read.
#[derive(Debug)]
pub(crate) struct TrackedBytes {
    data: Bytes,
    _reservation: Reservation,
}

impl Buf for TrackedBytes {
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
    fn only_connections_above_their_share_are_reset() {
        let budget = SendBudget::new(1_000_000);
        let [greedy, modest] = [0, 1].map(|_| ConnectionUsage::new(Arc::clone(&budget)));
        greedy.hold(1_000_000);
        modest.hold(SHARE);
        assert!(greedy.is_over());
        assert!(!modest.is_over());
        greedy.release(SHARE);
        assert!(!greedy.is_over(), "the budget has room");
        modest.release(SHARE);
        greedy.release(1_000_000 - SHARE);
        assert_eq!(budget.all.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn written_or_dropped_data_is_released() {
        let usage = Arc::new(ConnectionUsage::new(SendBudget::new(0)));
        let held = || usage.own.load(Ordering::Relaxed);
        let answer = Reservation::new(Arc::clone(&usage));
        let mut written = answer.track(Bytes::from_static(b"written"));
        let given_up = answer.track(Bytes::from_static(b"given up"));
        assert_eq!(written.copy_to_bytes(7), "written");
        assert_eq!(held(), 15);
        drop(written);
        assert_eq!(held(), 8);
        drop(given_up);
        assert_eq!(held(), 0);
    }
}
