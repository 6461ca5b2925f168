//! Making a failed call again: gRFC A6, with a budget.
//!
//! Retrying turns the failures of one endpoint into a delay; retrying everything turns
//! the failure of a service into several times its load. So:
//!
//! - only what may be executed twice is sent twice: the caller says so per call;
//! - only [`Failure::Unavailable`] is retried, and [`Failure::Exhausted`] where the peer
//!   says when ([`Pushback`]). What a circuit breaker refused is not;
//! - up to 5 attempts, the waits between them growing ([`Policy`]); a pushback is waited
//!   for exactly, and the next wait is again the first one;
//! - no wait that would pass the deadline is begun: the failure is handed on at once;
//! - every retryable failure takes a token from the service's [`Budget`], a success
//!   gives a tenth back, and at half nothing is retried: an outage costs one attempt a
//!   call. A failure of an endpoint that was ejected already takes none, else one sick
//!   endpoint would spend the budget of the healthy ones. This deviates from A6.
//!
//! [`Attempts`] decides for one call and [`Hedges`] plans one that is hedged; both are
//! pure. [`RetryLayer`] applies the former to any [`tower::Service`], as [`Replay`] says;
//! [`HttpReplay`] says it for HTTP.
//!
//! What is certain not to have been executed (never sent, refused by the peer) is sent
//! again whatever is said here, uncounted: A6 calls it transparent. Only the transport
//! knows of it; [`Attempts::refused`] keeps the count of the one such retry that costs
//! the peer something. What an endpoint does not know was not executed either, and another
//! version may know it: [`Attempts::elsewhere`].
//!
//! ```
//! use std::time::Duration;
//! use fastrand::Rng;
//! use gantry_resilience::{
//!     deadline::Deadline,
//!     retry::{Attempts, Budget, Decision, Failure, Policy},
//! };
//! use tokio::time::Instant;
//!
//! let (now, budget) = (Instant::now(), Budget::default());
//! let deadline = Deadline::after(now, Duration::from_secs(1));
//! let mut attempts = Attempts::new(Policy::DEFAULT, true, deadline);
//! let decision = attempts.failed(now, Failure::Unavailable, &budget, &mut Rng::new());
//! let Decision::Retry { after } = decision else { panic!("{decision:?}") };
//! assert!((40..=60).contains(&after.as_millis()));
//! ```

mod attempts;
mod budget;
mod failure;
mod future;
mod hedging;
mod http;
mod layer;
mod policy;
mod pushback;
mod replay;
mod service;
mod sync;

pub use self::{
    attempts::{Attempts, Decision, GiveUp, PREVIOUS_ATTEMPTS},
    budget::{Budget, InvalidBudget},
    failure::{Failed, Failure},
    future::ResponseFuture,
    hedging::{Hedges, HedgingPolicy},
    http::{HttpReplay, IDEMPOTENCY_KEY},
    layer::RetryLayer,
    policy::{InvalidPolicy, Policy},
    pushback::{PUSHBACK, Pushback},
    replay::{Replay, Verdict},
    service::Retry,
};
