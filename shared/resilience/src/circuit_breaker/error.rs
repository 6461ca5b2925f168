//! Error of a call through a breaker.

use super::Rejected;

/// Error of a call through a breaker.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error<E> {
    /// The breaker rejected the call: nothing was sent.
    #[error(transparent)]
    Rejected(Rejected),
    /// The inner service failed.
    #[error(transparent)]
    Inner(E),
}
