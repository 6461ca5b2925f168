//! What a server does not take on: more calls at once than it can work at, and more calls
//! in a time than one caller may make. Both are decided at once and never wait.
//!
//! # At once: [`Limiter`]
//! - so many calls are under way; each holds a [`Permit`] until its answer begins, and one
//!   more is refused with a time after which to come again;
//! - how many is found by AIMD on latency. A class of calls (a method) is slow where its
//!   calls take more than [`tolerance`](ConcurrencyParameters::tolerance) times its
//!   baseline, what they take while the server is nearly idle. Where the calls of a window
//!   are slow on the whole the limit falls by as much as they were too slow, a half at
//!   most; where they are not and the limit was nearly reached, it grows by its root;
//! - a caller that is named ([`Limiter::try_enter_for`]) has its share: alone the whole limit,
//!   beside others an equal part once three quarters are taken; and a third more than the limit
//!   is kept for callers with few calls, so that a few that take all they can get shut out
//!   nobody;
//! - a latency of a few milliseconds is never slow, and a few calls at once are never too
//!   many: below [`min`](ConcurrencyParameters::min) nothing is refused;
//! - calls that take as long as their callers like are not judged
//!   ([`Permit::unmeasured`]): streams of requests, and calls that wait for an event;
//! - a baseline is learned from calls that had few others beside them. Where there has been
//!   no such call for 10 s and the limit is at its minimum, a few windows are made such:
//!   so that work that takes longer than it used to is not taken for overload for ever.
//!
//! Sources: Netflix's concurrency-limits (`AIMDLimit`, and `Gradient2Limit` for the
//! tolerance and the growth by the root), Envoy's adaptive concurrency filter (the baseline
//! measured at a low concurrency).
//!
//! # In a time: [`Buckets`]
//! Token buckets by key, as the generic cell rate algorithm keeps them (ITU-T I.371): one
//! atomic time each. A key that is not used for as long as its bucket takes to fill is as
//! good as unknown, so keys are bounded by a cache that forgets those first which were seen
//! once; whoever calls often is not forgotten for a flood of others.
//!
//! Not `governor`: it is the same algorithm, but its keyed store grows with its keys until
//! somebody sweeps it, and a bound on keys is what this is about.
//!
//! ```
//! use gantry_resilience::limits::{Buckets, Rate};
//! use tokio::time::{Duration, Instant};
//!
//! let (rate, now) = (Rate::try_new(10.0, 2)?, Instant::now());
//! let buckets = Buckets::new(1000, now);
//! assert!(buckets.take(&"ann", rate, now).is_ok());
//! assert!(buckets.take(&"ann", rate, now).is_ok());
//! assert_eq!(buckets.take(&"ann", rate, now), Err(Duration::from_millis(100)));
//! assert!(buckets.take(&"bob", rate, now).is_ok());
//! # Ok::<(), gantry_resilience::limits::InvalidRate>(())
//! ```

mod buckets;
mod class;
mod concurrency;
mod controller;
mod holdings;
mod limiter;
mod rate;

pub use self::{
    buckets::Buckets,
    concurrency::{ConcurrencyConfig, ConcurrencyParameters, InvalidConcurrency},
    holdings::Holdings,
    limiter::{Limiter, Overloaded, Permit, Snapshot},
    rate::{InvalidRate, Rate},
};
