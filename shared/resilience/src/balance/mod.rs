//! Choice of the endpoint for the next call.
//!
//! A [`Balancer`] is built for one set of endpoints and replaced whole; the [`Load`]s
//! live on with the endpoints. Everything is atomics: picking takes no lock, costs the
//! same for ten endpoints as for a thousand, and is safe from any thread.
//!
//! # The policies
//! [`Policy::PeakEwma`] draws two endpoints at random, in proportion to their weights,
//! and takes the cheaper one. What an endpoint costs is its estimated time to response
//! headers, times the calls in flight and one more. The estimate jumps to a peak at
//! once and forgets it over ten seconds. Its rules:
//! - a failure counts as five seconds, or as long as the server says it will go on
//!   ([`Outcome::FailedFor`]), else an endpoint that fails fast would look fast;
//! - a refusal ([`Outcome::Refused`]) counts as the endpoint's last success at least, so that it
//!   never lowers an estimate, and makes an unknown endpoint as good as the median of its set;
//! - an endpoint of which nothing is known, or nothing lately, gets the next call, and
//!   no second one until that is answered: a cold or broken joiner costs one call, not
//!   a burst. [`Load::forget`] makes it so again, for one that was connected anew;
//! - an endpoint that was not picked for three seconds, while others were, gets one
//!   call that may be repeated elsewhere: else one bad estimate could starve it.
//!
//! [`Policy::LeastRequest`] compares the calls in flight of the two only, and
//! [`Policy::RoundRobin`] compares nothing. Neither knows slow from fast, and to the
//! former one that fails fast looks idle: they need ejection beside them.
//!
//! # What is to be avoided
//! The caller says of each endpoint what it thinks of it ([`Standing`]; a plain `bool`
//! says whether it is usable). What was tried already or is ejected is picked only
//! where nothing better is, and what is unusable never. Ejection thus fails open.
//!
//! # Subsets
//! A [`Subset`] keeps the endpoints of a version or with some tags; a balancer is
//! built over what it leaves.
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
