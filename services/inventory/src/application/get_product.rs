//! Looking at one product.

use super::{Inventory, InventoryError};
use crate::domain::{Product, Refusal, Sku};

impl Inventory {
    /// The product with this SKU.
    ///
    /// # Errors
    /// [`Refusal::UnknownProducts`].
    pub async fn get_product(&self, sku: Sku) -> Result<Product, InventoryError> {
        let mut found = self.repository.products(std::slice::from_ref(&sku)).await?;
        Ok(found.remove(&sku).ok_or(Refusal::UnknownProducts(vec![sku]))?)
    }
}
