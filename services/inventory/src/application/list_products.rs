//! List products.

use std::sync::Arc;

use gantry_contract::page::{Page, PageRequest};

use super::{InventoryError, InventoryRepository};
use crate::domain::Product;

/// Lists products page by page, sorted by SKU.
#[derive(Clone, Debug)]
pub struct ListProducts {
    /// Products and reservations.
    pub inventory: Arc<dyn InventoryRepository>,
}

impl ListProducts {
    /// Returns one page of all products.
    ///
    /// # Errors
    /// [`InventoryError::Storage`].
    pub async fn run(&self, page: &PageRequest) -> Result<Page<Product>, InventoryError> {
        Ok(self.inventory.list_products(page).await?)
    }
}
