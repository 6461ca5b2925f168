//! Detector of failing endpoints.

use std::sync::{Arc, PoisonError};

use tokio::time::Instant;

use super::{
    config::Config,
    endpoint::{Endpoint, length, micros},
    set::{Ejected, EndpointSnapshot, Reason, Set},
    sync::{AtomicU64, Mutex, MutexGuard, Ordering},
};

/// Consecutive refusals between two comparisons with the other endpoints.
const COMPARED_EVERY: u32 = 5;

/// Returns true if a run of refusals of this length is compared with the other endpoints. A
/// comparison takes the lock and reads all endpoints, so the next one of a run is due at twice its
/// length.
fn is_compared(run: u32) -> bool {
    let turns = run / COMPARED_EVERY;
    run.is_multiple_of(COMPARED_EVERY) && (turns <= 8 || turns.is_power_of_two())
}

/// Detector that ejects endpoints of one set. `K` is their key.
///
/// Reports take no lock, except to eject an endpoint, once an interval, and when the set changes.
#[derive(Debug)]
pub struct Detector<K> {
    config: Config,
    epoch: Instant,
    set: Mutex<Set<K>>,
    /// Time of the next comparison, in microseconds after the epoch.
    look_at: AtomicU64,
    /// Time until which no endpoint can be ejected, in microseconds after the epoch. Saves the lock
    /// while everything fails.
    full_until: AtomicU64,
}

impl<K: Ord + Clone> Detector<K> {
    /// Creates a detector without endpoints.
    pub fn new(config: Config, now: Instant) -> Self {
        Self {
            config,
            epoch: now,
            set: Mutex::new(Set::new()),
            look_at: AtomicU64::new(length(config.parameters().interval)),
            full_until: AtomicU64::new(0),
        }
    }

    /// Changes the set to these endpoints and returns them in the same order. Endpoints that stay
    /// keep their state. Endpoints that leave are no longer ejected, and reports about them have no
    /// effect.
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

    /// Reports a success of the endpoint. Returns the endpoints that a due comparison of all
    /// ejected.
    pub fn succeeded(&self, endpoint: &Endpoint<K>, now: Instant) -> Vec<Ejected<K>> {
        if !endpoint.is_ejected(now) {
            endpoint.succeeded();
        }
        self.look(now)
    }

    /// Reports a refusal, which may be the fault of the caller or of the endpoint: a version
    /// without the method, a wrong clock, no data. Returns the ejected endpoints: this one, if it
    /// alone refuses, and those that a due comparison of all ejected.
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

    /// Reports a failure of the endpoint. Returns the ejected endpoints: this one, and those that a
    /// due comparison of all ejected.
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

    /// Compares all endpoints if the interval has passed.
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
        // No call ended for a whole interval, so the counts are outdated.
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
        // A key that panics in a comparison leaves the set usable.
        self.set.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
