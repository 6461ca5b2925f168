//! The service over a socket, called by tonic's client.

mod access;
mod products;
mod reservations;

use gantry_common_testing::{Folder, bearer, euros, new_id, refusal, refused, wrong_fields};
use gantry_identity::{Acting, ServiceSigner};
use gantry_inventory::Service;
use gantry_proto::shop::inventory::v1::{
    CommitReservationRequest, CreateProductRequest, GetProductRequest, Product,
    ReleaseReservationRequest, Reservation, ReservationItem, ReserveStockRequest,
    inventory_service_client::InventoryServiceClient,
};
use tonic::{Request, Response, Status, transport::Channel};
use uuid::Uuid;

/// Serving service, with a client and the signer of the order service.
struct Running {
    it: gantry_common_testing::Running<Service>,
    client: InventoryServiceClient<Channel>,
    order: ServiceSigner,
}

impl From<gantry_common_testing::Running<Service>> for Running {
    fn from(it: gantry_common_testing::Running<Service>) -> Self {
        let client = InventoryServiceClient::new(it.server.channel());
        Self { client, order: it.folder.signer("order"), it }
    }
}

impl Running {
    async fn start() -> Self {
        let folder = Folder::new::<Service>(&["order"], "");
        gantry_common_testing::Running::start(folder).await.into()
    }

    /// Returns the token of a user with this role.
    fn token(&self, role: &str) -> String {
        self.it.folder.user_token(&format!("{role}-1"), role)
    }

    fn by_admin<T>(&self, message: T) -> Request<T> {
        bearer(&self.token("admin"), message)
    }

    /// Returns a request of the order service on its own behalf.
    fn by_order<T>(&self, message: T) -> Request<T> {
        bearer(&self.order.token("inventory", Acting::Itself { cause: None }), message)
    }

    async fn stock(&self, sku: &str, stock: i32) -> Product {
        let request = self.by_admin(create(sku, stock));
        self.client.clone().create_product(request).await.unwrap().into_inner()
    }

    async fn product(&self, sku: &str) -> Product {
        let request = self.by_admin(GetProductRequest { sku: sku.to_owned() });
        self.client.clone().get_product(request).await.unwrap().into_inner()
    }

    /// Returns the numbers of available and reserved items.
    async fn counts(&self, sku: &str) -> (i32, i32) {
        let product = self.product(sku).await;
        (product.stock, product.reserved)
    }

    async fn reserve(&self, request: ReserveStockRequest) -> Result<Reservation, Status> {
        let request = self.by_order(request);
        self.client.clone().reserve_stock(request).await.map(Response::into_inner)
    }

    async fn commit(&self, id: Uuid) -> Result<Reservation, Status> {
        let request = CommitReservationRequest { reservation_id: id.into(), request_id: new_id() };
        let request = self.by_order(request);
        self.client.clone().commit_reservation(request).await.map(Response::into_inner)
    }

    async fn release(&self, id: Uuid) -> Result<Reservation, Status> {
        let request = ReleaseReservationRequest { reservation_id: id.into(), request_id: new_id() };
        let request = self.by_order(request);
        self.client.clone().release_reservation(request).await.map(Response::into_inner)
    }
}

fn id() -> Uuid {
    new_id().parse().unwrap()
}

fn create(sku: &str, stock: i32) -> CreateProductRequest {
    CreateProductRequest {
        sku: sku.to_owned(),
        name: format!("The {sku}"),
        price: Some(euros(19, 990_000_000)),
        stock,
        request_id: new_id(),
    }
}

fn reserve(id: Uuid, items: &[(&str, i32)]) -> ReserveStockRequest {
    let item = |(sku, quantity): &(&str, i32)| ReservationItem {
        sku: (*sku).to_owned(),
        quantity: *quantity,
    };
    ReserveStockRequest {
        reservation_id: id.into(),
        items: items.iter().map(item).collect(),
        request_id: new_id(),
    }
}
