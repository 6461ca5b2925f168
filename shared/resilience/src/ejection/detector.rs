//! The detector, to which calls are reported.

use std::sync::{Arc, PoisonError};

use tokio::time::Instant;

use super::{
    config::Config,
    endpoint::{Endpoint, length, micros},
    set::{Ejected, EndpointSnapshot, Reason, Set},
    sync::{AtomicU64, Mutex, MutexGuard, Ordering},
};

/// Refusals in a row between two comparisons with the other endpoints.
const COMPARED_EVERY: u32 = 5;

/// Returns if a run of refusals of this length is compared with the others: each takes the lock
/// and looks at all endpoints, so a run that goes on is compared at twice its length.
fn is_compared(run: u32) -> bool {
    let turns = run / COMPARED_EVERY;
    run.is_multiple_of(COMPARED_EVERY) && (turns <= 8 || turns.is_power_of_two())
}

/// Ejects endpoints of one set; `K` names them.
///
/// Calls report without a lock. It is taken when an endpoint is to be ejected, once an
/// interval, and when the set changes.
#[derive(Debug)]
pub struct Detector<K> {
    config: Config,
    epoch: Instant,
    set: Mutex<Set<K>>,
    /// Time of the next comparison, in microseconds after the epoch.
    look_at: AtomicU64,
    /// Until when nobody can be ejected: saves the lock while everything fails.
    full_until: AtomicU64,
}

impl<K: Ord + Clone> Detector<K> {
    /// A detector of no endpoints.
    pub fn new(config: Config, now: Instant) -> Self {
        Self {
            config,
            epoch: now,
            set: Mutex::new(Set::new()),
            look_at: AtomicU64::new(length(config.parameters().interval)),
            full_until: AtomicU64::new(0),
        }
    }

    /// Changes the set to these endpoints, which are returned in the same order. Those
    /// that are in it already keep their state; those that are no longer are not ejected
    /// any more, and what is reported of them counts for nothing.
    pub fn replace(
        &self,
        keys: impl IntoIterator<Item = K>,
        now: Instant,
    ) -> Vec<Arc<Endpoint<K>>> {
        let keys: Vec<K> = keys.into_iter().collect();
        let mut set = self.lock();
        let endpoints = set.replace(keys, self.epoch, self.micros(now), &self.config);
        self.note_full(&set);
        endpoints
    }

    /// Reports a success of the endpoint. Returns the endpoints that were ejected because the comparison of
    /// all was due.
    pub fn succeeded(&self, endpoint: &Endpoint<K>, now: Instant) -> Vec<Ejected<K>> {
        if !endpoint.is_ejected(now) {
            endpoint.succeeded();
        }
        self.look(now)
    }

    /// Reports a refusal, which may be the caller's fault or the endpoint's: a version without the method, a
    /// wrong clock, no data. Returns the endpoints that were ejected: this one, if it alone refuses, and
    /// those that the comparison of all ejects.
    pub fn refused(&self, endpoint: &Endpoint<K>, now: Instant) -> Vec<Ejected<K>> {
        let mut ejected = None;
        if !endpoint.is_ejected(now) {
            let run = endpoint.refused();
            if self.config.parameters().refusals && is_compared(run) {
                let mut set = self.lock();
                ejected = set.compare(endpoint, run, self.micros(now), &self.config);
                self.note_full(&set);
            }
        }
        let mut more = self.look(now);
        more.extend(ejected);
        more
    }

    /// Reports a failure of the endpoint. Returns the endpoints that were ejected: this one, and those that
    /// the comparison of all ejects.
    pub fn failed(&self, endpoint: &Endpoint<K>, now: Instant) -> Vec<Ejected<K>> {
        let mut ejected = None;
        if !endpoint.is_ejected(now) {
            let run = endpoint.failed();
            let room = self.micros(now) >= self.full_until.load(Ordering::Relaxed);
            if run >= self.config.parameters().consecutive_failures && room {
                let mut set = self.lock();
                let reason = Reason::ConsecutiveFailures;
                ejected = set.eject(endpoint, reason, self.micros(now), &self.config);
                self.note_full(&set);
            }
        }
        let mut more = self.look(now);
        more.extend(ejected);
        more
    }

    /// Returns the state of each endpoint, in the order of their keys.
    pub fn snapshot(&self, now: Instant) -> Vec<EndpointSnapshot<K>> {
        self.lock().snapshot(self.epoch, self.micros(now), &self.config)
    }

    /// Looks at the calls of all endpoints if it is time to.
    fn look(&self, now: Instant) -> Vec<Ejected<K>> {
        let now = self.micros(now);
        if now < self.look_at.load(Ordering::Relaxed) {
            return Vec::new();
        }
        let mut set = self.lock();
        let due = self.look_at.load(Ordering::Relaxed);
        if now < due {
            return Vec::new();
        }
        let interval = length(self.config.parameters().interval);
        self.look_at.store(now + interval, Ordering::Relaxed);
        // Nothing ended for a whole interval: what there is says nothing of today.
        if now - due > interval {
            set.forget_counts();
            return Vec::new();
        }
        let ejected = set.judge(now, &self.config);
        self.note_full(&set);
        ejected
    }

    fn note_full(&self, set: &Set<K>) {
        self.full_until.store(set.full_until(&self.config), Ordering::Relaxed);
    }

    fn micros(&self, now: Instant) -> u64 {
        micros(self.epoch, now)
    }

    fn lock(&self) -> MutexGuard<'_, Set<K>> {
        // Keys that panic when they are compared could leave it half done, but whole.
        self.set.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
