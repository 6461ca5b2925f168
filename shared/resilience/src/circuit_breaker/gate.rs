//! State of a breaker, shared by all threads.
//!
//! A mutex guards the state machine. It is held for a few dozen instructions, never while foreign
//! code runs. Calls to a healthy dependency bypass it: one atomic word holds the current state and
//! counts the successes of a window without failures and slow calls. In such a window a success
//! changes only that count, and a full window not even that: a healthy call costs two loads.
//!
//! The word is changed under the mutex only, except for counting. A thread that takes the mutex first
//! moves the count out of the word, so that later successes take the mutex too, and restores the
//! word when done.

use fastrand::Rng;
use tokio::time::Instant;

use super::{
    config::{Config, WindowKind},
    machine::{Admission, Machine},
    state::{Rejected, Snapshot, Transition},
    sync::{AtomicU64, Mutex, Ordering},
    window::Ended,
};

/// State that is readable without the mutex. From the lowest bit: closed, all good, 16 bits for the
/// number of good calls, 46 bits for the generation.
#[derive(Clone, Copy)]
struct Word(u64);

const CLOSED: u64 = 1;
const ALL_GOOD: u64 = 1 << 1;
const ONE_CALL: u64 = 1 << 2;
const CALLS: u64 = 0xffff << 2;
const GENERATION: u32 = 18;

impl Word {
    fn new(generation: u64, closed: bool, good: Option<u32>) -> Self {
        let calls = good.map_or(0, |good| ALL_GOOD | (u64::from(good) * ONE_CALL) & CALLS);
        Self(generation << GENERATION | calls | if closed { CLOSED } else { 0 })
    }

    fn generation(self) -> u64 {
        self.0 >> GENERATION
    }

    fn is_closed(self) -> bool {
        self.0 & CLOSED != 0
    }

    /// Returns the number of calls in a window without failures and slow calls.
    fn good(self) -> Option<u32> {
        // 16 bits fit a usize.
        (self.0 & ALL_GOOD != 0).then_some(((self.0 & CALLS) / ONE_CALL) as u32)
    }
}

pub(super) struct Gate {
    word: AtomicU64,
    /// Largest count of good calls: at most 10,000, which fits 16 bits.
    capacity: u32,
    locked: Mutex<Locked>,
}

struct Locked {
    machine: Machine,
    rng: Rng,
}

impl Gate {
    pub(super) fn new(config: Config, rng: Rng) -> Self {
        let mut machine = Machine::new(config);
        let word = Word::new(machine.generation(), true, machine.take_good());
        Self {
            word: AtomicU64::new(word.0),
            capacity: match config.parameters().window {
                WindowKind::Calls(calls) => calls,
                WindowKind::Time { .. } => 0,
            },
            locked: Mutex::new(Locked { machine, rng }),
        }
    }

    pub(super) fn admit(&self, now: Instant) -> (Result<Admission, Rejected>, Option<Transition>) {
        let word = Word(self.word.load(Ordering::Acquire));
        if word.is_closed() {
            return (Ok(Admission { generation: word.generation(), probe: false }), None);
        }
        self.with(|locked| locked.machine.admit(now))
    }

    pub(super) fn record(
        &self,
        admission: Admission,
        ended: Option<Ended>,
        now: Instant,
    ) -> Option<Transition> {
        // Only a probe has a permit to return.
        if ended.is_none() && !admission.probe {
            return None;
        }
        if ended == Some(Ended::default()) && self.count_good(admission) {
            return None;
        }
        self.with(|Locked { machine, rng }| machine.record(admission, ended, now, rng))
    }

    /// Counts a success without the mutex. Returns false if the mutex is needed.
    fn count_good(&self, admission: Admission) -> bool {
        let mut word = Word(self.word.load(Ordering::Acquire));
        while let Some(good) = word.good() {
            // A call of an older generation does not match; a full window does not change.
            if word.generation() != admission.generation || good >= self.capacity {
                return true;
            }
            match self.word.compare_exchange_weak(
                word.0,
                word.0 + ONE_CALL,
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                Ok(_) => return true,
                Err(newer) => word = Word(newer),
            }
        }
        false
    }

    pub(super) fn snapshot(&self, now: Instant) -> Snapshot {
        self.with(|locked| locked.machine.snapshot(now))
    }

    fn with<T>(&self, act: impl FnOnce(&mut Locked) -> T) -> T {
        // No code under the mutex panics, and each step would leave a usable state.
        let mut locked = self.locked.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let word = Word(self.word.fetch_and(!(ALL_GOOD | CALLS), Ordering::AcqRel));
        if let Some(good) = word.good() {
            locked.machine.put_good(good);
        }
        let result = act(&mut locked);
        let machine = &mut locked.machine;
        let (generation, closed) = (machine.generation(), machine.is_closed());
        let word = Word::new(generation, closed, machine.take_good());
        self.word.store(word.0, Ordering::Release);
        result
    }
}
