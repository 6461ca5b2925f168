//! Driving one saga under one lease.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use serde::de::DeserializeOwned;
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};
use tracing::{Instrument, Span, field::Empty};
use uuid::Uuid;

use crate::{
    Append, Call, Carrier, Claimed, Context, Definition, Entry, Failure, Log, LogError, NewSaga,
    Policy, Status,
    definition::key,
    progress::{LogMismatch, Next, Plan, Progress},
};

/// Stop signal of the engine: closed when the engine stops.
pub(crate) type Stop = watch::Receiver<()>;

/// State of a saga when the engine stops driving it.
#[derive(Debug)]
pub(crate) enum Left {
    /// The saga is no longer running.
    Ended(Status),
    /// A step or undo that must be repeated had no answer. The next round begins after this pause.
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
    #[error("cannot parse the saga's input: {0}")]
    Input(serde_json::Error),
}

/// Drives sagas of one definition, of whatever input.
#[async_trait]
pub(crate) trait Drive: Send + Sync + 'static {
    /// Returns the shape of the definition.
    fn plan(&self) -> &Plan;

    /// Drives a claimed saga until it ends, pauses or the engine stops. The lease is released then.
    async fn drive(&self, saga: Claimed, stop: Stop) -> Result<Left, DriveError>;
}

pub(crate) struct Driver<I> {
    pub(crate) definition: Definition<I>,
    pub(crate) plan: Plan,
    pub(crate) policy: Policy,
    pub(crate) log: Arc<dyn Log>,
    pub(crate) carrier: Arc<dyn Carrier>,
}

/// Next action, by the index of its step.
enum Action {
    Run(usize),
    Undo(usize, Failure),
}

impl Action {
    /// Returns the next action and its unanswered rounds so far. None if the saga is not running.
    fn next(progress: &Progress) -> Option<(Self, u32)> {
        match progress.next() {
            Next::Run { step, rounds } => Some((Self::Run(step), rounds)),
            Next::Undo { step, rounds, why } => Some((Self::Undo(step, why.clone()), rounds)),
            Next::Nothing => None,
        }
    }
}

#[async_trait]
impl<I: DeserializeOwned + Send + Sync + 'static> Drive for Driver<I> {
    fn plan(&self) -> &Plan {
        &self.plan
    }

    async fn drive(&self, saga: Claimed, mut stop: Stop) -> Result<Left, DriveError> {
        let Claimed { id, name: _, input, context, epoch, entries } = saga;
        let input: I = NewSaga::input(&input).map_err(DriveError::Input)?;
        let progress = self.plan.fold(&entries)?;
        let mut journal = Journal { driver: self, id, epoch, position: entries.len(), progress };
        let Some((mut action, _)) = Action::next(&journal.progress) else {
            return Ok(Left::Ended(journal.progress.status()));
        };
        if stopped(&stop) {
            self.log.release(id, epoch, Duration::ZERO).await?;
            return Ok(Left::Stopped);
        }
        let lease = self.policy.lease();
        journal.write(&[self.started(&action)], lease).await?;
        loop {
            let call = (&input, &context);
            let Some(outcome) = self.round(&mut journal, &action, call, &mut stop).await? else {
                self.log.release(id, epoch, Duration::ZERO).await?;
                return Ok(Left::Stopped);
            };
            let next = Action::next(&self.plan.apply(journal.progress.clone(), &outcome)?);
            action = match next {
                None => {
                    journal.write(&[outcome], lease).await?;
                    return Ok(Left::Ended(journal.progress.status()));
                }
                // Release the lease for the pause: the saga then takes no place, and any replica
                // may continue it. The first round under a lease needs no pause, because the claim
                // already waited.
                Some((_, rounds)) if rounds > 0 => {
                    let pause = self.policy.pause(rounds);
                    journal.write(&[outcome], pause).await?;
                    return Ok(Left::Paused(pause));
                }
                Some(_) if stopped(&stop) => {
                    journal.write(&[outcome], Duration::ZERO).await?;
                    return Ok(Left::Stopped);
                }
                Some((next, _)) => {
                    journal.write(&[outcome, self.started(&next)], lease).await?;
                    next
                }
            };
        }
    }
}

/// Returns the kind of a failure, for spans.
fn failure_kind(failure: &Failure) -> &str {
    match failure {
        Failure::Refused { code, .. } => code,
        Failure::Unanswered { .. } => "unanswered",
    }
}

/// Returns true if the engine stops.
fn stopped(stop: &Stop) -> bool {
    stop.has_changed().is_err()
}

impl<I: DeserializeOwned + Send + Sync + 'static> Driver<I> {
    /// Attempts `action`, whose start is written, until it is answered or its deadline passes.
    /// Returns the outcome, or None if the engine stops before that.
    async fn round(
        &self,
        journal: &mut Journal<'_, I>,
        action: &Action,
        call: (&I, &Context),
        stop: &mut Stop,
    ) -> Result<Option<Entry>, DriveError> {
        let deadline = Instant::now() + self.policy.step_deadline;
        let mut attempts = 1;
        loop {
            let time = self.policy.attempt_timeout.min(deadline - Instant::now());
            let span = self.span(action);
            let attempt = self.attempt(journal.id, action, call).instrument(span.clone());
            let failure = match timeout(time, attempt).await {
                Ok(Ok(())) => return Ok(Some(self.done(action))),
                Ok(Err(failure)) => failure,
                Err(_elapsed) => Failure::unanswered(format_args!("no answer within {time:?}")),
            };
            span.record("otel.status_code", "ERROR");
            span.record("error.type", failure_kind(&failure));
            drop(span);
            let wait = self.policy.retry(attempts);
            let refused = matches!(failure, Failure::Refused { .. });
            if refused || Instant::now() + wait >= deadline {
                tracing::debug!(step = self.name(action), attempts, %failure, "saga step failed");
                return Ok(Some(self.failed(action, failure)));
            }
            tracing::debug!(step = self.name(action), attempts, %failure, ?wait, "saga step retried");
            tokio::select! {
                () = sleep(wait) => {}
                // Closed without a value: the engine stops.
                _ = stop.changed() => return Ok(None),
            }
            journal.write(&[self.started(action)], self.policy.lease()).await?;
            attempts += 1;
        }
    }

    async fn attempt(
        &self,
        saga: Uuid,
        action: &Action,
        (input, context): (&I, &Context),
    ) -> Result<(), Failure> {
        let call = |kind| Call { saga, key: key(saga, kind, self.name(action)), input, context };
        let attempt = async {
            match action {
                Action::Run(index) => self.definition.run(*index, call("run")).await,
                Action::Undo(index, why) => self.definition.undo(*index, call("undo"), why).await,
            }
            // The plan comes from this definition, so the step exists. If it did not, the attempt
            // would count as unanswered.
            .unwrap_or_else(|| Err(Failure::unanswered("the definition has no such step")))
        };
        self.carrier.attempt(context, Box::pin(attempt)).await
    }

    /// Opens the span of one attempt.
    fn span(&self, action: &Action) -> Span {
        let step = self.name(action);
        let verb = match action {
            Action::Run(_) => "run",
            Action::Undo(..) => "undo",
        };
        tracing::info_span!(
            "saga.step",
            otel.name = %format_args!("{verb} {step}"),
            otel.status_code = Empty,
            "error.type" = Empty,
            step,
        )
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
    id: Uuid,
    epoch: i64,
    position: usize,
    progress: Progress,
}

impl<I> Journal<'_, I> {
    /// Writes the entries in one append.
    async fn write(&mut self, entries: &[Entry], lease: Duration) -> Result<(), DriveError> {
        let Driver { plan, log, .. } = self.driver;
        let next = plan.extend(self.progress.clone(), entries)?;
        log.append(Append {
            saga: self.id,
            epoch: self.epoch,
            position: self.position,
            entries,
            status: next.status(),
            lease,
        })
        .await?;
        self.progress = next;
        self.position += entries.len();
        Ok(())
    }
}
