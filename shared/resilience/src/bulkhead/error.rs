//! Error of a call through a bulkhead.

use super::Full;

/// Error of a call through a bulkhead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error<E> {
    /// No slot was free: nothing was sent.
    #[error(transparent)]
    Full(Full),
    /// The inner service failed.
    #[error(transparent)]
    Inner(E),
}
