//! Rules of a saga as a pure state machine: folds a log into the next action.

use std::collections::VecDeque;

use crate::{Entry, Failure};

/// Shape of a definition: all that the rules need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Names of the steps, in order.
    pub(crate) steps: Vec<&'static str>,
    /// Index of the first step that cannot be undone. Within `steps`.
    pub(crate) pivot: usize,
    /// Number of unanswered rounds of an undo, or of a step from the pivot on, after which the saga
    /// is parked. At least 1.
    pub(crate) max_rounds: u32,
}

/// Next action. Steps are given by their index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next<'a> {
    /// Run the step.
    Run {
        /// The step.
        step: usize,
        /// Unanswered rounds so far.
        rounds: u32,
    },
    /// Undo the step.
    Undo {
        /// The step.
        step: usize,
        /// Unanswered rounds so far.
        rounds: u32,
        /// Failure that turned the saga back.
        why: &'a Failure,
    },
    /// Nothing: the saga ended or is parked. See [`Progress::status`].
    Nothing,
}

/// Status of a saga.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// Steps remain to be run or undone.
    Running,
    /// Every step is done.
    Completed,
    /// Every started step is undone.
    Undone,
    /// Parked for an operator.
    Stuck,
}

impl Status {
    /// Returns the name that adapters store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Undone => "undone",
            Self::Stuck => "stuck",
        }
    }
}

/// A log entry that the plan cannot have produced: the definition was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the saga's log does not match its definition at {0:?}")]
pub(crate) struct LogMismatch(Entry);

/// Position of a saga in its plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Progress(Phase);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Phase {
    /// Running `step`, which was attempted `attempts` times.
    Forward {
        step: usize,
        attempts: u32,
        rounds: u32,
    },
    /// Undoing: the steps that remain to be undone, each with its unanswered rounds.
    Back {
        why: Failure,
        pending: VecDeque<(usize, u32)>,
    },
    Ended(Status),
}

impl Plan {
    /// Returns the progress of an empty log.
    pub(crate) fn begin(&self) -> Progress {
        Progress(self.at(0))
    }

    /// Returns the progress of a log.
    pub(crate) fn fold<'a>(
        &self,
        log: impl IntoIterator<Item = &'a Entry>,
    ) -> Result<Progress, LogMismatch> {
        log.into_iter().try_fold(self.begin(), |progress, entry| self.apply(progress, entry))
    }

    /// Returns the progress after one more entry.
    pub(crate) fn apply(&self, progress: Progress, entry: &Entry) -> Result<Progress, LogMismatch> {
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
                    // An earlier unanswered attempt may still arrive, so the step itself is
                    // undone too.
                    Refused { .. } if step < self.pivot => {
                        back(failure, if attempts > 1 { step + 1 } else { step })
                    }
                    Unanswered { .. } if step < self.pivot => back(failure, step + 1),
                    Refused { .. } if step == self.pivot => back(failure, step),
                    Unanswered { .. } if rounds + 1 < self.max_rounds => {
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
                    (Unanswered { .. }, Some((step, rounds))) if rounds + 1 < self.max_rounds => {
                        pending.push_back((step, rounds + 1));
                        turned(why, pending)
                    }
                    _ => Ended(Status::Stuck),
                }
            }
            _ => return Err(LogMismatch(entry.clone())),
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

/// Turns back: undoes the first `begun` steps, in reverse.
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
    /// Returns the next action.
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

    /// Returns the saga's status.
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
