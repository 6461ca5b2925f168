//! Adding a product to the catalogue.

use gantry_contract::idempotency::RequestKey;
use gantry_money::Money;

use super::{Inventory, InventoryError};
use crate::domain::{Product, ProductName, Sku, Stock};

/// A product that is to be.
#[derive(Clone, Debug)]
pub struct CreateProduct {
    /// Its key.
    pub sku: Sku,
    /// What it is called.
    pub name: ProductName,
    /// What one costs.
    pub price: Money,
    /// How many there are.
    pub stock: Stock,
}

impl Inventory {
    /// Adds a product; the same request again returns it as it is now.
    ///
    /// # Errors
    /// [`InventoryError::SkuTaken`], [`InventoryError::RequestIdReused`].
    pub async fn create_product(
        &self,
        command: CreateProduct,
        request: RequestKey,
    ) -> Result<Product, InventoryError> {
        let CreateProduct { sku, name, price, stock } = command;
        let product = Product::new(sku, name, price, stock, self.clock.now());
        let product = self.repository.create_product(product, request).await?;
        tracing::info!(sku = %product.sku, price = %product.price, "product created");
        Ok(product)
    }
}
