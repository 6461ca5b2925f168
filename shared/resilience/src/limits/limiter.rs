//! The limit as the calls of all threads see it.
//!
//! Entering is one compare-and-swap. What a call that ends has to say is taken where
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
};

/// The longest that a refused call is asked to stay away, in windows.
const LONGEST: u32 = 20;

/// A limit of the calls at once that adapts to how long they take. A clone is the same.
#[derive(Clone, Debug)]
pub struct Limiter(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    classes: usize,
    limit: AtomicU32,
    in_flight: AtomicU32,
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
    /// How many calls there may be.
    pub limit: u32,
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
            refused: AtomicU32::new(0),
            away: AtomicU32::new(1),
            controller: Mutex::new(controller),
        }))
    }

    /// Lets a call of this class in, where there are not too many already.
    ///
    /// # Errors
    /// [`Overloaded`] otherwise.
    ///
    /// # Panics
    /// Where there is no such class.
    pub fn try_enter(&self, class: usize, now: Instant) -> Result<Permit, Overloaded> {
        let shared = &*self.0;
        assert!(class < shared.classes, "there are {} classes", shared.classes);
        let limit = shared.limit.load(Ordering::Relaxed);
        // Relaxed: nothing but the numbers themselves is told by them.
        let entered = shared.in_flight.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |all| {
            (all < limit).then_some(all + 1)
        });
        match entered {
            Ok(others) => Ok(Permit {
                shared: Arc::clone(&self.0),
                sample: Sample { class, started: now, in_flight: others + 1, answered: false },
            }),
            Err(_) => {
                shared.refused.fetch_add(1, Ordering::Relaxed);
                Err(Overloaded { limit, away: shared.away.load(Ordering::Relaxed) })
            }
        }
    }

    /// The limiter at this moment.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            limit: self.0.limit.load(Ordering::Relaxed),
            in_flight: self.0.in_flight.load(Ordering::Relaxed),
        }
    }
}

/// One call's place, until it is dropped.
#[derive(Debug)]
#[must_use = "a permit that is dropped is free for the next call"]
pub struct Permit {
    shared: Arc<Shared>,
    sample: Sample,
}

impl Permit {
    /// The call was answered, and well: how long it took says how much there is to do. A
    /// permit that is merely dropped says so only where that was too long.
    pub fn answered(mut self) {
        self.sample.answered = true;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let shared = &*self.shared;
        shared.in_flight.fetch_sub(1, Ordering::Relaxed);
        let Ok(mut controller) = shared.controller.try_lock() else { return };
        if let Some(Judged { limit, calls }) = controller.record(Instant::now(), self.sample) {
            shared.limit.store(limit, Ordering::Relaxed);
            let refused = shared.refused.swap(0, Ordering::Relaxed);
            shared.away.store((1 + refused / calls.max(1)).min(LONGEST), Ordering::Relaxed);
        }
    }
}
