//! Lists the products of a running suite, through `gantry-client`.
//!
//! ```sh
//! TOKEN=... cargo run --release -p gantry --example list_products
//! ```
#![allow(clippy::print_stdout, reason = "the products are what it is run for")]

use std::error::Error;

use gantry_client::Channel;
use gantry_discovery::Registry;
use gantry_proto::{
    CONTRACT,
    shop::inventory::v1::{ListProductsRequest, inventory_service_client::InventoryServiceClient},
};
use tonic::Request;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let registry = Registry::fixed([("inventory", ["127.0.0.1:50053"])])?;
    let channel = Channel::builder("inventory").contract(&CONTRACT).registry(registry).build()?;
    let mut inventory = InventoryServiceClient::new(channel);

    let mut request = Request::new(ListProductsRequest { page_size: 10, ..Default::default() });
    let token = std::env::var("TOKEN")?;
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse()?);
    for product in inventory.list_products(request).await?.into_inner().products {
        println!("{} {}", product.sku, product.name);
    }
    Ok(())
}
