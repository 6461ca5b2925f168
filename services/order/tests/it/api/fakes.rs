//! Fake user and inventory services, served on sockets. Tests set their behavior and read their calls.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
};

use gantry_contract::{CallContext, Caller, Failure};
use gantry_proto::{
    google::r#type::Money,
    shop::{
        errors::v1::Reason,
        inventory::v1::{
            BatchGetProductsRequest, BatchGetProductsResponse, CommitReservationRequest,
            CreateProductRequest, GetProductRequest, ListProductsRequest, ListProductsResponse,
            Product, ReleaseReservationRequest, Reservation, ReservationStatus,
            ReserveStockRequest, inventory_service_server::InventoryService,
        },
        user::v1::{
            CreateUserRequest, GetUserRequest, ListUsersRequest, ListUsersResponse, Tier, User,
            UserStatus, user_service_server::UserService,
        },
    },
};
use gantry_server::authorized;
use tonic::{Code, Request, Response, Status, async_trait};
use uuid::Uuid;

/// Behavior of a fake service.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) enum Behavior {
    #[default]
    Normal,
    /// Never responds.
    Silent,
    /// Responds with UNAVAILABLE.
    Down,
    /// Responds with a code that the contract does not have.
    Broken,
}

impl Behavior {
    async fn apply(self) -> Result<(), Status> {
        match self {
            Self::Normal => Ok(()),
            Self::Silent => std::future::pending().await,
            Self::Down => Err(Status::unavailable("10.0.0.7 is down")),
            Self::Broken => Err(Status::data_loss("disk 7 of 10.0.0.7 is gone")),
        }
    }
}

fn refuse<T>(code: Code, reason: Reason) -> Result<T, Status> {
    Err(Failure::new(code, reason, "refused by the fake").into())
}

#[derive(Debug, Default)]
struct UsersState {
    behavior: Behavior,
    users: HashMap<String, (Tier, UserStatus)>,
    callers: Vec<Caller>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct FakeUsers(Arc<Mutex<UsersState>>);

impl FakeUsers {
    pub(super) fn behave(&self, behavior: Behavior) {
        self.0.lock().unwrap().behavior = behavior;
    }

    pub(super) fn put(&self, id: Uuid, tier: Tier, status: UserStatus) {
        self.0.lock().unwrap().users.insert(id.to_string(), (tier, status));
    }

    /// Returns the callers since the last look.
    pub(super) fn callers(&self) -> Vec<Caller> {
        std::mem::take(&mut self.0.lock().unwrap().callers)
    }
}

#[async_trait]
impl UserService for FakeUsers {
    async fn get_user(&self, request: Request<GetUserRequest>) -> Result<Response<User>, Status> {
        let behavior = {
            let mut state = self.0.lock().unwrap();
            state.callers.push(authorized(&request).caller.clone());
            state.behavior
        };
        behavior.apply().await?;
        let id = request.into_inner().id;
        let Some((tier, status)) = self.0.lock().unwrap().users.get(&id).copied() else {
            return refuse(Code::NotFound, Reason::UserNotFound);
        };
        let (tier, status) = (tier.into(), status.into());
        Ok(Response::new(User { id, tier, status, ..User::default() }))
    }

    async fn create_user(&self, _: Request<CreateUserRequest>) -> Result<Response<User>, Status> {
        Err(Status::unimplemented("not needed by order"))
    }

    async fn list_users(
        &self,
        _: Request<ListUsersRequest>,
    ) -> Result<Response<ListUsersResponse>, Status> {
        Err(Status::unimplemented("not needed by order"))
    }
}

#[derive(Debug, Default)]
struct InventoryState {
    behaviors: BTreeMap<&'static str, Behavior>,
    products: HashMap<String, (Money, i32)>,
    reservations: HashMap<String, (ReservationStatus, Vec<(String, i32)>)>,
    callers: Vec<Caller>,
    calls: BTreeMap<&'static str, usize>,
    /// Ids that connect the calls with their origin.
    call_ids: Vec<String>,
    request_ids: BTreeMap<String, &'static str>,
}

impl InventoryState {
    fn held(&self, sku: &str, status: ReservationStatus) -> i32 {
        let reservations = self.reservations.values().filter(|(current, _)| *current == status);
        let items = reservations.flat_map(|(_, items)| items).filter(|(name, _)| name == sku);
        items.map(|(_, quantity)| quantity).sum()
    }

    fn available(&self, sku: &str) -> i32 {
        let stock = self.products.get(sku).map_or(0, |(_, stock)| *stock);
        stock
            - self.held(sku, ReservationStatus::Reserved)
            - self.held(sku, ReservationStatus::Committed)
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct FakeInventory(Arc<Mutex<InventoryState>>);

impl FakeInventory {
    /// Sets the behavior of one method: `batch`, `reserve`, `commit` or `release`.
    pub(super) fn behave(&self, method: &'static str, behavior: Behavior) {
        self.0.lock().unwrap().behaviors.insert(method, behavior);
    }

    pub(super) fn put(&self, sku: &str, price: Money, stock: i32) {
        self.0.lock().unwrap().products.insert(sku.to_owned(), (price, stock));
    }

    pub(super) fn remove(&self, sku: &str) {
        self.0.lock().unwrap().products.remove(sku);
    }

    /// Returns the numbers of available, reserved and sold items.
    pub(super) fn stock(&self, sku: &str) -> (i32, i32, i32) {
        let state = self.0.lock().unwrap();
        let held = |status| state.held(sku, status);
        (
            state.available(sku),
            held(ReservationStatus::Reserved),
            held(ReservationStatus::Committed),
        )
    }

    /// Returns the number of calls of one method.
    pub(super) fn calls(&self, method: &'static str) -> usize {
        self.0.lock().unwrap().calls.get(method).copied().unwrap_or_default()
    }

    pub(super) fn reservations(&self) -> usize {
        self.0.lock().unwrap().reservations.len()
    }

    /// Returns the callers since the last look.
    pub(super) fn callers(&self) -> Vec<Caller> {
        std::mem::take(&mut self.0.lock().unwrap().callers)
    }

    pub(super) fn call_ids(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap().call_ids)
    }

    async fn called<T>(&self, method: &'static str, request: &Request<T>) -> Result<(), Status> {
        let behavior = {
            let mut state = self.0.lock().unwrap();
            state.callers.push(authorized(request).caller.clone());
            *state.calls.entry(method).or_default() += 1;
            let call = CallContext::current().map(|call| call.request_id.to_string());
            state.call_ids.extend(call);
            state.behaviors.get(method).copied().unwrap_or_default()
        };
        behavior.apply().await
    }

    /// Checks that a request id belongs to one method.
    fn check_request_id(state: &mut InventoryState, request_id: String, method: &'static str) {
        assert_eq!(*state.request_ids.entry(request_id).or_insert(method), method);
    }
}

#[async_trait]
impl InventoryService for FakeInventory {
    async fn batch_get_products(
        &self,
        request: Request<BatchGetProductsRequest>,
    ) -> Result<Response<BatchGetProductsResponse>, Status> {
        self.called("batch", &request).await?;
        let state = self.0.lock().unwrap();
        let skus = request.into_inner().skus;
        let unknown: Vec<_> =
            skus.iter().filter(|sku| !state.products.contains_key(*sku)).cloned().collect();
        if !unknown.is_empty() {
            let failure = Failure::new(Code::NotFound, Reason::ProductNotFound, "unknown");
            return Err(failure.metadata("skus", unknown.join(",")).into());
        }
        let product = |sku: String| {
            let (price, stock) = state.products[&sku].clone();
            Product { sku, price: Some(price), stock, ..Product::default() }
        };
        let products = skus.into_iter().map(product).collect();
        Ok(Response::new(BatchGetProductsResponse { products }))
    }

    async fn reserve_stock(
        &self,
        request: Request<ReserveStockRequest>,
    ) -> Result<Response<Reservation>, Status> {
        self.called("reserve", &request).await?;
        let mut state = self.0.lock().unwrap();
        let ReserveStockRequest { reservation_id, items, request_id } = request.into_inner();
        Self::check_request_id(&mut state, request_id, "reserve");
        match state.reservations.get(&reservation_id) {
            Some((ReservationStatus::Released, _)) => {
                return refuse(Code::FailedPrecondition, Reason::ReservationReleased);
            }
            Some(_) => return Ok(Response::new(Reservation::default())),
            None => {}
        }
        if items.iter().any(|item| !state.products.contains_key(&item.sku)) {
            return refuse(Code::NotFound, Reason::ProductNotFound);
        }
        if items.iter().any(|item| state.available(&item.sku) < item.quantity) {
            return refuse(Code::FailedPrecondition, Reason::InsufficientStock);
        }
        let items = items.into_iter().map(|item| (item.sku, item.quantity)).collect();
        state.reservations.insert(reservation_id, (ReservationStatus::Reserved, items));
        Ok(Response::new(Reservation::default()))
    }

    async fn commit_reservation(
        &self,
        request: Request<CommitReservationRequest>,
    ) -> Result<Response<Reservation>, Status> {
        self.called("commit", &request).await?;
        let mut state = self.0.lock().unwrap();
        let CommitReservationRequest { reservation_id, request_id } = request.into_inner();
        Self::check_request_id(&mut state, request_id, "commit");
        match state.reservations.get_mut(&reservation_id) {
            None => refuse(Code::NotFound, Reason::ReservationNotFound),
            Some((ReservationStatus::Released, _)) => {
                refuse(Code::FailedPrecondition, Reason::ReservationReleased)
            }
            Some((status, _)) => {
                *status = ReservationStatus::Committed;
                Ok(Response::new(Reservation::default()))
            }
        }
    }

    async fn release_reservation(
        &self,
        request: Request<ReleaseReservationRequest>,
    ) -> Result<Response<Reservation>, Status> {
        self.called("release", &request).await?;
        let mut state = self.0.lock().unwrap();
        let ReleaseReservationRequest { reservation_id, request_id } = request.into_inner();
        Self::check_request_id(&mut state, request_id, "release");
        let (status, _) = state
            .reservations
            .entry(reservation_id)
            .or_insert((ReservationStatus::Released, Vec::new()));
        if *status == ReservationStatus::Committed {
            return refuse(Code::FailedPrecondition, Reason::ReservationCommitted);
        }
        *status = ReservationStatus::Released;
        Ok(Response::new(Reservation::default()))
    }

    async fn create_product(
        &self,
        _: Request<CreateProductRequest>,
    ) -> Result<Response<Product>, Status> {
        Err(Status::unimplemented("not needed by order"))
    }

    async fn get_product(
        &self,
        _: Request<GetProductRequest>,
    ) -> Result<Response<Product>, Status> {
        Err(Status::unimplemented("not needed by order"))
    }

    async fn list_products(
        &self,
        _: Request<ListProductsRequest>,
    ) -> Result<Response<ListProductsResponse>, Status> {
        Err(Status::unimplemented("not needed by order"))
    }
}
