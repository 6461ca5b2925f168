//! A stream for one attempt, and the lessons of the attempt for its endpoint.

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
};

use gantry_resilience::balance::{Outcome, Picked};
use tokio::time::Instant;

use super::{
    connection::{Connection, Sender},
    shared::{Member, Shared},
};
use crate::verdict::Ejection;

/// A stream on a connection, until it is dropped: with it the counters go back.
#[derive(Debug)]
pub(crate) struct Lease {
    picked: Picked<Member>,
    connection: Arc<Connection>,
    pool: Arc<Shared>,
    /// Picked although it was ejected.
    failed_open: bool,
    /// Arrival of the head of the response.
    headed: Option<Instant>,
    learned: bool,
}

impl Lease {
    /// The stream is taken already.
    pub(super) fn new(
        picked: Picked<Member>,
        connection: Arc<Connection>,
        pool: Arc<Shared>,
        failed_open: bool,
    ) -> Self {
        Self { picked, connection, pool, failed_open, headed: None, learned: false }
    }

    /// Returns the address of the endpoint.
    pub(crate) fn address(&self) -> SocketAddr {
        self.picked.member().connections().address
    }

    /// A handle to send on.
    pub(crate) fn sender(&self) -> Sender {
        self.connection.sender()
    }

    /// The head of the response arrived without a status: that measures the time, and whether it
    /// counts the status will tell. A stream's may be long in coming, so that until its first
    /// message the head alone counts, which lowers no estimate.
    pub(crate) fn headed(&mut self, streams: bool) {
        let now = Instant::now();
        self.headed = Some(now);
        if streams {
            self.picked.learn(now, Outcome::Refused);
        }
        self.picked.member().connections().answered();
    }

    /// The attempt is answered, or failed. Only the first time counts.
    pub(crate) fn learn(&mut self, outcome: Outcome) {
        if std::mem::replace(&mut self.learned, true) {
            return;
        }
        self.picked.learn(self.headed.unwrap_or_else(Instant::now), outcome);
        if matches!(outcome, Outcome::Answered | Outcome::Refused) {
            self.picked.member().connections().answered();
        }
    }

    /// Returns the time at which the endpoint was picked.
    pub(crate) fn started(&self) -> Instant {
        self.picked.started()
    }

    /// Counts the attempt for the endpoint's health.
    pub(crate) fn judge(&self, ejection: Ejection, now: Instant) {
        self.pool.health.judge(&self.picked.member().0.ejection, ejection, now);
    }

    /// Returns true if the endpoint gets no calls now, and did not get this one as a last resort.
    pub(crate) fn is_ejected(&self, now: Instant) -> bool {
        !self.failed_open && self.picked.member().is_ejected(now)
    }

    /// Returns true the first time, for a call that was lost with its connection: the first of those that the
    /// endpoint has taken with it since it was connected.
    pub(crate) fn is_first_lost(&self) -> bool {
        self.connection.is_first_lost()
    }

    /// Nothing was sent, so nothing is to be learned.
    pub(crate) fn forget(&mut self) {
        self.learned = true;
    }

    /// Ends it without an attempt.
    pub(crate) fn unused(mut self) {
        self.forget();
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.learn(Outcome::Abandoned);
        self.connection.release();
        // A waiting call counts itself before it looks for room, and room is made
        // here before the count is read: one of the two sees the other.
        if self.pool.waiting.load(Ordering::SeqCst) > 0 {
            self.pool.available.notify_one();
        }
    }
}
