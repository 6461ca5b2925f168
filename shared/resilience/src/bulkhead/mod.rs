//! A bulkhead: one dependency that is slow holds so many of our calls and no more.
//!
//! Rules:
//! - so many calls are under way at once; each holds a [`Slot`] until it ends or is dropped;
//! - one more is refused at once; or, where that is asked for, it waits in turn among a
//!   bounded number of others, for a bounded time that never passes its deadline;
//! - it is refused in `call`: the readiness of a service is its own.
//!
//! It stands inside a circuit breaker, so that an open breaker takes no slot, and what it
//! refuses is neutral there: it says nothing of the dependency. [`Bulkhead::enter`] is for
//! those who drive their calls themselves, [`BulkheadLayer`] wraps any service.
//!
//! Source: resilience4j's semaphore `Bulkhead`, whose default of 25 calls this has too; it
//! bounds the time that calls wait, but not their number.
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
pub use hold::{Hold, UntilAnswer, UntilBodyEnd};
pub use layer::BulkheadLayer;
pub use service::BulkheadService;
pub use slots::{Bulkhead, Full, Slot, Snapshot};
