//! A circuit breaker: calls to a dependency that is down fail at once, and a few of them
//! find out when it is back.
//!
//! Rules:
//! - closed, calls flow. It opens when 5 calls in a row failed; or when, of at least 20
//!   calls in the window, half failed or 80 % were slow. The window is the last 100 calls
//!   or the last 10 seconds. A success ends the run of failures;
//! - open, calls are rejected, for 5 s at first;
//! - half-open, from the first call after that on, 5 calls are let through as probes and
//!   the others are rejected. All 5 must succeed, then it closes. One that fails opens it
//!   again, and so do slow ones at the slow rate; the wait doubles up to 60 s. Each wait
//!   is jittered by 20 %, the longest too, so that not all clients probe at once;
//! - a call counts in the state that let it through: each change of state begins a new
//!   generation, and an outcome of an older one changes nothing;
//! - a call that is dropped gives its permit back and counts as nothing.
//!
//! What is a failure is for the caller to say ([`Outcome`]). It is logical calls that are
//! to be admitted and recorded here, outside of retries: one sick replica of three must
//! not close the way to the others.
//!
//! [`CircuitBreaker::admit`] and [`Permit::record`] are for those who drive their calls
//! themselves; [`CircuitBreakerLayer`] wraps any service, with a [`Classify`] for what its
//! results mean: [`HttpStatus`] for plain HTTP, [`ByResult`] for what has no body.
//!
//! Sources: resilience4j's `CircuitBreaker` (windows, rates, permits half-open, the bound
//! on waiting half-open) and Envoy's outlier detection (the run of 5); the backoff of the
//! open wait is gRPC's connection backoff.
//!
//! ```
//! use std::time::Duration;
//! use gantry_resilience::circuit_breaker::{CircuitBreaker, Config, Outcome, State};
//! use tokio::time::Instant;
//!
//! let breaker = CircuitBreaker::new(Config::default());
//! let now = Instant::now();
//! for _ in 0..5 {
//!     breaker.admit(now).expect("closed").record(Outcome::Failed, now);
//! }
//! let rejected = breaker.admit(now).expect_err("open");
//! assert_eq!(rejected.state, State::Open);
//!
//! let later = now + rejected.retry_after;
//! assert!(breaker.admit(later).expect("half-open").is_probe());
//! ```

mod body;
mod breaker;
mod classify;
mod config;
mod error;
mod future;
mod gate;
mod http;
mod layer;
mod machine;
mod service;
mod state;
mod sync;
mod window;

pub use body::RecordedBody;
pub use breaker::{CircuitBreaker, Permit};
pub use classify::{ByResult, Classify, ClassifyEnd, Probe};
pub use config::{Config, InvalidConfig, Parameters, WindowKind};
pub use error::Error;
pub use future::ResponseFuture;
pub use http::{HttpEnd, HttpStatus};
pub use layer::CircuitBreakerLayer;
pub use service::CircuitBreakerService;
pub use state::{Cause, Outcome, Rejected, Snapshot, State, Transition};
pub use window::Counts;

// By this way the model check can put its own in its place.
use crate::deadline::Deadline;
