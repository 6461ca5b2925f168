//! The limit as the calls of all threads see it.
//!
//! Entering is one compare-and-swap, and a look at what the caller holds. What a call that ends has to say is taken where
//! nobody else is saying something at that moment, and else it is not: some of the calls
//! tell enough, and none waits for a lock.

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

/// The longest that a refused call is asked to stay away, in windows.
const LONGEST: u32 = 20;

/// Calls at once that are few for one caller, as a part of the limit; one always is.
const FEW: u32 = 64;

/// Limits below this are not shared out among callers: there is too little of them.
const SHARED_FROM: u32 = 8;

/// A limit of the calls at once that adapts to how long they take. A clone is the same.
#[derive(Clone, Debug)]
pub struct Limiter(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    classes: usize,
    limit: AtomicU32,
    in_flight: AtomicU32,
    /// The places that known callers hold.
    callers: Holdings,
    /// Since the last window ended.
    refused: AtomicU32,
    /// How long those that are refused stay away, in windows.
    away: AtomicU32,
    controller: Mutex<Controller>,
}

/// A call that was refused: nothing was done for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{limit} calls are under way, which is all that can be worked at")]
pub struct Overloaded {
    /// The most calls at once.
    pub limit: u32,
    /// Whether other callers would still be let in: this one holds its share.
    pub of_caller: bool,
    away: u32,
}

impl Overloaded {
    /// When to come again: the later, the more were refused for each that was not, so that
    /// those who come again are about as many as can be taken. Give or take a half;
    /// `random` is from 0 to below 1.
    pub fn retry_after(&self, random: f64) -> Duration {
        (WINDOW * self.away).mul_f64(0.5 + random)
    }
}

/// A limiter at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The most calls at once.
    pub limit: u32,
    /// The calls under way.
    pub in_flight: u32,
}

impl Limiter {
    /// A limiter for calls of so many classes.
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

    /// Lets a call of this class in unless there are too many already. It counts for no
    /// caller.
    ///
    /// # Errors
    /// [`Overloaded`] otherwise.
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

    /// Lets a caller's call of this class in unless there are too many already, or the
    /// caller holds its share. `caller` is a hash under a secret.
    ///
    /// Nobody can be sent away who has a place, so each caller is let in only as far as others
    /// will find one too:
    /// - up to three quarters of the limit, anybody;
    /// - up to the limit, a caller with less than an equal part of it: of all of it, if no other
    ///   caller is at work;
    /// - up to a third more than the limit, a caller with few calls: a 64th of the limit, or
    ///   none.
    ///
    /// A limit below 8 is not shared out.
    ///
    /// # Errors
    /// [`Overloaded`] otherwise.
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

    /// The limiter at this moment.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            limit: self.0.limit.load(Ordering::Relaxed),
            in_flight: self.0.in_flight.load(Ordering::Relaxed),
        }
    }
}

impl Shared {
    /// Takes a place if `admit` agrees, which is given the calls under way; so is the result.
    fn take_place(&self, admit: impl Fn(u32) -> bool) -> Result<u32, u32> {
        // Relaxed: nothing but the numbers themselves is told by them.
        self.in_flight
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |all| admit(all).then_some(all + 1))
    }

    fn refuse(&self, limit: u32, of_caller: bool) -> Overloaded {
        self.refused.fetch_add(1, Ordering::Relaxed);
        Overloaded { limit, of_caller, away: self.away.load(Ordering::Relaxed) }
    }
}

/// One call's place, until it is dropped.
#[derive(Debug)]
#[must_use = "a permit that is dropped is free for the next call"]
pub struct Permit {
    shared: Arc<Shared>,
    caller: Option<u64>,
    /// What the call's latency is judged by, if it says anything.
    sample: Option<Sample>,
}

impl Permit {
    /// The call was answered, and well: how long it took says how much there is to do. A
    /// permit that is merely dropped says so only where that was too long.
    pub fn answered(mut self) {
        if let Some(sample) = &mut self.sample {
            sample.answered = true;
        }
    }

    /// Keeps the place, but not the time: for a call that takes as long as its caller
    /// likes.
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
