//! Reserved stream for one attempt. Reports the attempt's outcome to the endpoint's load and
//! health.

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

/// Reserved stream on a connection. Dropping it releases the stream and its counters.
#[derive(Debug)]
pub(crate) struct Lease {
    picked: Picked<Member>,
    connection: Arc<Connection>,
    pool: Arc<Shared>,
    /// True if picked while ejected, because no healthy endpoint was available.
    fail_open: bool,
    /// Time of the response headers.
    headed: Option<Instant>,
    load_recorded: bool,
}

impl Lease {
    /// Creates the lease of a stream that is reserved already.
    pub(super) fn new(
        picked: Picked<Member>,
        connection: Arc<Connection>,
        pool: Arc<Shared>,
        fail_open: bool,
    ) -> Self {
        Self { picked, connection, pool, fail_open, headed: None, load_recorded: false }
    }

    /// Returns the address of the endpoint.
    pub(crate) fn address(&self) -> SocketAddr {
        self.picked.member().connections().address
    }

    /// Returns a handle for sending.
    pub(crate) fn sender(&self) -> Sender {
        self.connection.sender()
    }

    /// Records response headers without a status: they measure the time, and the later status
    /// decides if it counts. The headers of a stream count at once without lowering the estimate,
    /// since its first message may take long.
    pub(crate) fn headed(&mut self, streams: bool) {
        let now = Instant::now();
        self.headed = Some(now);
        if streams {
            self.picked.learn(now, Outcome::Refused);
        }
        self.picked.member().connections().answered();
    }

    /// Records the outcome of the attempt for the load. Only the first outcome counts.
    pub(crate) fn learn(&mut self, outcome: Outcome) {
        if std::mem::replace(&mut self.load_recorded, true) {
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

    /// Records the outcome of the attempt for the endpoint's health.
    pub(crate) fn judge(&self, ejection: Ejection, now: Instant) {
        self.pool.health.judge(&self.picked.member().0.ejection, ejection, now);
    }

    /// Returns true if the endpoint is ejected and this attempt was not a fail-open pick.
    pub(crate) fn is_ejected(&self, now: Instant) -> bool {
        !self.fail_open && self.picked.member().is_ejected(now)
    }

    /// Returns true at the first call that is lost with a connection of this endpoint since it was
    /// connected.
    pub(crate) fn is_first_lost(&self) -> bool {
        self.connection.is_first_lost()
    }

    /// Discards the outcome: nothing was sent.
    pub(crate) fn forget(&mut self) {
        self.load_recorded = true;
    }

    /// Releases the stream without an attempt.
    pub(crate) fn discard(mut self) {
        self.forget();
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.learn(Outcome::Abandoned);
        self.connection.release();
        // A waiting call increments the count before it looks for room, and room is made here
        // before the count is read: one of the two sees the other.
        if self.pool.waiting.load(Ordering::SeqCst) > 0 {
            self.pool.available.notify_one();
        }
    }
}
