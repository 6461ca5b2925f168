//! Server-side limits: calls at once ([`Limiter`]) and calls per time ([`Buckets`]). Both decide at
//! once and never wait.
//!
//! # Concurrency: [`Limiter`]
//! A call in flight holds a [`Permit`] until its response begins. A call beyond the limit is
//! refused with a retry delay.
//!
//! - **Adaptation.** The limit follows latency by AIMD. The baseline of a class of calls (a method)
//!   is its latency on a nearly idle server. A class is slow if its calls take more than
//!   [`tolerance`](ConcurrencyParameters::tolerance) times the baseline. If the calls of a window
//!   are slow on the whole, the limit falls in proportion, at most by half. If they are not and the
//!   limit was nearly reached, it grows by its square root.
//! - **Fairness.** An identified caller ([`Limiter::try_enter_for`]) has a share. Alone it may use
//!   the whole limit; beside others, an equal part once three quarters are taken. A third more than
//!   the limit is reserved for callers with few calls, so that greedy callers do not shut out the
//!   others.
//! - **Lower bounds.** A latency of a few milliseconds is never slow, and below
//!   [`min`](ConcurrencyParameters::min) no call is refused.
//! - **Unmeasured calls.** Calls whose duration is up to the caller do not count
//!   ([`Permit::unmeasured`]): request streams, and calls that wait for an event.
//! - **Probing.** A baseline is learned from calls with few others beside them. If there was none
//!   for 10 s and the limit is at its minimum, the limit is lowered for a few windows to learn a
//!   new one. Otherwise work that became slower for good would count as overload for ever.
//!
//! Sources: Netflix's concurrency-limits (`AIMDLimit`; `Gradient2Limit` for the tolerance and the
//! square-root growth) and Envoy's adaptive concurrency filter (baseline measured at low
//! concurrency).
//!
//! # Rate: [`Buckets`]
//! Token buckets by key, implemented by the generic cell rate algorithm (ITU-T I.371): one atomic
//! time per key. A key that is unused for as long as its bucket takes to fill needs no entry. So a
//! cache bounds the keys; it evicts keys seen once first, and a flood of new keys does not evict
//! frequent ones.
//!
//! `governor` has the same algorithm, but its keyed store grows until it is swept, and these limits
//! need bounded keys.
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
