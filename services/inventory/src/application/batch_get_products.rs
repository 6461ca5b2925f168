//! Get several products.

use std::sync::Arc;

use super::{InventoryError, InventoryRepository};
use crate::domain::{Product, Refusal, Sku};

/// Reads several products.
#[derive(Clone, Debug)]
pub struct BatchGetProducts {
    /// Products and reservations.
    pub inventory: Arc<dyn InventoryRepository>,
}

impl BatchGetProducts {
    /// Returns the products with these SKUs, in the order of the SKUs.
    ///
    /// # Errors
    /// [`Refusal::UnknownProducts`] with every SKU that no product has, in the order of `skus`.
    pub async fn run(&self, skus: Vec<Sku>) -> Result<Vec<Product>, InventoryError> {
        let found = self.inventory.products(&skus).await?;
        let unknown: Vec<_> = skus.iter().filter(|sku| !found.contains_key(sku)).cloned().collect();
        if !unknown.is_empty() {
            return Err(Refusal::UnknownProducts(unknown).into());
        }
        Ok(skus.iter().filter_map(|sku| found.get(sku)).cloned().collect())
    }
}
