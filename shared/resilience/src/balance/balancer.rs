//! The choice among a set of endpoints.

use std::{
    fmt,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use fastrand::Rng;
use tokio::time::Instant;

use super::load::{Load, Outcome};

/// What an unknown endpoint is taken for where the whole set is unknown.
const DEFAULT_SECONDS: f32 = 0.03;

/// How long nobody looks for unknown endpoints after a look that found none to try.
const LOOK_AGAIN: Duration = Duration::from_millis(1);

/// Something that can be picked; cheap to clone.
pub trait Candidate: Clone {
    /// Its load.
    fn load(&self) -> &Load;

    /// Its share relative to the others: at least 1.
    fn weight(&self) -> u32;
}

/// A set of endpoints to pick from.
#[derive(Debug)]
pub struct Balancer<T> {
    members: Box<[T]>,
    /// What an unknown member is taken for: the median of the known ones.
    unknown: f32,
    /// Whether every member is known; it stays so.
    settled: AtomicBool,
    built: Instant,
    /// Microseconds since `built` before which nobody looks for unknown members.
    look_again: AtomicU64,
}

impl<T: Candidate> Balancer<T> {
    /// A balancer over these members.
    pub fn new(members: impl IntoIterator<Item = T>, now: Instant) -> Self {
        let members: Box<[T]> = members.into_iter().collect();
        let mut known: Vec<f32> =
            members.iter().filter_map(|member| member.load().seconds(now)).collect();
        known.sort_by(f32::total_cmp);
        Self {
            unknown: known.get(known.len() / 2).copied().unwrap_or(DEFAULT_SECONDS),
            settled: AtomicBool::new(known.len() == members.len()),
            built: now,
            look_again: AtomicU64::new(0),
            members,
        }
    }

    /// The members, in the order they were given.
    pub fn members(&self) -> &[T] {
        &self.members
    }

    /// Picks a usable member for a call that starts now; `None` where there is none.
    /// `repeatable` says that the call does no harm when it has to be made again, so
    /// that a member which was long not picked may get it out of turn.
    pub fn pick(
        &self,
        now: Instant,
        rng: &mut Rng,
        repeatable: bool,
        usable: impl Fn(&T) -> bool,
    ) -> Option<Picked<T>> {
        if let Some(member) = self.untried(now, rng, &usable) {
            return Some(Picked::new(member, now, true));
        }
        let count = self.members.len();
        let first = self.usable_from(rng.usize(..count.max(1)), None, &usable)?;
        // Each of the others is as likely to be where the second look starts.
        let start = (first + rng.usize(1..count.max(2))) % count;
        let member = match self.usable_from(start, Some(first), &usable) {
            Some(second) => self.better(first, second, now, repeatable),
            None => first,
        };
        Some(Picked::new(&self.members[member], now, false))
    }

    /// A usable member that nothing is known of and that has no call yet.
    fn untried(&self, now: Instant, rng: &mut Rng, usable: &impl Fn(&T) -> bool) -> Option<&T> {
        if self.settled.load(Ordering::Relaxed) {
            return None;
        }
        let micros = |at: Instant| at.saturating_duration_since(self.built).as_micros() as u64;
        if micros(now) < self.look_again.load(Ordering::Relaxed) {
            return None;
        }
        let (head, tail) = self.members.split_at(rng.usize(..self.members.len().max(1)));
        let mut unknown = false;
        for member in tail.iter().chain(head).filter(|member| member.load().is_unknown()) {
            unknown = true;
            if usable(member) && member.load().claim_trial() {
                return Some(member);
            }
        }
        if unknown {
            self.look_again.store(micros(now + LOOK_AGAIN), Ordering::Relaxed);
        } else {
            self.settled.store(true, Ordering::Relaxed);
        }
        None
    }

    /// The first usable member from `start` on, around the end, other than `taken`.
    fn usable_from(
        &self,
        start: usize,
        taken: Option<usize>,
        usable: &impl Fn(&T) -> bool,
    ) -> Option<usize> {
        (start..self.members.len())
            .chain(0..start)
            .find(|&index| Some(index) != taken && usable(&self.members[index]))
    }

    fn better(&self, first: usize, second: usize, now: Instant, repeatable: bool) -> usize {
        let loads = [first, second].map(|index| self.members[index].load());
        if repeatable {
            let forgotten = loads.map(|load| !load.is_on_trial() && load.is_forgotten(now));
            match forgotten {
                [true, false] => return first,
                [false, true] => return second,
                [true, true] | [false, false] => {}
            }
        }
        // On trial is dearer than any cost; among such the cost decides again.
        let cost = |index: usize| {
            let member = &self.members[index];
            let cost = member.load().cost(now, self.unknown) / member.weight().max(1) as f32;
            (member.load().is_on_trial(), cost)
        };
        if cost(second) < cost(first) { second } else { first }
    }
}

/// A member with a call in flight, until it is dropped.
pub struct Picked<T: Candidate> {
    member: T,
    started: Instant,
    trial: bool,
}

impl<T: Candidate> Picked<T> {
    fn new(member: &T, now: Instant, trial: bool) -> Self {
        member.load().began(now);
        Self { member: member.clone(), started: now, trial }
    }

    /// The member.
    pub fn member(&self) -> &T {
        &self.member
    }

    /// When it was picked.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// Learns from the call: to be called once, when the headers arrive or fail to. A
    /// call that was never sent teaches nothing: drop it without this.
    pub fn learn(&mut self, now: Instant, outcome: Outcome) {
        let took = now.saturating_duration_since(self.started);
        self.member.load().observe(now, took, outcome);
        self.end_trial();
    }

    fn end_trial(&mut self) {
        if std::mem::take(&mut self.trial) {
            self.member.load().trial_over();
        }
    }
}

impl<T: Candidate> Drop for Picked<T> {
    fn drop(&mut self) {
        self.member.load().ended();
        self.end_trial();
    }
}

impl<T: Candidate + fmt::Debug> fmt::Debug for Picked<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Picked").field("member", &self.member).finish_non_exhaustive()
    }
}
