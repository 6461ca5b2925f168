//! Ejection: temporary removal of endpoints that fail more than the others of their set.
//!
//! Rules, after Envoy's outlier detection and gRFC A50:
//! - 5 consecutive failures eject an endpoint at once. A success ends the run.
//! - Every 10 s the endpoints are compared by their calls since the last comparison. If at least 5
//!   endpoints had 100 calls each, those with a success rate more than 1.9 standard deviations
//!   below the mean are ejected. If at least 5 had 50 calls each, those with more than 85 % failed
//!   calls are ejected. The worst come first.
//! - An endpoint that refuses consecutive calls while the others do not is ejected: if a run of at
//!   least 5 continues so long that, at the others' rate of refusals meanwhile, its probability is
//!   below one in a billion (10 more while the others serve 7 calls or more). If all refuse, the
//!   fault is the caller's, and none is ejected.
//! - An ejection lasts 30 s times the ejection count, at most 300 s. Every 10 s that an endpoint
//!   then stays in the set lowers the count by one.
//! - At most half of the set is ejected, rounded down, but always one if another remains: 0 of 1, 1
//!   of 2 and of 3, 2 of 4 and of 5. (A50 rounds up, so 2 of 3 could go.) An endpoint beyond that
//!   is ejected at its next failure after a place is free. If the set shrinks, the endpoints with
//!   the least time left return early.
//! - Responses of an ejected endpoint do not count: it returns with a clean slate.
//! - An endpoint keeps its state as long as it stays in the set.
//!
//! The endpoints are thus never all ejected. The others may be unusable for another reason, such as
//! a lost connection. Then fail open: pick again and ignore ejection. A failure of such a pick
//! costs a token of the retry budget; a failure of a call whose endpoint was ejected while it was
//! under way does not.
//!
//! The caller classifies failures; a call that the caller cancelled early counts as neither.
//! Nothing runs in the background: ending calls drive the detector, and time alone brings endpoints
//! back. [`Endpoint::is_ejected`] is one atomic load.
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
