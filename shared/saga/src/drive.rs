//! Driving one saga under one lease.

use std::{sync::Arc, time::Duration};

use serde::de::DeserializeOwned;
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};

use crate::{
    Append, Call, Claimed, Definition, Entry, Failure, Log, LogError, NewSaga, Policy, Status,
    definition::key,
    progress::{LogMismatch, Next, Plan, Progress},
};

/// Stop signal of the engine: closed when the engine stops.
pub(crate) type Stop = watch::Receiver<()>;

/// State in which a drive ended.
#[derive(Debug)]
pub(crate) enum Left {
    /// The saga is no longer running.
    Ended(Status),
    /// A step or undo that must not be given up had no answer: try again after this pause.
    Paused(Duration),
    /// The engine stopped.
    Stopped,
}

/// Reason for dropping a saga. The next claim reads its log again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DriveError {
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Mismatch(#[from] LogMismatch),
    #[error("the saga's input cannot be read: {0}")]
    Input(serde_json::Error),
}

pub(crate) struct Driver<I> {
    pub(crate) definition: Definition<I>,
    pub(crate) plan: Plan,
    pub(crate) policy: Policy,
    pub(crate) log: Arc<dyn Log>,
}

/// Next action, by the index of its step.
enum Action {
    Run(usize),
    Undo(usize, Failure),
}

impl<I: DeserializeOwned + Send + Sync + 'static> Driver<I> {
    pub(crate) async fn drive(&self, saga: Claimed, mut stop: Stop) -> Result<Left, DriveError> {
        let Claimed { id, input, epoch, entries } = saga;
        let input: I = NewSaga::input(&input).map_err(DriveError::Input)?;
        let progress = self.plan.fold(&entries)?;
        let mut journal =
            Journal { driver: self, id, epoch, position: entries.len(), progress, tried: false };
        loop {
            let (action, rounds) = match journal.progress.next() {
                Next::Run { step, rounds } => (Action::Run(step), rounds),
                Next::Undo { step, rounds, why } => (Action::Undo(step, why.clone()), rounds),
                Next::Nothing => return Ok(Left::Ended(journal.progress.status())),
            };
            // Pausing without a lease holds no place, and any replica may continue afterwards.
            if rounds > 0 && journal.tried {
                let pause = self.policy.pause(rounds);
                self.log.release(id, epoch, pause).await?;
                return Ok(Left::Paused(pause));
            }
            if !self.round(&mut journal, &action, &input, &mut stop).await? {
                self.log.release(id, epoch, Duration::ZERO).await?;
                return Ok(Left::Stopped);
            }
        }
    }

    /// Attempts `action` until it is answered or its deadline passes, and writes the outcome.
    /// Returns false if the engine stops before that.
    async fn round(
        &self,
        journal: &mut Journal<'_, I>,
        action: &Action,
        input: &I,
        stop: &mut Stop,
    ) -> Result<bool, DriveError> {
        let deadline = Instant::now() + self.policy.step_deadline;
        let mut attempts = 0;
        loop {
            if stop.has_changed().is_err() {
                return Ok(false);
            }
            journal.write(self.started(action)).await?;
            attempts += 1;
            let time = self.policy.attempt_timeout.min(deadline - Instant::now());
            let failure = match timeout(time, self.attempt(journal.id, action, input)).await {
                Ok(Ok(())) => {
                    journal.write(self.done(action)).await?;
                    return Ok(true);
                }
                Ok(Err(failure)) => failure,
                Err(_elapsed) => Failure::unanswered(format_args!("no answer within {time:?}")),
            };
            let wait = self.policy.retry(attempts);
            let refused = matches!(failure, Failure::Refused { .. });
            if refused || Instant::now() + wait >= deadline {
                tracing::debug!(step = self.name(action), attempts, %failure, "saga step failed");
                journal.write(self.failed(action, failure)).await?;
                return Ok(true);
            }
            tracing::debug!(step = self.name(action), attempts, %failure, ?wait, "saga step retried");
            tokio::select! {
                () = sleep(wait) => {}
                // Closed without a value: the engine stops.
                _ = stop.changed() => return Ok(false),
            }
        }
    }

    async fn attempt(&self, saga: uuid::Uuid, action: &Action, input: &I) -> Result<(), Failure> {
        // The plan was made from this definition, so no step is missing. If one were, the saga
        // would have no answer.
        let missing = || Failure::unanswered("the definition has no such step");
        match action {
            Action::Run(index) => {
                let step = self.definition.step(*index).ok_or_else(missing)?;
                step.run(Call { saga, key: key(saga, "run", step.name()), input }).await
            }
            Action::Undo(index, why) => {
                let step = self.definition.reversible(*index).ok_or_else(missing)?;
                step.undo(Call { saga, key: key(saga, "undo", step.name()), input }, why).await
            }
        }
    }

    fn name(&self, action: &Action) -> &'static str {
        let (Action::Run(index) | Action::Undo(index, _)) = action;
        self.plan.steps.get(*index).copied().unwrap_or_default()
    }

    fn started(&self, action: &Action) -> Entry {
        let step = self.name(action).to_owned();
        match action {
            Action::Run(_) => Entry::Started { step },
            Action::Undo(..) => Entry::UndoStarted { step },
        }
    }

    fn done(&self, action: &Action) -> Entry {
        let step = self.name(action).to_owned();
        match action {
            Action::Run(_) => Entry::Succeeded { step },
            Action::Undo(..) => Entry::UndoDone { step },
        }
    }

    fn failed(&self, action: &Action, failure: Failure) -> Entry {
        let step = self.name(action).to_owned();
        match action {
            Action::Run(_) => Entry::Failed { step, failure },
            Action::Undo(..) => Entry::UndoFailed { step, failure },
        }
    }
}

/// Writer of one saga's log. Progress never runs ahead of the durable log.
struct Journal<'a, I> {
    driver: &'a Driver<I>,
    id: uuid::Uuid,
    epoch: i64,
    position: usize,
    progress: Progress,
    /// True once an attempt was made under this lease.
    tried: bool,
}

impl<I> Journal<'_, I> {
    async fn write(&mut self, entry: Entry) -> Result<(), DriveError> {
        let Driver { plan, log, policy, .. } = self.driver;
        let next = plan.apply(self.progress.clone(), &entry)?;
        log.append(Append {
            saga: self.id,
            epoch: self.epoch,
            position: self.position,
            entry: &entry,
            status: next.status(),
            lease: policy.lease(),
        })
        .await?;
        self.progress = next;
        self.position += 1;
        self.tried = true;
        Ok(())
    }
}
