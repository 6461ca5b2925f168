//! Why a use case fails.

use crate::domain::{Refusal, Sku};

/// Why a use case fails: nothing was changed then.
#[derive(Debug, thiserror::Error)]
pub enum InventoryError {
    /// The rules forbid it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A product with this SKU exists.
    #[error("the SKU {0} is taken")]
    SkuTaken(Sku),
    /// The caller used the request id before, for something else.
    #[error("the request id was used before, for another request")]
    RequestIdReused,
    /// The storage has too much to do; trying again later may succeed.
    #[error("the storage is busy")]
    Busy(#[source] Cause),
    /// Nothing can be stored for now, as on a full disk.
    #[error("nothing can be stored")]
    Unavailable(#[source] Cause),
    /// The storage failed, or holds what it cannot hold.
    #[error("the storage failed")]
    Storage(#[source] Cause),
}

/// What the storage said: for the log, never for a caller.
type Cause = Box<dyn std::error::Error + Send + Sync>;
