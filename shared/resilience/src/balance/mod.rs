//! Choice of the endpoint for the next call.
//!
//! A [`Balancer`] is built for one set of endpoints and replaced as a whole; the [`Load`]s live on
//! with the endpoints. All state is atomic: a pick takes no lock, costs the same for ten endpoints
//! as for a thousand, and is safe from any thread.
//!
//! # The policies
//! [`Policy::PeakEwma`] draws two endpoints at random, in proportion to their weights, and picks
//! the cheaper one. The cost of an endpoint is its estimated time to response headers, times the
//! calls in flight plus one. The estimate jumps to a peak at once and decays over ten seconds.
//! Rules:
//! - A failure counts as five seconds, or as the time that the server announces
//!   ([`Outcome::FailedFor`]). Otherwise an endpoint that fails fast would look fast.
//! - A refusal ([`Outcome::Refused`]) counts as at least the endpoint's last success. It never
//!   lowers an estimate, and makes an unknown endpoint as good as the median of its set.
//! - An unknown endpoint, or one whose estimate has expired, gets the next call, and no second one
//!   until the response to that: a cold or broken joiner costs one call, not a burst.
//!   [`Load::forget`] makes an endpoint unknown again, for one that was reconnected.
//! - An endpoint that was not picked for three seconds, while others were, gets one call that may
//!   be repeated elsewhere. Otherwise one bad estimate could starve it.
//!
//! [`Policy::LeastRequest`] compares only the calls in flight of the two, and
//! [`Policy::RoundRobin`] compares nothing. Neither distinguishes slow from fast, and to the former
//! an endpoint that fails fast looks idle: use ejection with both.
//!
//! # Standing
//! The caller rates each endpoint for the call ([`Standing`]; a plain `bool` means usable or not). An
//! endpoint that was tried already or is ejected is picked only if there is no better one, an unusable
//! one never. Ejection thus fails open.
//!
//! # Subsets
//! A [`Subset`] selects the endpoints of a version or with some tags. Build a balancer over the
//! selected ones.
//!
//! ```
//! use fastrand::Rng;
//! use gantry_resilience::balance::{Balancer, Candidate, Load, Outcome, Policy, Standing};
//! use std::{sync::Arc, time::Duration};
//! use tokio::time::Instant;
//!
//! #[derive(Clone)]
//! struct Replica(Arc<(&'static str, Load)>);
//!
//! impl Candidate for Replica {
//!     fn load(&self) -> &Load {
//!         &self.0.1
//!     }
//!     fn weight(&self) -> u32 {
//!         1
//!     }
//! }
//!
//! let now = Instant::now();
//! let replicas = ["a", "b"].map(|name| Replica(Arc::new((name, Load::new(now)))));
//! let balancer = Balancer::with_policy(Policy::PeakEwma, replicas, now);
//! let tried = ["a"];
//! let standing = |replica: &Replica| {
//!     if tried.contains(&replica.0.0) { Standing::Tried } else { Standing::Fit }
//! };
//! let mut picked = balancer.pick(now, &mut Rng::new(), true, standing).unwrap();
//! assert_eq!(picked.member().0.0, "b");
//! picked.learn(now + Duration::from_millis(3), Outcome::Answered);
//! ```

mod balancer;
mod load;
mod picked;
mod policy;
mod round_robin;
mod standing;
mod subset;
mod weights;

pub use balancer::{Balancer, Candidate};
pub use load::{Load, Outcome};
pub use picked::Picked;
pub use policy::Policy;
pub use standing::Standing;
pub use subset::{Labelled, Otherwise, Subset};
