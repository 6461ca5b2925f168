//! The error.

use super::Full;

/// Why a call through a bulkhead failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error<E> {
    /// There was no slot for it: nothing was sent.
    #[error(transparent)]
    Full(Full),
    /// The service's own error.
    #[error(transparent)]
    Inner(E),
}
