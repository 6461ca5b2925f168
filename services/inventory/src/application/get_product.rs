//! Get one product.

use std::{slice, sync::Arc};

use super::{InventoryError, InventoryRepository};
use crate::domain::{Product, Refusal, Sku};

/// Reads one product.
#[derive(Clone, Debug)]
pub struct GetProduct {
    /// Products and reservations.
    pub inventory: Arc<dyn InventoryRepository>,
}

impl GetProduct {
    /// Returns the product with this SKU.
    ///
    /// # Errors
    /// [`Refusal::UnknownProducts`].
    pub async fn run(&self, sku: Sku) -> Result<Product, InventoryError> {
        let mut found = self.inventory.products(slice::from_ref(&sku)).await?;
        Ok(found.remove(&sku).ok_or(Refusal::UnknownProducts(vec![sku]))?)
    }
}
