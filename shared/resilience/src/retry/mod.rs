//! Retries with a budget, after gRFC A6.
//!
//! Retries turn the failures of one endpoint into a delay. Retrying everything would turn the failure
//! of a service into several times its load. Rules:
//!
//! - A call is retried only if it may be executed twice, as its caller declares.
//! - Only [`Failure::Retryable`] is retried: an endpoint was [unavailable](Failure::unavailable),
//!   or [exhausted](Failure::exhausted) with a [`Pushback`]. Rejections by a circuit breaker are
//!   not.
//! - A call has up to 5 attempts with growing waits ([`Policy`]). A pushback is waited for exactly,
//!   and the backoff starts again after it.
//! - No wait exceeds the deadline: the failure is returned at once instead.
//! - Every retryable failure takes a token from the service's [`Budget`], a success returns a tenth
//!   of one, and at half nothing is retried. An outage then costs one attempt per call. The code
//!   that classifies the responses charges the budget: the gRPC client charges nothing for a
//!   failure of an endpoint that was already ejected, or one sick endpoint would spend the budget
//!   of the healthy ones. This deviates from A6.
//!
//! [`Attempts`] decides for one call, [`Hedges`] for a hedged one; both are pure. [`RetryLayer`]
//! applies [`Attempts`] to any [`tower::Service`] with a [`Replay`] policy; [`HttpReplay`] is the one
//! for HTTP.
//!
//! A call that was certainly not executed (never sent, refused by the peer) is sent again regardless
//! of these rules and uncounted: A6 calls it a transparent retry. Only the transport knows of it.
//! [`Attempts::refused`] counts the one transparent retry that costs the peer something. A method
//! that an endpoint does not know was not executed either, and another version may know it:
//! [`Attempts::elsewhere`].
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
//! let failure = Failure::unavailable(None);
//! assert!(failure.costs());
//! budget.failed();
//! let decision = attempts.failed(now, failure, &budget, &mut Rng::new());
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
    failure::Failure,
    future::ResponseFuture,
    hedging::{Hedges, HedgingPolicy},
    http::{HttpReplay, IDEMPOTENCY_KEY},
    layer::RetryLayer,
    policy::{InvalidPolicy, Policy},
    pushback::{PUSHBACK, Pushback},
    replay::{Replay, Verdict},
    service::Retry,
};
