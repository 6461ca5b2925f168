//! Ports of the use cases.

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
/// Every method is one transaction: durable when the method returns, or not made at all. Every method
/// may also fail with a [`StorageError`].
#[async_trait]
pub trait InventoryRepository: fmt::Debug + Send + Sync {
    /// Adds `product` and the record of `request`. If an equal request did so before, adds nothing and
    /// returns the product as it is now.
    ///
    /// # Errors
    /// [`InventoryError::SkuTaken`], [`InventoryError::RequestIdReused`].
    async fn create_product(
        &self,
        product: Product,
        request: RequestKey,
    ) -> Result<Product, InventoryError>;

    /// Returns the products with these SKUs, without SKUs that no product has.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn products(&self, skus: &[Sku]) -> Result<BTreeMap<Sku, Product>, StorageError>;

    /// Returns a page of all products, in the order of their SKUs' bytes. The page's key is the SKU.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn list_products(&self, page: &PageRequest) -> Result<Page<Product>, StorageError>;

    /// Decides `command` by [`decide`](crate::domain::decide) and writes the decision with the record of
    /// `request`, in isolation from other changes of the reservation and its stocks. Returns the
    /// reservation after it. Writes nothing on a refusal, not even the record.
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
