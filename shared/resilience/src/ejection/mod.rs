//! Ejecting endpoints that fail more than the others of their set, for a while.
//!
//! Rules (Envoy's outlier detection, and what gRFC A50 makes of it):
//! - 5 failures in a row eject an endpoint at once; a success ends the run;
//! - every 10 s the calls since the last time are looked at. Where at least 5 endpoints
//!   had 100 calls each, those are ejected whose success rate lies more than 1.9 standard
//!   deviations below the mean; where at least 5 had 50 calls each, those of which more
//!   than 85 % failed. The worst first;
//! - an endpoint that refuses calls in a row while the others do not is ejected: when a run of
//!   at least 5 goes on by so many that at the others' rate of refusals, meanwhile, it would be
//!   a coincidence of one in a billion (10 more while the others do 7 calls or more). When all
//!   refuse it is the caller's fault, and nobody is ejected;
//! - an ejection lasts 30 s times the number of ejections, at most 300 s, and is over at
//!   that moment. Every 10 s that an endpoint then keeps its place take one off the number;
//! - at most half of the set is ejected, rounded down, but one may always be where another
//!   remains: 0 of 1, 1 of 2 and of 3, 2 of 4 and of 5. A50 rounds up; then 2 of 3 could
//!   go. Whoever would be one too many is ejected with its next failure after a place is
//!   free. Where the set shrinks, those whose time is over soonest return early;
//! - what an ejected endpoint answers counts for nothing: it comes back with a clean slate;
//! - an endpoint keeps its state as long as it stays in the set.
//!
//! So the endpoints are never all ejected; but all that are not may be of no use for other
//! reasons, say not connected. Then fail open: pick again and let ejection not matter. The
//! failure of such a pick is paid for (it takes a token from the retry budget), that of a call
//! whose endpoint was ejected while it was under way is not.
//!
//! What is a failure is for the caller to say; a call that the caller gave up early is
//! neither. Nothing runs in the background: the calls that end drive it, and time alone
//! brings endpoints back. [`Endpoint::is_ejected`] is one atomic load, for the picker.
//!
//! ```
//! use gantry_resilience::ejection::{Config, Detector, Reason};
//! use tokio::time::{Duration, Instant};
//!
//! let now = Instant::now();
//! let detector = Detector::new(Config::default(), now);
//! let [sick, well] = &detector.replace(["10.0.0.1", "10.0.0.2"], now)[..] else { return };
//! for _ in 0..4 {
//!     assert!(detector.failed(sick, now).is_empty());
//! }
//! let ejected = detector.failed(sick, now);
//! assert_eq!(ejected[0].reason, Reason::ConsecutiveFailures);
//! assert!(sick.is_ejected(now) && !well.is_ejected(now));
//! assert!(!sick.is_ejected(now + Duration::from_secs(30)));
//! ```

mod config;
mod detector;
mod endpoint;
mod outliers;
mod set;
mod sync;

pub use config::{Config, FailurePercentage, InvalidConfig, Parameters, SuccessRate};
pub use detector::Detector;
pub use endpoint::Endpoint;
pub use set::{Ejected, EndpointSnapshot, Reason};
