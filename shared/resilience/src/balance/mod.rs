//! Which of several endpoints gets the next call: power of two choices over
//! peak-EWMA.
//!
//! Two candidates are drawn at random and the cheaper one is taken. An endpoint's
//! cost is its estimated time to response headers, times the calls it has in flight
//! and one more, over its weight. The estimate jumps to a peak at once and forgets it
//! over ten seconds ([`Load`]).
//!
//! Rules:
//! - an endpoint that has never answered gets the next call, and no second one
//!   until the first is answered: a cold or broken joiner costs one call, not a burst;
//! - an endpoint that was not picked for three seconds gets one call that may be
//!   repeated elsewhere: else one bad estimate could starve it for ever;
//! - what the caller says is unusable is never picked; the others are found
//!   without drawing again.
//!
//! Everything is atomics: picking takes no lock and is safe from any thread. A
//! [`Balancer`] is built for one set of endpoints and replaced whole; the [`Load`]s
//! live on with the endpoints.

mod balancer;
mod load;

pub use balancer::{Balancer, Candidate, Picked};
pub use load::{Load, Outcome};
