//! Circuit breaker: fails calls to a broken dependency at once, and probes it until it recovers.
//!
//! Rules:
//! - Closed: calls flow. The breaker opens after 5 consecutive failures, or if, of at least 20 calls
//!   in the window, half failed or 80 % were slow. The window is the last 100 calls or the last 10
//!   seconds. A success ends the run of failures.
//! - Open: calls are rejected, for 5 s at first.
//! - Half-open, from the first call after that wait: 5 calls are admitted as probes, the others are
//!   rejected. If all 5 succeed, the breaker closes. A failed probe opens it again, and so do slow
//!   probes at the slow rate. The wait doubles up to 60 s. Each wait has a jitter of 20 %, the longest
//!   included, so that clients do not probe in step.
//! - An outcome counts only in the state that admitted the call. Each change of state begins a new
//!   generation; outcomes of older generations are ignored.
//! - A dropped call returns its permit and is neutral.
//!
//! The caller classifies failures ([`Outcome`]). Admit and record logical calls, outside of retries:
//! one sick replica of three must not block the others.
//!
//! Use [`CircuitBreaker::admit`] and [`Permit::record`] to drive calls by hand, or
//! [`CircuitBreakerLayer`] to wrap a service, with a [`Classify`] for its results: [`HttpStatus`] for
//! plain HTTP.
//!
//! Sources: resilience4j's `CircuitBreaker` (windows, rates, half-open permits, bound on the half-open
//! wait), Envoy's outlier detection (5 consecutive failures), gRPC's connection backoff (open wait).
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
pub use classify::{Classify, Probe};
pub use config::{Config, InvalidConfig, Parameters, WindowKind};
pub use error::Error;
pub use future::ResponseFuture;
pub use http::HttpStatus;
pub use layer::CircuitBreakerLayer;
pub use service::CircuitBreakerService;
pub use state::{Cause, Outcome, Rejected, Snapshot, State, Transition};
pub use window::Counts;

// A module of its own, so that the model check can replace it.
use crate::deadline::Deadline;
