//! The choice among a set of endpoints.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use fastrand::Rng;
use tokio::time::Instant;

use super::{
    load::Load, picked::Picked, policy::Policy, round_robin::Turns, standing::Standing,
    weights::Weights,
};

/// Assumed time of an unknown endpoint in a set without estimates, in seconds.
const DEFAULT_SECONDS: f32 = 0.03;

/// Pause after a search for joiners that found none to try.
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
    weights: Weights,
    policy: Chooser,
    /// Assumed time of an unknown member, in seconds: the median of the known ones.
    unknown: f32,
}

/// A policy and what it has to remember.
#[derive(Debug)]
enum Chooser {
    PeakEwma(Joiners),
    LeastRequest,
    RoundRobin(Turns),
}

/// The members that were unknown when the set was built.
#[derive(Debug)]
struct Joiners {
    indices: Box<[usize]>,
    built: Instant,
    /// Microseconds since `built` before which nobody looks for them; [`FOUND`] once
    /// all are known.
    look_again: AtomicU64,
}

const FOUND: u64 = u64::MAX;

/// Merits of a member.
struct Look {
    index: usize,
    rank: Rank,
    cost: f32,
    /// True if it was not picked for long.
    forgotten: bool,
}

/// First comes whom nothing is known of, and last whose one call is under way.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Untried,
    Known,
    OnTrial,
}

impl<T: Candidate> Balancer<T> {
    /// A balancer over these members, by [`Policy::PeakEwma`].
    pub fn new(members: impl IntoIterator<Item = T>, now: Instant) -> Self {
        Self::with_policy(Policy::PeakEwma, members, now)
    }

    /// A balancer over these members.
    pub fn with_policy(policy: Policy, members: impl IntoIterator<Item = T>, now: Instant) -> Self {
        let members: Box<[T]> = members.into_iter().collect();
        let weights = Weights::new(members.iter().map(Candidate::weight));
        let mut known: Vec<f32> =
            members.iter().filter_map(|member| member.load().seconds(now)).collect();
        known.sort_by(f32::total_cmp);
        let policy = match policy {
            Policy::PeakEwma => Chooser::PeakEwma(Joiners::among(&members, now)),
            Policy::LeastRequest => Chooser::LeastRequest,
            Policy::RoundRobin => Chooser::RoundRobin(Turns::new(members.len(), &weights)),
        };
        let unknown = known.get(known.len() / 2).copied().unwrap_or(DEFAULT_SECONDS);
        Self { members, weights, policy, unknown }
    }

    /// The members, in the order they were given.
    pub fn members(&self) -> &[T] {
        &self.members
    }

    /// Picks a member for a call that starts now, among those that stand best; `None`
    /// where all are unusable. `repeatable` says that the call does no harm when it has
    /// to be made again, so that a member which was long not picked may get it out of
    /// turn.
    pub fn pick<S: Into<Standing>>(
        &self,
        now: Instant,
        rng: &mut Rng,
        repeatable: bool,
        standing: impl Fn(&T) -> S,
    ) -> Option<Picked<T>> {
        [Standing::Fit, Standing::Tried, Standing::Ejected].into_iter().find_map(|worst| {
            // A member that has become better since the last round will do as well.
            let will_do = |index: usize| standing(&self.members[index]).into() <= worst;
            let (index, trial) = match &self.policy {
                Chooser::PeakEwma(joiners) => {
                    self.cheapest(joiners, now, rng, repeatable, will_do)?
                }
                Chooser::LeastRequest => (self.least(rng, will_do)?, false),
                Chooser::RoundRobin(turns) => (turns.next(rng, will_do)?, false),
            };
            Some(Picked::new(&self.members[index], now, self.unknown, trial))
        })
    }

    /// Gives the member, and whether this is its trial.
    fn cheapest(
        &self,
        joiners: &Joiners,
        now: Instant,
        rng: &mut Rng,
        repeatable: bool,
        will_do: impl Fn(usize) -> bool,
    ) -> Option<(usize, bool)> {
        if let Some(joiner) = joiners.next(&self.members, now, rng, &will_do) {
            return Some((joiner, true));
        }
        let first = self.weights.draw(rng, None, &will_do)?;
        let first = self.look(first, now);
        let Some(second) = self.weights.draw(rng, Some(first.index), &will_do) else {
            return Some((first.index, self.is_trial(&first)));
        };
        let second = self.look(second, now);
        if repeatable && first.forgotten != second.forgotten {
            let forgotten = if first.forgotten { &first } else { &second };
            if self.members[forgotten.index].load().claim_forgotten(now) {
                return Some((forgotten.index, self.is_trial(forgotten)));
            }
        }
        let second_first = (second.rank, second.cost) < (first.rank, first.cost);
        let (better, worse) = if second_first { (second, first) } else { (first, second) };
        // If another thread was faster, the trial is its.
        match self.is_trial(&better) {
            false if better.rank == Rank::Untried => Some((worse.index, self.is_trial(&worse))),
            trial => Some((better.index, trial)),
        }
    }

    fn look(&self, index: usize, now: Instant) -> Look {
        let load = self.members[index].load();
        let known = load.look(now);
        let rank = match known.seconds {
            Some(_) => Rank::Known,
            None if load.is_on_trial() => Rank::OnTrial,
            None => Rank::Untried,
        };
        let cost = known.seconds.unwrap_or(self.unknown) * self.queue(index);
        Look { index, rank, cost, forgotten: known.forgotten && rank != Rank::OnTrial }
    }

    /// Returns true if the call that a member gets now is the one by which it becomes known.
    fn is_trial(&self, look: &Look) -> bool {
        look.rank == Rank::Untried && self.members[look.index].load().claim_trial()
    }

    fn least(&self, rng: &mut Rng, will_do: impl Fn(usize) -> bool) -> Option<usize> {
        let first = self.weights.draw(rng, None, &will_do)?;
        let second = self.weights.draw(rng, Some(first), &will_do);
        second.filter(|&second| self.queue(second) < self.queue(first)).or(Some(first))
    }

    /// The calls in flight for its weight, and the next one. The weight is not in the
    /// latter: idle members are drawn by weight already.
    fn queue(&self, index: usize) -> f32 {
        self.members[index].load().in_flight() as f32 / self.weights.share(index) + 1.0
    }
}

impl Joiners {
    fn among<T: Candidate>(members: &[T], now: Instant) -> Self {
        let unknown = |&index: &usize| members[index].load().seconds(now).is_none();
        let indices: Box<[usize]> = (0..members.len()).filter(unknown).collect();
        let look_again = AtomicU64::new(if indices.is_empty() { FOUND } else { 0 });
        Self { indices, built: now, look_again }
    }

    /// One that will do and has no call yet; its trial is claimed.
    fn next<T: Candidate>(
        &self,
        members: &[T],
        now: Instant,
        rng: &mut Rng,
        will_do: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        let look_again = self.look_again.load(Ordering::Relaxed);
        if look_again == FOUND {
            return None;
        }
        // Centuries fit.
        let micros = now.saturating_duration_since(self.built).as_micros() as u64;
        if micros < look_again {
            return None;
        }
        let (head, tail) = self.indices.split_at(rng.usize(..self.indices.len()));
        let mut all_found = true;
        for &index in tail.iter().chain(head) {
            let load = members[index].load();
            if load.seconds(now).is_some() {
                continue;
            }
            all_found = false;
            if will_do(index) && load.claim_trial() {
                return Some(index);
            }
        }
        let pause = micros + LOOK_AGAIN.as_micros() as u64;
        self.look_again.store(if all_found { FOUND } else { pause }, Ordering::Relaxed);
        None
    }
}
