//! Failures of attempts, with regard to further attempts.

use std::time::Duration;

use super::Pushback;

/// Meaning of a failed attempt for further attempts of its call.
///
/// The code that classifies responses makes one of these once, from the kind of failure and from
/// the peer's [`Pushback`]. Nothing else reads the status again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Another attempt may succeed.
    Retryable {
        /// Exact wait that the peer requests. `None`: a backoff.
        after: Option<Duration>,
    },
    /// The peer rejects retries.
    PushedBack,
    /// The peer is overloaded and does not announce for how long. Further attempts would make it
    /// worse; those under way may still succeed.
    Exhausted,
    /// Another attempt would end the same way, or must not be made.
    Final,
}

impl Failure {
    /// Returns the failure of an endpoint that could not serve the call, while another one or a
    /// later attempt may: gRPC's UNAVAILABLE, a broken connection, HTTP's 502, 503 and 504.
    pub fn unavailable(pushback: Option<Pushback>) -> Self {
        Self::of(pushback, Self::Retryable { after: None }, true)
    }

    /// Returns the failure of an endpoint that sheds load: gRPC's RESOURCE_EXHAUSTED, HTTP's 429.
    /// It is retried only with a pushback.
    pub fn exhausted(pushback: Option<Pushback>) -> Self {
        Self::of(pushback, Self::Exhausted, true)
    }

    /// Returns any other failure of a call that the peer has seen.
    pub fn other(pushback: Option<Pushback>) -> Self {
        Self::of(pushback, Self::Final, false)
    }

    fn of(pushback: Option<Pushback>, without: Self, retryable: bool) -> Self {
        match pushback {
            Some(Pushback::Stop) => Self::PushedBack,
            Some(Pushback::After(after)) if retryable => Self::Retryable { after: Some(after) },
            Some(Pushback::After(_)) | None => without,
        }
    }

    /// Returns true if the failure takes a token from the [`Budget`](super::Budget): A6 counts
    /// retryable failures and those whose peer rejects retries.
    pub fn costs(self) -> bool {
        matches!(self, Self::Retryable { .. } | Self::PushedBack)
    }
}
