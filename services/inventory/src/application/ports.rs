//! Ports: needs of the use cases.

use std::{collections::BTreeMap, fmt};

use async_trait::async_trait;
use gantry_contract::{
    idempotency::RequestKey,
    page::{Page, PageRequest},
};
use gantry_sql::StorageError;
use time::OffsetDateTime;
use uuid::Uuid;

use super::InventoryError;
use crate::domain::{Command, Product, Reservation, Sku};

/// Products and reservations.
///
/// Every method is one transaction: on disk when it returns, or not made at all. All of them may also
/// fail with a [`StorageError`].
#[async_trait]
pub trait InventoryRepository: fmt::Debug + Send + Sync {
    /// Adds `product` on behalf of `request`. If that request added it before, returns it as it is now.
    ///
    /// # Errors
    /// [`InventoryError::SkuTaken`], [`InventoryError::RequestIdReused`].
    async fn create_product(
        &self,
        product: Product,
        request: RequestKey,
    ) -> Result<Product, InventoryError>;

    /// Returns those of these products that exist.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn products(&self, skus: &[Sku]) -> Result<BTreeMap<Sku, Product>, StorageError>;

    /// Returns a page of all products, in the order of their SKUs' bytes. The page's key is the SKU.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn list_products(&self, page: &PageRequest) -> Result<Page<Product>, StorageError>;

    /// Does what [`crate::domain::decide`] says to `command`, while nothing else changes the
    /// reservation or any stock. Returns the reservation as it is then. A refusal
    /// leaves nothing behind, not even the record of the request.
    ///
    /// # Errors
    /// [`InventoryError::Refused`], [`InventoryError::RequestIdReused`].
    async fn change_reservation(
        &self,
        id: Uuid,
        command: Command,
        request: RequestKey,
        now: OffsetDateTime,
    ) -> Result<Reservation, InventoryError>;
}
