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

/// Endpoint that can be picked. Cheap to clone.
pub trait Candidate: Clone {
    /// Returns its load.
    fn load(&self) -> &Load;

    /// Returns its weight relative to the others: at least 1.
    fn weight(&self) -> u32;
}

/// Set of endpoints to pick from.
#[derive(Debug)]
pub struct Balancer<T> {
    members: Box<[T]>,
    weights: Weights,
    policy: Chooser,
    /// Assumed time of an unknown member, in seconds: the median of the known ones.
    unknown: f32,
}

/// Policy with its state.
#[derive(Debug)]
enum Chooser {
    PeakEwma(Joiners),
    LeastRequest,
    RoundRobin(Turns),
}

/// Members that were unknown when the set was built.
#[derive(Debug)]
struct Joiners {
    indices: Box<[usize]>,
    built: Instant,
    /// Microseconds after `built` before which no search for them begins; [`FOUND`] once all are
    /// known.
    look_again: AtomicU64,
}

const FOUND: u64 = u64::MAX;

/// Merits of a member.
struct Look {
    index: usize,
    rank: Rank,
    cost: f32,
    /// True if its last pick is too long ago, so that it may get a call out of turn.
    forgotten: bool,
}

/// Rank of a member, best first: an untried member goes first, one whose only call is under way
/// last.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Untried,
    Known,
    OnTrial,
}

impl<T: Candidate> Balancer<T> {
    /// Creates a balancer over these members with [`Policy::PeakEwma`].
    pub fn new(members: impl IntoIterator<Item = T>, now: Instant) -> Self {
        Self::with_policy(Policy::PeakEwma, members, now)
    }

    /// Creates a balancer over these members.
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

    /// Returns the members in the given order.
    pub fn members(&self) -> &[T] {
        &self.members
    }

    /// Picks a member for a call that starts now, among those of the best standing. Returns `None`
    /// if all are unusable. `repeatable`: the call may be repeated without harm, so a member that
    /// was not picked for long may get it out of turn.
    pub fn pick<S: Into<Standing>>(
        &self,
        now: Instant,
        rng: &mut Rng,
        repeatable: bool,
        standing: impl Fn(&T) -> S,
    ) -> Option<Picked<T>> {
        [Standing::Fit, Standing::Tried, Standing::Ejected].into_iter().find_map(|worst| {
            // A member whose standing has improved since the last round will do as well.
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

    /// Returns the index of a member and true if this call is its trial.
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
        // Another thread may have claimed the trial.
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

    /// Returns the calls in flight per weight, plus one for the next call. The weight does not
    /// divide that one: idle members are drawn by weight already.
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

    /// Returns a usable member without a call, with its trial claimed.
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
