//! Saga engine: completes work across several services or undoes it, even if calls fail and
//! processes crash.
//!
//! A saga is a list of steps. Every step before the *pivot* can be undone. From the pivot on,
//! the saga only goes forward. A write-ahead log records each attempt and its outcome, so that any
//! replica can continue after a crash at any moment.
//!
//! - [`Definition`]: the steps, in order; [`Step`] runs, [`Reversible`] undoes.
//! - [`Log`]: the port to the log. An adapter stores it beside the service's data, so that a saga
//!   begins in the transaction that makes it necessary ([`NewSaga`]). [`memory::MemoryLog`] is the
//!   adapter for tests.
//! - [`Engine`]: finds unfinished sagas of its definitions and drives them, within a [`Policy`].
//! - [`Context`]: actor, trace and request id of the call that began a saga. A [`Carrier`] makes them
//!   the context of every attempt.
//! - [`Operator`]: lists and shows sagas, resumes or forces a stuck one, aborts one before its pivot.
//!
//! # Rules
//! - Every attempt is recorded durably before it is made. A replica that resumes the saga therefore
//!   knows that the attempt may have happened. An outcome and the start of the next step are one
//!   append, so a saga of n steps that all succeed makes n + 1 appends.
//! - Steps are repeated. A step must be idempotent on [`Call::key`], and its undo must hold even if
//!   the step never arrived or arrives late.
//! - A refusal ([`Failure::Refused`]) is an answer: the saga turns back at once. A missing answer
//!   ([`Failure::Unanswered`], or a timeout) is retried with backoff until the step's deadline. After
//!   that, the step counts as possibly executed.
//! - Steps are undone in reverse order. An unanswered undo does not block the others: it is tried
//!   again after them, in the next round. A refused undo, or one that fails
//!   [`Policy::max_rounds`] rounds, parks the saga as [`Status::Stuck`] for an operator.
//! - From the pivot on, an unanswered step is repeated round by round and never undone. It parks the
//!   saga after the same number of rounds.
//! - Every write to the log carries the epoch of the replica's lease. The log refuses every epoch
//!   but the latest. If two replicas drive the same saga, only the one with the latest lease can
//!   write.
//! - An operator's resume, force or abort is an entry of the log like any other. It raises the epoch,
//!   so the replica that drives the saga writes nothing more, and whichever replica claims the saga
//!   next goes by the entry. Once the pivot was attempted, an abort is refused.
//! - The engine counts running and stuck sagas for its metrics ([`Builder::measured`]), and deletes
//!   sagas [`Policy::keep_ended`] after their end. A stuck saga stays.
//!
//! # Example
//! ```
//! # use std::{sync::Arc, time::Duration};
//! # use async_trait::async_trait;
//! # use gantry_saga::memory::MemoryLog;
//! # use gantry_saga::{Call, Context, Definition, Engine, Failure, NewSaga, Policy};
//! # use gantry_saga::{Reversible, Status, Step};
//! # use uuid::Uuid;
//! struct Reserve;
//!
//! #[async_trait]
//! impl Step<String> for Reserve {
//!     fn name(&self) -> &'static str {
//!         "reserve"
//!     }
//!
//!     async fn run(&self, call: Call<'_, String>) -> Result<(), Failure> {
//!         // A remote call, with `call.key` as its request id.
//!         # let _ = call;
//!         Ok(())
//!     }
//! }
//!
//! #[async_trait]
//! impl Reversible<String> for Reserve {
//!     async fn undo(&self, call: Call<'_, String>, why: &Failure) -> Result<(), Failure> {
//!         # let _ = (call, why);
//!         Ok(())
//!     }
//! }
//!
//! struct Buy;
//!
//! #[async_trait]
//! impl Step<String> for Buy {
//!     fn name(&self) -> &'static str {
//!         "buy"
//!     }
//!
//!     async fn run(&self, call: Call<'_, String>) -> Result<(), Failure> {
//!         Err(Failure::refused("SOLD_OUT", format_args!("no {} is left", call.input)))
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let log = MemoryLog::default();
//! let definition = Definition::named("purchase/1").step(Reserve).pivot(Buy);
//! let engine = Engine::builder(Arc::new(log.clone()), Policy::default());
//! let engine = engine.definition(definition)?.start();
//!
//! let id = Uuid::from_u128(1);
//! log.begin(NewSaga::new(id, "purchase/1", &"mug", Context::default())?);
//! engine.handle().wake();
//! # while log.status(id) == Some(Status::Running) {
//! #     tokio::time::sleep(Duration::from_millis(1)).await;
//! # }
//! assert_eq!(log.status(id), Some(Status::Undone));
//! engine.close().await;
//! # Ok(())
//! # }
//! ```
//!
//! # Caveat
//! A replica that lost its lease may still be executing an attempt. The log has recorded that
//! attempt, and the step's idempotency on its key makes it harmless.

mod carrier;
mod definition;
mod drive;
mod engine;
mod log;
mod measure;
pub mod memory;
mod operator;
mod policy;
mod progress;
#[cfg(feature = "testing")]
pub mod testing;
mod upkeep;

pub use carrier::{Attempt, Carrier};
pub use definition::{Call, Definition, DefinitionError, Draft, Origin, Reversible, Step};
pub use engine::{Builder, Engine, Handle};
pub use log::{
    Append, Claimed, Context, Count, Entry, Failure, Filter, History, Intervention, Log, LogError,
    NewSaga, Recorded, Summary,
};
pub use operator::{Operator, OperatorError};
pub use policy::{Policy, PolicyError};
pub use progress::{AbortError, Status};
