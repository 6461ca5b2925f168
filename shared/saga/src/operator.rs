//! Operator's access to sagas: list, show, resume, force, abort.

use std::{collections::BTreeMap, sync::Arc};

use uuid::Uuid;

use crate::{
    AbortError, Entry, Filter, Handle, History, Intervention, Log, LogError, Status, Summary,
    measure::Measures,
    progress::{Plan, Progress},
};

/// Number of times that an intervention is decided anew because the saga went on meanwhile.
const ATTEMPTS: usize = 10;

/// Operator's access to the sagas of a log. Works on any replica: an intervention ends the lease of
/// the replica that drives the saga, and whichever replica claims it next goes by it.
#[derive(Clone, Debug)]
pub struct Operator {
    log: Arc<dyn Log>,
    plans: Arc<BTreeMap<&'static str, Plan>>,
    handle: Handle,
    measures: Option<Arc<Measures>>,
}

/// Refusal of an operator's request: nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    /// There is no saga of this id.
    #[error("there is no saga {0}")]
    NotFound(Uuid),
    /// This replica has no definition of that name, so it cannot judge the saga.
    #[error("this replica does not know the definition {0:?}")]
    Unknown(String),
    /// The log does not match the definition.
    #[error("the saga's log does not match its definition")]
    Mismatch,
    /// Only a stuck saga is resumed or forced.
    #[error("the saga is not stuck: it is {}", .0.as_str())]
    NotStuck(Status),
    /// The saga cannot be aborted.
    #[error(transparent)]
    Abort(#[from] AbortError),
    /// The saga went on at each attempt.
    #[error("the saga keeps going on meanwhile: try again")]
    Busy,
    /// See [`LogError`].
    #[error(transparent)]
    Log(LogError),
}

impl Operator {
    pub(crate) fn new(
        log: Arc<dyn Log>,
        plans: Arc<BTreeMap<&'static str, Plan>>,
        handle: Handle,
        measures: Option<Arc<Measures>>,
    ) -> Self {
        Self { log, plans, handle, measures }
    }

    /// Returns the selected sagas, newest first. Sagas of every name are listed.
    ///
    /// # Errors
    /// [`OperatorError::Log`].
    pub async fn list(&self, filter: &Filter) -> Result<Vec<Summary>, OperatorError> {
        self.log.list(filter).await.map_err(OperatorError::Log)
    }

    /// Returns a saga with its log.
    ///
    /// # Errors
    /// [`OperatorError::NotFound`], [`OperatorError::Log`].
    pub async fn show(&self, saga: Uuid) -> Result<History, OperatorError> {
        let found = self.log.find(saga).await.map_err(OperatorError::Log)?;
        found.ok_or(OperatorError::NotFound(saga))
    }

    /// Resumes a stuck saga at the step or undo that parked it, with all its rounds. `by` and
    /// `note` are kept in the log. Returns the saga as it is then.
    ///
    /// # Errors
    /// [`OperatorError`].
    pub async fn resume(&self, saga: Uuid, by: &str, note: &str) -> Result<History, OperatorError> {
        let entry = Entry::Resumed { by: by.to_owned(), note: note.to_owned() };
        self.intervene(saga, &entry, |_, progress| is_stuck(progress)).await
    }

    /// Declares the step or undo that parked a stuck saga done: the operator did it by other means, or
    /// bears that it is not. The saga goes on after it, or ends if it was the last. `by` and `note` are
    /// kept in the log. Returns the saga as it is then.
    ///
    /// # Errors
    /// [`OperatorError`].
    pub async fn force(&self, saga: Uuid, by: &str, note: &str) -> Result<History, OperatorError> {
        let entry = Entry::Forced { by: by.to_owned(), note: note.to_owned() };
        self.intervene(saga, &entry, |_, progress| is_stuck(progress)).await
    }

    /// Aborts a saga before its pivot: it turns back. A step under way is undone too. `by` and
    /// `note` are kept in the log. Returns the saga as it is then.
    ///
    /// # Errors
    /// [`OperatorError`].
    pub async fn abort(&self, saga: Uuid, by: &str, note: &str) -> Result<History, OperatorError> {
        let entry = Entry::Aborted { by: by.to_owned(), note: note.to_owned() };
        self.intervene(saga, &entry, |plan, progress| Ok(plan.check_abort(progress)?)).await
    }

    /// Writes `entry` if `allowed`, judged by the whole log.
    async fn intervene(
        &self,
        saga: Uuid,
        entry: &Entry,
        allowed: impl Fn(&Plan, &Progress) -> Result<(), OperatorError>,
    ) -> Result<History, OperatorError> {
        for _ in 0..ATTEMPTS {
            let History { summary, epoch, entries, .. } = self.show(saga).await?;
            let Some(plan) = self.plans.get(&*summary.name) else {
                return Err(OperatorError::Unknown(summary.name));
            };
            let log = entries.iter().map(|recorded| &recorded.entry);
            let progress = plan.fold(log).map_err(|_| OperatorError::Mismatch)?;
            allowed(plan, &progress)?;
            let next = plan.apply(progress, entry).map_err(|_| OperatorError::Mismatch)?;
            let intervention =
                Intervention { saga, epoch, position: entries.len(), entry, status: next.status() };
            match self.log.intervene(intervention).await {
                Ok(()) => {
                    tracing::info!(%saga, ?entry, "operator intervened in a saga");
                    if let Some(measures) = &self.measures {
                        measures.left(&summary.name, next.status());
                    }
                    self.handle.wake();
                    return self.show(saga).await;
                }
                Err(LogError::Stale) => {}
                Err(error) => return Err(OperatorError::Log(error)),
            }
        }
        Err(OperatorError::Busy)
    }
}

fn is_stuck(progress: &Progress) -> Result<(), OperatorError> {
    match progress.status() {
        Status::Stuck => Ok(()),
        status => Err(OperatorError::NotStuck(status)),
    }
}
