//! Client of the inventory service.

use async_trait::async_trait;
use gantry_client::Channel;
use gantry_contract::{Caller, Reason as _};
use gantry_money::Money;
use gantry_proto::shop::{
    errors::v1::Reason,
    inventory::v1::{
        BatchGetProductsRequest, CommitReservationRequest, Product, ReleaseReservationRequest,
        ReservationItem, ReserveStockRequest, inventory_service_client::InventoryServiceClient,
    },
};
use tonic::Status;
use tonic_types::StatusExt;
use uuid::Uuid;

use super::{broken, request, unanswered};
use crate::{
    application::{Catalogue, CatalogueError, Stock, StockError, Unanswered},
    domain::{Quantity, Sku},
};

/// Catalogue and stock of the inventory service. Clones share its channel.
#[derive(Clone, Debug)]
pub struct InventoryClient(InventoryServiceClient<Channel>);

impl InventoryClient {
    /// Creates a client on this channel.
    pub fn new(channel: Channel) -> Self {
        Self(InventoryServiceClient::new(channel))
    }
}

#[async_trait]
impl Catalogue for InventoryClient {
    async fn prices(&self, skus: &[Sku], caller: &Caller) -> Result<Vec<Money>, CatalogueError> {
        let message =
            BatchGetProductsRequest { skus: skus.iter().map(|sku| sku.to_string()).collect() };
        match self.0.clone().batch_get_products(request(message, caller)).await {
            Ok(answer) => Ok(prices(skus, &answer.into_inner().products)?),
            Err(status) if Reason::ProductNotFound.is_given_by(&status) => {
                Err(CatalogueError::NotFound(unknown(skus, &status)))
            }
            Err(status) => Err(unanswered(&status).into()),
        }
    }
}

/// Returns the price of each product. Checks that the products are the requested ones.
fn prices(skus: &[Sku], products: &[Product]) -> Result<Vec<Money>, Unanswered> {
    if !skus.iter().map(Sku::as_str).eq(products.iter().map(|product| product.sku.as_str())) {
        return Err(broken("the products are not the requested ones"));
    }
    let price = |product: &Product| {
        let price = product.price.as_ref()?;
        Money::from_units_nanos(&price.currency_code, price.units, price.nanos).ok()
    };
    let prices: Option<Vec<_>> = products.iter().map(price).collect();
    prices.ok_or_else(|| broken("a product has no price"))
}

/// Returns the requested SKUs that the refusal names, or all of them if it names none.
fn unknown(skus: &[Sku], status: &Status) -> Vec<Sku> {
    let info = status.get_details_error_info();
    let named = info.as_ref().and_then(|info| info.metadata.get("skus"));
    let named: Vec<_> = named.into_iter().flat_map(|named| named.split(',')).collect();
    let unknown: Vec<_> =
        skus.iter().filter(|sku| named.contains(&sku.as_str())).cloned().collect();
    if unknown.is_empty() { skus.to_vec() } else { unknown }
}

#[async_trait]
impl Stock for InventoryClient {
    async fn reserve(
        &self,
        reservation: Uuid,
        items: &[(Sku, Quantity)],
        key: Uuid,
        caller: &Caller,
    ) -> Result<(), StockError> {
        let items = items.iter().map(|(sku, quantity)| ReservationItem {
            sku: sku.to_string(),
            // At most a million.
            quantity: quantity.get() as i32,
        });
        let message = ReserveStockRequest {
            reservation_id: reservation.to_string(),
            items: items.collect(),
            request_id: key.to_string(),
        };
        let answer = self.0.clone().reserve_stock(request(message, caller)).await;
        answer.map(drop).map_err(|status| stock_error(&status))
    }

    async fn commit(
        &self,
        reservation: Uuid,
        key: Uuid,
        caller: &Caller,
    ) -> Result<(), StockError> {
        let message = CommitReservationRequest {
            reservation_id: reservation.to_string(),
            request_id: key.to_string(),
        };
        let answer = self.0.clone().commit_reservation(request(message, caller)).await;
        answer.map(drop).map_err(|status| stock_error(&status))
    }

    async fn release(
        &self,
        reservation: Uuid,
        key: Uuid,
        caller: &Caller,
    ) -> Result<(), StockError> {
        let message = ReleaseReservationRequest {
            reservation_id: reservation.to_string(),
            request_id: key.to_string(),
        };
        let answer = self.0.clone().release_reservation(request(message, caller)).await;
        answer.map(drop).map_err(|status| stock_error(&status))
    }
}

fn stock_error(status: &Status) -> StockError {
    let message = || status.message().to_owned();
    let is = |reason: Reason| reason.is_given_by(status);
    if is(Reason::ProductNotFound) {
        StockError::ProductNotFound(message())
    } else if is(Reason::InsufficientStock) {
        StockError::Insufficient(message())
    } else if is(Reason::ReservationReleased)
        || is(Reason::ReservationCommitted)
        || is(Reason::ReservationNotFound)
        || is(Reason::RequestIdReused)
    {
        StockError::Reservation(message())
    } else {
        unanswered(status).into()
    }
}
