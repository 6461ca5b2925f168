//! What can be done with the inventory: one use case a file, each a method of
//! [`Inventory`], and the ports they need.
//!
//! A use case turns a command into what the repository is to do, in one step that is
//! done wholly or not at all. The rules are the domain's; who may call was decided
//! before.

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

pub use create_product::CreateProduct;
pub use error::InventoryError;
pub use ports::Repository;
pub use reserve_stock::ReserveStock;

/// The use cases. Clones share everything.
#[derive(Clone, Debug)]
pub struct Inventory {
    repository: Arc<dyn Repository>,
    clock: Arc<dyn Clock>,
}

impl Inventory {
    /// The use cases on these ports.
    pub fn new(repository: Arc<dyn Repository>, clock: Arc<dyn Clock>) -> Self {
        Self { repository, clock }
    }
}
