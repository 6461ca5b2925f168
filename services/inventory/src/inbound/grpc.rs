//! gRPC handlers of shop.inventory.v1: InventoryService.
//!
//! Each method reads a command from a validated and authorized request, runs one use case, and
//! converts its result.

use gantry_contract::page::PageRequest;
use gantry_proto::shop::inventory::v1::{
    BatchGetProductsRequest, BatchGetProductsResponse, CommitReservationRequest,
    CreateProductRequest, GetProductRequest, ListProductsRequest, ListProductsResponse, Product,
    ReleaseReservationRequest, Reservation, ReserveStockRequest,
    inventory_service_server::InventoryService,
};
use gantry_server::Fingerprints;
use tonic::{Request, Response, Status};

use super::{
    convert,
    status::{PRODUCT, status},
};
use crate::application::UseCases;

/// Handlers of the service.
#[derive(Debug)]
pub(crate) struct Api {
    use_cases: UseCases,
    fingerprints: Fingerprints,
}

impl Api {
    /// Creates the handlers of these use cases. `fingerprints` recognise repeated requests.
    pub(crate) fn new(use_cases: UseCases, fingerprints: Fingerprints) -> Self {
        Self { use_cases, fingerprints }
    }
}

#[tonic::async_trait]
impl InventoryService for Api {
    async fn create_product(
        &self,
        request: Request<CreateProductRequest>,
    ) -> Result<Response<Product>, Status> {
        let key = self.fingerprints.key(&request, &request.get_ref().request_id)?;
        let new = convert::new_product(request.into_inner(), key)?;
        let product = self.use_cases.create_product.run(new).await.map_err(status)?;
        Ok(Response::new(convert::product(product)))
    }

    async fn get_product(
        &self,
        request: Request<GetProductRequest>,
    ) -> Result<Response<Product>, Status> {
        let sku = convert::sku("sku", request.into_inner().sku)?;
        let product = self.use_cases.get_product.run(sku).await.map_err(status)?;
        Ok(Response::new(convert::product(product)))
    }

    async fn batch_get_products(
        &self,
        request: Request<BatchGetProductsRequest>,
    ) -> Result<Response<BatchGetProductsResponse>, Status> {
        let skus = convert::skus(request.into_inner())?;
        let products = self.use_cases.batch_get_products.run(skus).await.map_err(status)?;
        let products = products.into_iter().map(convert::product).collect();
        Ok(Response::new(BatchGetProductsResponse { products }))
    }

    async fn list_products(
        &self,
        request: Request<ListProductsRequest>,
    ) -> Result<Response<ListProductsResponse>, Status> {
        let ListProductsRequest { page_size, page_token, include_total } = request.into_inner();
        let page = PageRequest::new(PRODUCT, page_size, &page_token, include_total)?;
        let page = self.use_cases.list_products.run(&page).await.map_err(status)?;
        Ok(Response::new(ListProductsResponse {
            total_size: page.total_size(),
            next_page_token: page.next_page_token,
            products: page.items.into_iter().map(convert::product).collect(),
        }))
    }

    async fn reserve_stock(
        &self,
        request: Request<ReserveStockRequest>,
    ) -> Result<Response<Reservation>, Status> {
        let key = self.fingerprints.key(&request, &request.get_ref().request_id)?;
        let new = convert::new_reservation(request.into_inner(), key)?;
        let reservation = self.use_cases.reserve_stock.run(new).await.map_err(status)?;
        Ok(Response::new(convert::reservation(&reservation)))
    }

    async fn commit_reservation(
        &self,
        request: Request<CommitReservationRequest>,
    ) -> Result<Response<Reservation>, Status> {
        let key = self.fingerprints.key(&request, &request.get_ref().request_id)?;
        let id = convert::reservation_id(&request.get_ref().reservation_id)?;
        let reservation = self.use_cases.commit_reservation.run(id, key).await.map_err(status)?;
        Ok(Response::new(convert::reservation(&reservation)))
    }

    async fn release_reservation(
        &self,
        request: Request<ReleaseReservationRequest>,
    ) -> Result<Response<Reservation>, Status> {
        let key = self.fingerprints.key(&request, &request.get_ref().request_id)?;
        let id = convert::reservation_id(&request.get_ref().reservation_id)?;
        let reservation = self.use_cases.release_reservation.run(id, key).await.map_err(status)?;
        Ok(Response::new(convert::reservation(&reservation)))
    }
}
