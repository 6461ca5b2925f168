//! Calls of the walk and of the load.

use std::time::Duration;

use gantry_proto::{
    google::r#type::Money,
    shop::{
        inventory::v1::{CreateProductRequest, GetProductRequest, Product},
        order::v1::{
            CreateOrderRequest, GetOrderRequest, Order, OrderItem, OrderStatus, PlaceOrderRequest,
        },
    },
};

use super::{
    Customer, DemoError, Goods,
    clients::{Clients, as_bearer},
    expect, new_id, refused,
};

impl Clients {
    /// Creates a product.
    pub(super) async fn stock(
        &mut self,
        admin: &str,
        sku: &str,
        goods: &Goods,
    ) -> Result<Product, DemoError> {
        let request = CreateProductRequest {
            sku: sku.to_owned(),
            name: goods.name.to_owned(),
            price: Some(euros(goods.cents)),
            stock: goods.stock,
            request_id: new_id(),
        };
        let product = self.inventory.create_product(as_bearer(request, admin)).await;
        let product = product.map_err(refused("create a product"))?.into_inner();
        expect("create a product", goods.stock, product.stock)?;
        Ok(product)
    }

    /// Creates a draft of an order.
    pub(super) async fn draft(
        &mut self,
        customer: &Customer,
        items: &[(&str, i32)],
    ) -> Result<Order, DemoError> {
        let items = items.iter().map(|(sku, quantity)| OrderItem {
            sku: (*sku).to_owned(),
            quantity: *quantity,
            ..OrderItem::default()
        });
        let request = CreateOrderRequest {
            user_id: customer.id.clone(),
            items: items.collect(),
            shipping_address: None,
            request_id: new_id(),
        };
        let order = self.orders.create_order(as_bearer(request, &customer.token)).await;
        let order = order.map_err(refused("draft an order"))?.into_inner();
        expect("draft an order", OrderStatus::Draft, order.status())?;
        Ok(order)
    }

    /// Returns the request that places a draft and waits for its end. Repeating it places the order once.
    pub(super) fn placing(order: Order) -> PlaceOrderRequest {
        PlaceOrderRequest {
            id: order.id,
            etag: Some(order.etag),
            request_id: new_id(),
            wait: Some(Duration::from_secs(20).try_into().unwrap_or_default()),
            ..PlaceOrderRequest::default()
        }
    }

    /// Places a draft.
    pub(super) async fn place(
        &mut self,
        customer: &Customer,
        request: PlaceOrderRequest,
        step: &'static str,
    ) -> Result<Order, DemoError> {
        let placed = self.orders.place_order(as_bearer(request, &customer.token)).await;
        Ok(placed.map_err(refused(step))?.into_inner())
    }

    /// Returns an order.
    pub(super) async fn order(
        &mut self,
        customer: &Customer,
        id: &str,
    ) -> Result<Order, DemoError> {
        let request = GetOrderRequest { id: id.to_owned() };
        let order = self.orders.get_order(as_bearer(request, &customer.token)).await;
        Ok(order.map_err(refused("look at the order"))?.into_inner())
    }

    /// Returns a product.
    pub(super) async fn product(
        &mut self,
        customer: &Customer,
        sku: &str,
    ) -> Result<Product, DemoError> {
        let request = GetProductRequest { sku: sku.to_owned() };
        let product = self.inventory.get_product(as_bearer(request, &customer.token)).await;
        Ok(product.map_err(refused("look at the stock"))?.into_inner())
    }
}

fn euros(cents: i64) -> Money {
    Money {
        currency_code: "EUR".to_owned(),
        units: cents / 100,
        nanos: i32::try_from(cents % 100).unwrap_or_default() * 10_000_000,
    }
}
