//! Use cases of the inventory, one per file, and their ports.
//!
//! The domain decides, and a port writes its decision as a whole or not at all. The server has
//! authorized the caller. Time comes through a port.

mod batch_get_products;
mod commit_reservation;
mod create_product;
mod error;
mod get_product;
mod list_products;
mod ports;
mod release_reservation;
mod reserve_stock;

use std::sync::Arc;

use gantry_contract::Clock;

pub use batch_get_products::BatchGetProducts;
pub use commit_reservation::CommitReservation;
pub use create_product::{CreateProduct, NewProduct};
pub use error::InventoryError;
pub use get_product::GetProduct;
pub use list_products::ListProducts;
pub use ports::InventoryRepository;
pub use release_reservation::ReleaseReservation;
pub use reserve_stock::{NewReservation, ReserveStock};

/// Use cases of the service. Clones share everything.
#[derive(Clone, Debug)]
pub struct UseCases {
    /// CreateProduct.
    pub create_product: CreateProduct,
    /// GetProduct.
    pub get_product: GetProduct,
    /// BatchGetProducts.
    pub batch_get_products: BatchGetProducts,
    /// ListProducts.
    pub list_products: ListProducts,
    /// ReserveStock.
    pub reserve_stock: ReserveStock,
    /// CommitReservation.
    pub commit_reservation: CommitReservation,
    /// ReleaseReservation.
    pub release_reservation: ReleaseReservation,
}

impl UseCases {
    /// Creates the use cases.
    pub fn new(inventory: Arc<dyn InventoryRepository>, clock: Arc<dyn Clock>) -> Self {
        let (inventory, clock) = (|| inventory.clone(), || clock.clone());
        Self {
            create_product: CreateProduct { inventory: inventory(), clock: clock() },
            get_product: GetProduct { inventory: inventory() },
            batch_get_products: BatchGetProducts { inventory: inventory() },
            list_products: ListProducts { inventory: inventory() },
            reserve_stock: ReserveStock { inventory: inventory(), clock: clock() },
            commit_reservation: CommitReservation { inventory: inventory(), clock: clock() },
            release_reservation: ReleaseReservation { inventory: inventory(), clock: clock() },
        }
    }
}
