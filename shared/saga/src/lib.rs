//! Work across several services that is carried through or undone, whatever fails.
//!
//! A saga is a row of steps. Up to the *pivot* every step can be undone; from the
//! pivot on the saga only goes forward. A write-ahead log says what was begun and
//! what came of it, so that any replica can go on after a crash at any moment.
//!
//! - [`Definition`]: the steps, in order; [`Step`] runs, [`Reversible`] undoes.
//! - [`Log`]: the port to the log. An adapter keeps it beside the service's data, so
//!   that a saga begins in the transaction that made it necessary ([`NewSaga`]).
//!   [`memory::MemoryLog`] is one for tests.
//! - [`Engine`]: finds unfinished sagas and carries them on, within a [`Policy`].
//!
//! # Rules
//! - Before every attempt the log says so, durably. So whoever resumes knows that the
//!   attempt may have happened.
//! - A step is therefore repeated: it must be idempotent on [`Call::key`], and its
//!   undo must hold even where the step was never seen or comes late.
//! - A refusal ([`Failure::Refused`]) is an answer: the saga turns back at once. No
//!   answer ([`Failure::Unanswered`], or none in time) is repeated with backoff until
//!   the step's deadline, and then treated as something that may have happened.
//! - Undoing goes in reverse. An undo that gets no answer does not hold up the others:
//!   it is tried again after them, round by round. One that is refused, or has failed
//!   too many rounds, parks the saga as [`Status::Stuck`] for an operator.
//! - From the pivot on, an unanswered step is repeated, round by round, and never
//!   undone; it parks the saga in the same way.
//! - Every write to the log carries the epoch of the lease under which the saga is
//!   driven. The log refuses an epoch that is not the latest, so of two replicas that
//!   both believe they hold a saga only one gets anything written.
//!
//! # Example
//! ```
//! # use std::{sync::Arc, time::Duration};
//! # use async_trait::async_trait;
//! # use gantry_saga::memory::MemoryLog;
//! # use gantry_saga::{Call, Definition, Engine, Failure, NewSaga, Policy, Reversible, Status, Step};
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
//! let engine = Engine::start(definition, Arc::new(log.clone()), Policy::default());
//!
//! let id = Uuid::from_u128(1);
//! log.begin(NewSaga::new(id, "purchase/1", &"mug")?);
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
//! A replica that has lost its lease may still be within an attempt. That attempt is
//! one the log knows of; it is the key that makes it harmless.

mod definition;
mod drive;
mod engine;
mod log;
pub mod memory;
mod policy;
mod progress;

pub use definition::{Call, Definition, Draft, Reversible, Step};
pub use engine::{Engine, Handle};
pub use log::{Append, Claimed, Entry, Failure, Log, LogError, NewSaga};
pub use policy::{Policy, PolicyError};
pub use progress::Status;
