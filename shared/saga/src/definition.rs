//! Definition of a saga: its steps and their order.

use std::{collections::BTreeSet, fmt, time::Duration};

use async_trait::async_trait;
use serde::{Serialize, de::DeserializeOwned};
use uuid::Uuid;

use crate::{Context, Failure, NewSaga, progress::Plan};

/// Arguments of one attempt.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a, I> {
    /// The saga's id.
    pub saga: Uuid,
    /// Idempotency key of the step's run or undo: the same at every repeat and in every process.
    /// Send it as the request id.
    pub key: Uuid,
    /// The saga's input.
    pub input: &'a I,
    /// Context of the call that began the saga.
    pub context: &'a Context,
}

/// A step of a saga.
#[async_trait]
pub trait Step<I>: Send + Sync + 'static {
    /// Returns the step's name in the log: unique within the saga, never changed.
    fn name(&self) -> &'static str;

    /// Executes the step. May be repeated with the same key, and is dropped at the attempt's
    /// timeout. A repeat of an executed step must succeed.
    ///
    /// # Errors
    /// [`Failure`].
    async fn run(&self, call: Call<'_, I>) -> Result<(), Failure>;
}

/// A step that can be undone.
#[async_trait]
pub trait Reversible<I>: Step<I> {
    /// Undoes the step, and prevents a late original from taking effect. Must succeed even if the
    /// step never happened. May be repeated and is dropped like [`Step::run`]. `why` is the failure
    /// that turned the saga back.
    ///
    /// # Errors
    /// [`Failure::Unanswered`]; [`Failure::Refused`] if the step can never be undone, which parks
    /// the saga.
    async fn undo(&self, call: Call<'_, I>, why: &Failure) -> Result<(), Failure>;
}

/// The change that makes a saga necessary. It is committed together with the saga's beginning, so
/// it is a first step that is done already.
#[async_trait]
pub trait Origin<I>: Send + Sync + 'static {
    /// Returns the change's name in the log, as [`Step::name`] does.
    fn name(&self) -> &'static str;

    /// Undoes the change, after all steps, as [`Reversible::undo`] does.
    ///
    /// # Errors
    /// As [`Reversible::undo`].
    async fn undo(&self, call: Call<'_, I>, why: &Failure) -> Result<(), Failure>;
}

/// [`Definition`] without its pivot yet: the steps that can be undone.
pub struct Draft<I> {
    name: &'static str,
    origin: Option<Box<dyn Origin<I>>>,
    reversible: Vec<Box<dyn Reversible<I>>>,
}

/// A kind of saga: its steps in order.
pub struct Definition<I> {
    name: &'static str,
    origin: Option<Box<dyn Origin<I>>>,
    reversible: Vec<Box<dyn Reversible<I>>>,
    forward: Vec<Box<dyn Step<I>>>,
}

/// A definition that an engine cannot take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DefinitionError {
    /// The engine has a definition of that name.
    #[error("the engine has a definition named {0:?} already")]
    Name(&'static str),
    /// Two steps have the same name.
    #[error("the definition {definition:?} has two steps named {step:?}")]
    Step {
        /// Name of the definition.
        definition: &'static str,
        /// Name of both steps.
        step: &'static str,
    },
}

impl<I: 'static> Definition<I> {
    /// Begins a definition. The log stores `name`, so it never changes: a definition with other
    /// steps needs another name.
    pub fn named(name: &'static str) -> Draft<I> {
        Draft { name, origin: None, reversible: Vec::new() }
    }

    /// Adds a step after the pivot.
    #[must_use]
    pub fn then(mut self, step: impl Step<I>) -> Self {
        self.forward.push(Box::new(step));
        self
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// Checks that no two steps have the same name.
    pub(crate) fn check(&self) -> Result<(), DefinitionError> {
        let mut names = BTreeSet::new();
        match self.plan(1).steps.into_iter().find(|step| !names.insert(*step)) {
            Some(step) => Err(DefinitionError::Step { definition: self.name, step }),
            None => Ok(()),
        }
    }

    pub(crate) fn plan(&self, max_rounds: u32) -> Plan {
        let origin = self.origin.iter().map(|origin| origin.name());
        let reversible = self.reversible.iter().map(|step| step.name());
        let forward = self.forward.iter().map(|step| step.name());
        Plan {
            steps: origin.chain(reversible).chain(forward).collect(),
            done: self.done(),
            pivot: self.done() + self.reversible.len(),
            max_rounds,
        }
    }

    /// Runs the step at an index of the plan. None if there is none to run.
    pub(crate) async fn run(&self, index: usize, call: Call<'_, I>) -> Option<Result<(), Failure>>
    where
        I: Sync,
    {
        let index = index.checked_sub(self.done())?;
        Some(match self.reversible.get(index) {
            Some(step) => step.run(call).await,
            None => self.forward.get(index - self.reversible.len())?.run(call).await,
        })
    }

    /// Undoes the step at an index of the plan. None if it has no undo.
    pub(crate) async fn undo(
        &self,
        index: usize,
        call: Call<'_, I>,
        why: &Failure,
    ) -> Option<Result<(), Failure>>
    where
        I: Sync,
    {
        Some(match (index.checked_sub(self.done()), &self.origin) {
            (Some(index), _) => self.reversible.get(index)?.undo(call, why).await,
            (None, origin) => origin.as_ref()?.undo(call, why).await,
        })
    }

    /// Number of steps that are done when the saga begins.
    fn done(&self) -> usize {
        usize::from(self.origin.is_some())
    }
}

impl<I: 'static> Draft<I> {
    /// Sets the change that the saga begins with.
    #[must_use]
    pub fn origin(mut self, origin: impl Origin<I>) -> Self {
        self.origin = Some(Box::new(origin));
        self
    }

    /// Adds a step that can be undone.
    #[must_use]
    pub fn step(mut self, step: impl Reversible<I>) -> Self {
        self.reversible.push(Box::new(step));
        self
    }

    /// Adds the pivot: the last step that may be refused. It has no undo. Its callee must refuse it
    /// once the steps before it are undone, because a delayed request may still arrive.
    #[must_use]
    pub fn pivot(self, step: impl Step<I>) -> Definition<I> {
        let Self { name, origin, reversible } = self;
        Definition { name, origin, reversible, forward: vec![Box::new(step)] }
    }
}

impl NewSaga {
    /// Creates a saga of the definition named `name`.
    ///
    /// # Errors
    /// The input cannot be written as JSON.
    pub fn new(
        id: Uuid,
        name: &'static str,
        input: &impl Serialize,
        context: Context,
    ) -> Result<Self, serde_json::Error> {
        let input = serde_json::to_string(input)?;
        Ok(Self { id, name, input, context, reserved: Duration::ZERO })
    }

    /// Reserves the saga for a second for the engine of this process, which learns of it by
    /// [`Handle::begun`](crate::Handle::begun). For a caller that waits for the end here: otherwise any
    /// process that shares the log may drive it, and this one is not told.
    #[must_use]
    pub fn reserved(self) -> Self {
        Self { reserved: Duration::from_secs(1), ..self }
    }

    /// Parses a stored input.
    pub(crate) fn input<I: DeserializeOwned>(input: &str) -> Result<I, serde_json::Error> {
        serde_json::from_str(input)
    }
}

/// Returns the key of a step's run or undo: a UUIDv5 in the namespace of the saga's id.
pub(crate) fn key(saga: Uuid, action: &str, step: &str) -> Uuid {
    Uuid::new_v5(&saga, format!("{action}:{step}").as_bytes())
}

impl<I: 'static> fmt::Debug for Definition<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Definition").field("name", &self.name).field("plan", &self.plan(1)).finish()
    }
}

impl<I> fmt::Debug for Draft<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Draft").field("name", &self.name).finish_non_exhaustive()
    }
}
