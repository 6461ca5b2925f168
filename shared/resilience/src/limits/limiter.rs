//! Concurrency limiter, shared by all threads.
//!
//! Entering costs one compare-and-swap and a lookup of the caller's share. The measurement of a
//! call that ends is recorded only if the lock is free: a sample of the calls suffices, and none
//! waits.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use super::{
    concurrency::ConcurrencyConfig,
    controller::{Controller, Judged, Sample, WINDOW},
    holdings::Holdings,
};

/// Maximum retry delay of a refused call, in windows.
const LONGEST: u32 = 20;

/// A caller with at most this fraction of the limit (one in so many) has few calls; one call is
/// always few.
const FEW: u32 = 64;

/// Limits below this are not shared out: they are too small.
const SHARED_FROM: u32 = 8;

/// Limit of calls at once that adapts to their latency. Clones share it.
#[derive(Clone, Debug)]
pub struct Limiter(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    classes: usize,
    limit: AtomicU32,
    in_flight: AtomicU32,
    /// Number of permits by caller.
    callers: Holdings,
    /// Number of calls refused since the last window ended.
    refused: AtomicU32,
    /// Retry delay of refused calls, in windows.
    away: AtomicU32,
    controller: Mutex<Controller>,
}

/// Error of a refused call; nothing was done for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{limit} calls are in flight, which is the limit")]
pub struct Overloaded {
    /// Limit of calls at once.
    pub limit: u32,
    /// True if other callers would be let in: the caller holds its share.
    pub of_caller: bool,
    away: u32,
}

impl Overloaded {
    /// Returns the retry delay. It grows with the ratio of refused to accepted calls, so that about
    /// as many return as can be served. Jittered by half; `random` is in [0, 1).
    pub fn retry_after(&self, random: f64) -> Duration {
        (WINDOW * self.away).mul_f64(0.5 + random)
    }
}

/// State of a limiter at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Limit of calls at once.
    pub limit: u32,
    /// Number of calls in flight.
    pub in_flight: u32,
}

impl Limiter {
    /// Creates a limiter for `classes` classes of calls.
    pub fn new(config: ConcurrencyConfig, classes: usize, now: Instant) -> Self {
        let controller = Controller::new(config, classes, now);
        Self(Arc::new(Shared {
            classes,
            limit: AtomicU32::new(controller.limit()),
            in_flight: AtomicU32::new(0),
            callers: Holdings::new(),
            refused: AtomicU32::new(0),
            away: AtomicU32::new(1),
            controller: Mutex::new(controller),
        }))
    }

    /// Lets a call of this class in if the limit allows it. The call counts for no caller.
    ///
    /// # Errors
    /// [`Overloaded`] if the limit is reached.
    ///
    /// # Panics
    /// If there is no such class.
    pub fn try_enter(&self, class: usize, now: Instant) -> Result<Permit, Overloaded> {
        self.check(class);
        let limit = self.0.limit.load(Ordering::Relaxed);
        match self.0.take_place(|all| all < limit) {
            Ok(others) => Ok(self.permit(class, now, others, None)),
            Err(_) => Err(self.0.refuse(limit, false)),
        }
    }

    /// Lets a call of this class in if the limit and the caller's share allow it. `caller` is a
    /// hash under a secret.
    ///
    /// A call in flight cannot be revoked, so a caller is let in only as far as there is room for
    /// others:
    /// - up to three quarters of the limit: any caller;
    /// - up to the limit: a caller with less than an equal part, which is all of it if no other
    ///   caller has a call in flight;
    /// - up to a third more than the limit: a caller with few calls (a 64th of the limit, or none).
    ///
    /// A limit below 8 is not shared out.
    ///
    /// # Errors
    /// [`Overloaded`] if the limit or the share is reached.
    ///
    /// # Panics
    /// If there is no such class.
    pub fn try_enter_for(
        &self,
        caller: u64,
        class: usize,
        now: Instant,
    ) -> Result<Permit, Overloaded> {
        self.check(class);
        let shared = &*self.0;
        let limit = shared.limit.load(Ordering::Relaxed);
        if limit < SHARED_FROM {
            return self.try_enter(class, now);
        }
        let most = limit + limit / 3;
        let entered = shared.callers.try_add(caller, 1, |held| {
            let callers = shared.callers.len() as u64 + u64::from(held == 0);
            let bound = if held < u64::from(limit / FEW).max(1) {
                most
            } else if held < u64::from(limit) / callers.max(1) {
                limit
            } else {
                limit - limit / 4
            };
            shared.take_place(|all| all < bound)
        });
        match entered {
            Ok(others) => Ok(self.permit(class, now, others, Some(caller))),
            Err(others) => Err(shared.refuse(limit, others < most)),
        }
    }

    fn check(&self, class: usize) {
        assert!(class < self.0.classes, "there are {} classes", self.0.classes);
    }

    fn permit(&self, class: usize, started: Instant, others: u32, caller: Option<u64>) -> Permit {
        let sample = Sample { class, started, in_flight: others + 1, answered: false };
        Permit { shared: Arc::clone(&self.0), caller, sample: Some(sample) }
    }

    /// Returns the current state.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            limit: self.0.limit.load(Ordering::Relaxed),
            in_flight: self.0.in_flight.load(Ordering::Relaxed),
        }
    }
}

impl Shared {
    /// Takes a place if `admit` agrees. Both `admit` and the result have the number of calls in
    /// flight.
    fn take_place(&self, admit: impl Fn(u32) -> bool) -> Result<u32, u32> {
        // Relaxed: the counter guards no other data.
        self.in_flight
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |all| admit(all).then_some(all + 1))
    }

    fn refuse(&self, limit: u32, of_caller: bool) -> Overloaded {
        self.refused.fetch_add(1, Ordering::Relaxed);
        Overloaded { limit, of_caller, away: self.away.load(Ordering::Relaxed) }
    }
}

/// Place of one call, released when dropped.
#[derive(Debug)]
#[must_use = "a permit that is dropped is free for the next call"]
pub struct Permit {
    shared: Arc<Shared>,
    caller: Option<u64>,
    /// Measurement of the call, if it is measured.
    sample: Option<Sample>,
}

impl Permit {
    /// Records that the call was answered successfully, so that its latency counts. A permit that
    /// is only dropped counts only if the call took too long already.
    pub fn answered(mut self) {
        if let Some(sample) = &mut self.sample {
            sample.answered = true;
        }
    }

    /// Keeps the place but discards the measurement, for a call whose duration is up to its caller.
    pub fn unmeasured(self) -> Self {
        let mut permit = self;
        permit.sample = None;
        permit
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let shared = &*self.shared;
        if let Some(caller) = self.caller {
            shared.callers.remove(caller, 1);
        }
        shared.in_flight.fetch_sub(1, Ordering::Relaxed);
        let Some(sample) = self.sample else { return };
        let Ok(mut controller) = shared.controller.try_lock() else { return };
        if let Some(Judged { limit, calls }) = controller.record(Instant::now(), sample) {
            shared.limit.store(limit, Ordering::Relaxed);
            let refused = shared.refused.swap(0, Ordering::Relaxed);
            shared.away.store((1 + refused / calls.max(1)).min(LONGEST), Ordering::Relaxed);
        }
    }
}
