//! Errors of the use cases.

use gantry_sql::StorageError;

use crate::domain::{Refusal, Sku};

/// Error of a use case. Nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum InventoryError {
    /// The rules of the domain refuse it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A product with this SKU exists.
    #[error("the SKU {0} is taken")]
    SkuTaken(Sku),
    /// The request id was used for another request.
    #[error("the request_id was used for another request")]
    RequestIdReused,
    /// See [`StorageError`].
    #[error(transparent)]
    Storage(#[from] StorageError),
}
