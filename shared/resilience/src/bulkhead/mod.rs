//! Bulkhead: bounds the number of our calls that one slow dependency can hold.
//!
//! Rules:
//! - Each call holds a [`Slot`] until it ends or is dropped. The number of slots is fixed.
//! - A call without a slot is rejected at once. With a queue configured, it waits in turn among a
//!   bounded number of others, for a bounded time that never exceeds its deadline.
//! - Calls are rejected in `call`; readiness is that of the inner service.
//!
//! Put it inside a circuit breaker, so that an open breaker takes no slot. Its rejections are neutral
//! there: they are no evidence of the dependency's health. Use [`Bulkhead::enter`] to drive calls by
//! hand, or [`BulkheadLayer`] to wrap a service.
//!
//! Source: resilience4j's semaphore `Bulkhead`, including its default of 25 calls. It bounds the time
//! that calls wait, but not their number.
//!
//! ```
//! use gantry_resilience::bulkhead::{Bulkhead, Config, Parameters};
//!
//! let config = Config::try_new(Parameters { concurrent: 1, ..Parameters::default() })?;
//! let bulkhead = Bulkhead::new(config);
//! let slot = bulkhead.try_enter().expect("one is free");
//! assert!(bulkhead.try_enter().is_err());
//! drop(slot);
//! assert!(bulkhead.try_enter().is_ok());
//! # Ok::<(), gantry_resilience::bulkhead::InvalidConfig>(())
//! ```

mod body;
mod config;
mod error;
mod future;
mod hold;
mod layer;
mod service;
mod slots;

pub use body::HeldBody;
pub use config::{Config, InvalidConfig, Parameters, Wait};
pub use error::Error;
pub use future::ResponseFuture;
pub use hold::{Hold, UntilBodyEnd};
pub use layer::BulkheadLayer;
pub use service::BulkheadService;
pub use slots::{Bulkhead, Full, Slot, Snapshot};
