//! Create a product.

use std::sync::Arc;

use gantry_contract::{Clock, idempotency::RequestKey};
use gantry_money::Money;

use super::{InventoryError, InventoryRepository};
use crate::domain::{Product, ProductName, Sku, Stock};

/// Creates products.
#[derive(Clone, Debug)]
pub struct CreateProduct {
    /// Products and reservations.
    pub inventory: Arc<dyn InventoryRepository>,
    /// Time of creation.
    pub clock: Arc<dyn Clock>,
}

/// Product to be created.
#[derive(Clone, Debug)]
pub struct NewProduct {
    /// SKU, unique.
    pub sku: Sku,
    /// Name.
    pub name: ProductName,
    /// Unit price.
    pub price: Money,
    /// Number in stock.
    pub stock: Stock,
    /// Request of the caller. Identifies repetitions.
    pub request: RequestKey,
}

impl CreateProduct {
    /// Creates a product. An equal request returns the product as it is now.
    ///
    /// # Errors
    /// [`InventoryError::SkuTaken`], [`InventoryError::RequestIdReused`].
    pub async fn run(&self, new: NewProduct) -> Result<Product, InventoryError> {
        let NewProduct { sku, name, price, stock, request } = new;
        let product = Product::new(sku, name, price, stock, self.clock.now());
        let product = self.inventory.create_product(product, request).await?;
        tracing::info!(sku = %product.sku, price = %product.price, "product created");
        Ok(product)
    }
}
