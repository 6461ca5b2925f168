//! The error.

use super::Rejected;

/// Why a call through a breaker failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error<E> {
    /// The breaker did not let it through: nothing was sent.
    #[error(transparent)]
    Rejected(Rejected),
    /// The service's own error.
    #[error(transparent)]
    Inner(E),
}
