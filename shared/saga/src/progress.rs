//! Rules of a saga as a pure state machine: folds a log into the next action.

use std::collections::VecDeque;

use crate::{Entry, Failure};

/// Definition reduced to the facts that the rules need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Names of the steps, in order.
    pub(crate) steps: Vec<&'static str>,
    /// Number of first steps that are done when the saga begins.
    pub(crate) done: usize,
    /// Index in `steps` of the first step that cannot be undone.
    pub(crate) pivot: usize,
    /// Number of unanswered rounds of an undo, or of a step from the pivot on, after which the saga
    /// is parked. At least 1.
    pub(crate) max_rounds: u32,
}

/// Next action. A `step` is an index into [`Plan::steps`].
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
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Running, Self::Completed, Self::Undone, Self::Stuck];

    /// Parses the name that adapters store.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == name)
    }

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

/// Log entry that the plan cannot have produced. The definition was changed without a new name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the saga's log does not match its definition at {0:?}")]
pub(crate) struct LogMismatch(Entry);

/// Reason why a saga cannot be aborted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AbortError {
    /// The pivot was attempted: from then on, the saga only goes forward.
    #[error("the pivot {pivot} was attempted, and from then on the saga only goes forward")]
    PastPivot {
        /// Name of the pivot.
        pivot: &'static str,
    },
    /// The saga turned back before.
    #[error("the saga is being undone already")]
    Undoing,
    /// The saga has ended.
    #[error("the saga has ended: it is {}", .0.as_str())]
    Ended(Status),
}

/// Position of a saga in its plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Progress(Phase);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Phase {
    /// Running `step`, which was attempted `attempts` times.
    Forward { step: usize, attempts: u32, rounds: u32 },
    /// Undoing: the steps that remain to be undone, each with its unanswered rounds.
    Back { why: Failure, pending: VecDeque<(usize, u32)> },
    /// Parked for an operator, and resumed in this phase.
    Parked(Box<Phase>),
    /// Completed or undone.
    Ended(Status),
}

impl Plan {
    /// Returns the progress of an empty log.
    pub(crate) fn begin(&self) -> Progress {
        Progress(self.at(self.done))
    }

    /// Returns the progress of a log.
    pub(crate) fn fold<'a>(
        &self,
        log: impl IntoIterator<Item = &'a Entry>,
    ) -> Result<Progress, LogMismatch> {
        self.extend(self.begin(), log)
    }

    /// Returns the progress after more entries.
    pub(crate) fn extend<'a>(
        &self,
        progress: Progress,
        log: impl IntoIterator<Item = &'a Entry>,
    ) -> Result<Progress, LogMismatch> {
        log.into_iter().try_fold(progress, |progress, entry| self.apply(progress, entry))
    }

    /// Returns the progress after one more entry.
    pub(crate) fn apply(&self, progress: Progress, entry: &Entry) -> Result<Progress, LogMismatch> {
        use Entry::{
            Aborted, Failed, Forced, Resumed, Started, Succeeded, UndoDone, UndoFailed, UndoStarted,
        };
        use Failure::{Refused, Unanswered};
        use Phase::{Back, Forward, Parked};

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
                    Refused { .. } | Unanswered { .. } => {
                        Parked(Box::new(Forward { step, attempts, rounds: 0 }))
                    }
                }
            }
            (Forward { step, attempts, .. }, Aborted { by, note })
                if !self.past_pivot(step, attempts) =>
            {
                let why = Failure::refused(Failure::ABORTED, format_args!("by {by}: {note}"));
                // An attempt may still arrive, so its step is undone too.
                back(&why, if attempts > 0 { step + 1 } else { step })
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
                let (step, rounds) = pending.pop_front().unwrap_or_default();
                if matches!(failure, Unanswered { .. }) && rounds + 1 < self.max_rounds {
                    pending.push_back((step, rounds + 1));
                    turned(why, pending)
                } else {
                    pending.push_front((step, 0));
                    Parked(Box::new(Back { why, pending }))
                }
            }
            (Parked(phase), Resumed { .. }) => *phase,
            (Parked(phase), Forced { .. }) => match *phase {
                Forward { step, .. } => self.at(step + 1),
                Back { why, mut pending } => {
                    pending.pop_front();
                    turned(why, pending)
                }
                phase => phase,
            },
            _ => return Err(LogMismatch(entry.clone())),
        };
        Ok(Progress(phase))
    }

    /// Returns the reason why the saga cannot be aborted now.
    ///
    /// # Errors
    /// [`AbortError`].
    pub(crate) fn check_abort(&self, progress: &Progress) -> Result<(), AbortError> {
        let phase = match &progress.0 {
            Phase::Parked(phase) => phase,
            phase => phase,
        };
        match phase {
            Phase::Forward { step, attempts, .. } if self.past_pivot(*step, *attempts) => {
                Err(AbortError::PastPivot { pivot: self.steps.get(self.pivot).unwrap_or(&"") })
            }
            Phase::Forward { .. } => Ok(()),
            Phase::Back { .. } | Phase::Parked(_) => Err(AbortError::Undoing),
            Phase::Ended(status) => Err(AbortError::Ended(*status)),
        }
    }

    /// Returns true if the pivot may have been executed.
    fn past_pivot(&self, step: usize, attempts: u32) -> bool {
        step > self.pivot || (step == self.pivot && attempts > 0)
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
            Phase::Parked(_) | Phase::Ended(_) => Next::Nothing,
        }
    }

    /// Returns the saga's status.
    pub(crate) fn status(&self) -> Status {
        match self.0 {
            Phase::Forward { .. } | Phase::Back { .. } => Status::Running,
            Phase::Parked(_) => Status::Stuck,
            Phase::Ended(status) => status,
        }
    }
}

#[cfg(test)]
mod tests;
