//! The rules of a saga, pure: the fold of its log into what is to be done next.

use std::collections::VecDeque;

use crate::{Entry, Failure};

/// The shape of a saga: all that the rules need to know of its definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// The steps' names, in order.
    pub(crate) steps: Vec<&'static str>,
    /// The first step that cannot be undone. Within `steps`.
    pub(crate) pivot: usize,
    /// How many rounds without an answer an undo, or a step from the pivot on, may
    /// take before the saga is parked. At least 1.
    pub(crate) patience: u32,
}

/// What is to be done next. Steps are given by their index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next<'a> {
    /// Run the step. It was left without an answer for `rounds` rounds.
    Run {
        /// The step.
        step: usize,
        /// The rounds.
        rounds: u32,
    },
    /// Undo the step. Undoing it was left without an answer for `rounds` rounds.
    Undo {
        /// The step.
        step: usize,
        /// The rounds.
        rounds: u32,
        /// Why the saga turned back.
        why: &'a Failure,
    },
    /// Nothing: see [`Progress::status`].
    Nothing,
}

/// What has become of a saga.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// There is something to do.
    Running,
    /// Every step is done.
    Completed,
    /// Every step that was begun is undone.
    Undone,
    /// Parked until an operator has seen to it.
    Stuck,
}

impl Status {
    /// As adapters store it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Undone => "undone",
            Self::Stuck => "stuck",
        }
    }
}

/// A log that the plan cannot have led to: its definition was changed under it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the saga's log does not fit its definition at {0:?}")]
pub(crate) struct Misfit(Entry);

/// Where a saga stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Progress(Phase);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Phase {
    /// At `step`, begun `attempts` times.
    Forward {
        step: usize,
        attempts: u32,
        rounds: u32,
    },
    /// Undoing: each step still to be undone, with its rounds.
    Back {
        why: Failure,
        pending: VecDeque<(usize, u32)>,
    },
    Ended(Status),
}

impl Plan {
    /// Where a saga with an empty log stands.
    pub(crate) fn begin(&self) -> Progress {
        Progress(self.at(0))
    }

    /// Where a saga with this log stands.
    pub(crate) fn fold<'a>(
        &self,
        log: impl IntoIterator<Item = &'a Entry>,
    ) -> Result<Progress, Misfit> {
        log.into_iter().try_fold(self.begin(), |progress, entry| self.apply(progress, entry))
    }

    /// Where a saga stands after one more entry.
    pub(crate) fn apply(&self, progress: Progress, entry: &Entry) -> Result<Progress, Misfit> {
        use Entry::{Failed, Started, Succeeded, UndoDone, UndoFailed, UndoStarted};
        use Failure::{Refused, Unanswered};
        use Phase::{Back, Ended, Forward};

        let is = |index: usize, name: &str| self.steps.get(index) == Some(&name);
        let first = |pending: &VecDeque<(usize, u32)>, name: &str| {
            pending.front().is_some_and(|(index, _)| is(*index, name))
        };

        let phase = match (progress.0, entry) {
            (Forward { step, attempts, rounds }, Started { step: name }) if is(step, name) => {
                Forward { step, attempts: attempts + 1, rounds }
            }
            (Forward { step, .. }, Succeeded { step: name }) if is(step, name) => self.at(step + 1),
            (Forward { step, attempts, rounds }, Failed { step: name, failure })
                if is(step, name) =>
            {
                match failure {
                    // An earlier attempt without an answer may still arrive, so the
                    // step itself is undone too.
                    Refused { .. } if step < self.pivot => {
                        back(failure, if attempts > 1 { step + 1 } else { step })
                    }
                    Unanswered { .. } if step < self.pivot => back(failure, step + 1),
                    Refused { .. } if step == self.pivot => back(failure, step),
                    Unanswered { .. } if rounds + 1 < self.patience => {
                        Forward { step, attempts, rounds: rounds + 1 }
                    }
                    Refused { .. } | Unanswered { .. } => Ended(Status::Stuck),
                }
            }
            (Back { why, pending }, UndoStarted { step: name }) if first(&pending, name) => {
                Back { why, pending }
            }
            (Back { why, mut pending }, UndoDone { step: name }) if first(&pending, name) => {
                pending.pop_front();
                turned(why, pending)
            }
            (Back { why, mut pending }, UndoFailed { step: name, failure })
                if first(&pending, name) =>
            {
                match (failure, pending.pop_front()) {
                    (Unanswered { .. }, Some((step, rounds))) if rounds + 1 < self.patience => {
                        pending.push_back((step, rounds + 1));
                        turned(why, pending)
                    }
                    _ => Ended(Status::Stuck),
                }
            }
            _ => return Err(Misfit(entry.clone())),
        };
        Ok(Progress(phase))
    }

    fn at(&self, step: usize) -> Phase {
        if step == self.steps.len() {
            return Phase::Ended(Status::Completed);
        }
        Phase::Forward { step, attempts: 0, rounds: 0 }
    }
}

/// Turns back: the first `begun` steps are to be undone, in reverse.
fn back(why: &Failure, begun: usize) -> Phase {
    turned(why.clone(), (0..begun).rev().map(|step| (step, 0)).collect())
}

fn turned(why: Failure, pending: VecDeque<(usize, u32)>) -> Phase {
    if pending.is_empty() {
        return Phase::Ended(Status::Undone);
    }
    Phase::Back { why, pending }
}

impl Progress {
    /// What is to be done next.
    pub(crate) fn next(&self) -> Next<'_> {
        match &self.0 {
            Phase::Forward { step, rounds, .. } => Next::Run { step: *step, rounds: *rounds },
            Phase::Back { why, pending } => match pending.front() {
                Some((step, rounds)) => Next::Undo { step: *step, rounds: *rounds, why },
                None => Next::Nothing,
            },
            Phase::Ended(_) => Next::Nothing,
        }
    }

    /// What has become of the saga.
    pub(crate) fn status(&self) -> Status {
        match self.0 {
            Phase::Forward { .. } | Phase::Back { .. } => Status::Running,
            Phase::Ended(status) => status,
        }
    }
}

#[cfg(test)]
#[path = "progress_tests.rs"]
mod tests;
