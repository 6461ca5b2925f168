//! How an attempt failed, as far as another one goes.

use std::time::Duration;

use super::Pushback;

/// What kind of failure it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The endpoint could not serve the call, another one or a later attempt may: gRPC's
    /// UNAVAILABLE, a connection that broke, HTTP's 502, 503 and 504.
    Unavailable,
    /// It would have been too much: gRPC's RESOURCE_EXHAUSTED, HTTP's 429. Retried only
    /// where the peer says when, else it would become even more.
    Exhausted,
    /// The endpoint does not know the method, so that nothing was executed: see
    /// [`Attempts::elsewhere`](super::Attempts::elsewhere).
    MethodUnknown,
    /// A circuit breaker, a bulkhead or the like of our own refused the call. Never
    /// retried, and no reason to retry others less.
    Rejected,
    /// Another attempt would end the same way, or nobody would wait for it.
    Final,
}

impl Failure {
    /// What a gRPC status code other than OK (0) says.
    pub fn of_grpc(code: i32) -> Self {
        // UNAVAILABLE and RESOURCE_EXHAUSTED.
        match code {
            14 => Self::Unavailable,
            8 => Self::Exhausted,
            _ => Self::Final,
        }
    }
}

/// All that counts of a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failed {
    /// The kind of failure.
    pub failure: Failure,
    /// What the peer says about being asked again.
    pub pushback: Option<Pushback>,
    /// Whether the endpoint was ejected when its answer arrived, and had not been picked
    /// for want of a better one: such a failure takes nothing from the budget.
    pub was_ejected: bool,
}

/// What a failed attempt means for the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// May be made again, after this time where the peer says so.
    Retryable(Option<Duration>),
    /// The peer says that it must not be.
    Stop,
    /// Not worth it.
    Final,
}

impl Failed {
    /// Whether it counts against the budget, as A6 says: what is retryable does, and what
    /// the peer does not want again.
    pub(super) fn costs(self) -> bool {
        let counts = matches!(self.meaning(), Meaning::Retryable(_) | Meaning::Stop);
        counts && !self.was_ejected
    }

    pub(super) fn meaning(self) -> Meaning {
        match (self.failure, self.pushback) {
            (Failure::Rejected, _) => Meaning::Final,
            (_, Some(Pushback::Stop)) => Meaning::Stop,
            (Failure::Unavailable, None) => Meaning::Retryable(None),
            (Failure::Unavailable | Failure::Exhausted, Some(Pushback::After(after))) => {
                Meaning::Retryable(Some(after))
            }
            (Failure::Exhausted, None) | (Failure::Final | Failure::MethodUnknown, _) => {
                Meaning::Final
            }
        }
    }
}

impl From<Failure> for Failed {
    /// Without a pushback, by an endpoint that was not ejected.
    fn from(failure: Failure) -> Self {
        Self { failure, pushback: None, was_ejected: false }
    }
}
