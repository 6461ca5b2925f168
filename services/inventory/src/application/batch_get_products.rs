//! Looking at several products at once.

use super::{Inventory, InventoryError};
use crate::domain::{Product, Refusal, Sku};

impl Inventory {
    /// The products with these SKUs, in the order asked for.
    ///
    /// # Errors
    /// [`Refusal::UnknownProducts`] with every SKU that no product has, in that order.
    pub async fn batch_get_products(&self, skus: Vec<Sku>) -> Result<Vec<Product>, InventoryError> {
        let found = self.repository.products(&skus).await?;
        let unknown: Vec<_> = skus.iter().filter(|sku| !found.contains_key(sku)).cloned().collect();
        if !unknown.is_empty() {
            return Err(Refusal::UnknownProducts(unknown).into());
        }
        Ok(skus.iter().filter_map(|sku| found.get(sku)).cloned().collect())
    }
}
