//! Leafing through the catalogue.

use gantry_contract::page::{Page, PageRequest};

use super::{Inventory, InventoryError};
use crate::domain::Product;

impl Inventory {
    /// A page of all products, by SKU.
    ///
    /// # Errors
    /// Only the storage's.
    pub async fn list_products(&self, page: &PageRequest) -> Result<Page<Product>, InventoryError> {
        self.repository.list_products(page).await
    }
}
