//! What a saga is made of.

use std::fmt;

use async_trait::async_trait;
use serde::{Serialize, de::DeserializeOwned};
use uuid::Uuid;

use crate::{Failure, NewSaga, progress::Plan};

/// What one attempt is given.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a, I> {
    /// The saga's id.
    pub saga: Uuid,
    /// Names the step's run, or its undo, for ever: the same at every repeat, in every
    /// process. Send it as the request's id.
    pub key: Uuid,
    /// What the saga works on.
    pub input: &'a I,
}

/// Something that a saga does.
#[async_trait]
pub trait Step<I>: Send + Sync + 'static {
    /// Names the step in the log: unique within the saga, and never changed.
    fn name(&self) -> &'static str;

    /// Does it. Is repeated with the same key, and dropped when the time of the
    /// attempt is up. Where it has happened, a repeat answers so and is not refused.
    ///
    /// # Errors
    /// [`Failure`].
    async fn run(&self, call: Call<'_, I>) -> Result<(), Failure>;
}

/// A step that can be undone.
#[async_trait]
pub trait Reversible<I>: Step<I> {
    /// Undoes it, also where it never happened or comes only later: from now on it must
    /// not. Is repeated and dropped as [`Step::run`]. `why` is what turned the saga back.
    ///
    /// # Errors
    /// [`Failure::Unanswered`]; [`Failure::Refused`] where it never can be undone,
    /// which parks the saga.
    async fn undo(&self, call: Call<'_, I>, why: &Failure) -> Result<(), Failure>;
}

/// The steps before the pivot, while a definition is written.
pub struct Draft<I> {
    name: &'static str,
    reversible: Vec<Box<dyn Reversible<I>>>,
}

/// A kind of saga: its steps, in order.
pub struct Definition<I> {
    name: &'static str,
    reversible: Vec<Box<dyn Reversible<I>>>,
    forward: Vec<Box<dyn Step<I>>>,
}

impl<I: 'static> Definition<I> {
    /// Begins a definition. `name` stands in the log, and never changes: a definition
    /// with other steps needs another name.
    pub fn named(name: &'static str) -> Draft<I> {
        Draft { name, reversible: Vec::new() }
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

    pub(crate) fn plan(&self, patience: u32) -> Plan {
        let reversible = self.reversible.iter().map(|step| step.name());
        let forward = self.forward.iter().map(|step| step.name());
        Plan { steps: reversible.chain(forward).collect(), pivot: self.reversible.len(), patience }
    }

    /// The step at an index of the plan.
    pub(crate) fn step(&self, index: usize) -> Option<&dyn Step<I>> {
        match self.reversible.get(index) {
            Some(step) => Some(&**step),
            None => self.forward.get(index - self.reversible.len()).map(|step| &**step),
        }
    }

    /// The reversible step at an index of the plan.
    pub(crate) fn reversible(&self, index: usize) -> Option<&dyn Reversible<I>> {
        self.reversible.get(index).map(|step| &**step)
    }
}

impl<I: 'static> Draft<I> {
    /// Adds a step that can be undone.
    #[must_use]
    pub fn step(mut self, step: impl Reversible<I>) -> Self {
        self.reversible.push(Box::new(step));
        self
    }

    /// Adds the step after which there is no way back. It has no undo of its own: once
    /// the steps before it are undone it must be refused, also when it comes late.
    #[must_use]
    pub fn pivot(self, step: impl Step<I>) -> Definition<I> {
        Definition { name: self.name, reversible: self.reversible, forward: vec![Box::new(step)] }
    }
}

impl NewSaga {
    /// A saga of the definition of this name.
    ///
    /// # Errors
    /// Where the input has no JSON.
    pub fn new(
        id: Uuid,
        name: &'static str,
        input: &impl Serialize,
    ) -> Result<Self, serde_json::Error> {
        Ok(Self { id, name, input: serde_json::to_string(input)? })
    }

    /// Reads an input back.
    pub(crate) fn input<I: DeserializeOwned>(input: &str) -> Result<I, serde_json::Error> {
        serde_json::from_str(input)
    }
}

/// The key of a step's run or undo: UUIDv5 of the saga's id.
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
