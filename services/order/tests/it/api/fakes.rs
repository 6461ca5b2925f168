//! A user and an inventory service: small, but real servers on real sockets, that do as
//! they are told and remember who called.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
};

use gantry_contract::{Caller, Failure};
use gantry_proto::{
    google::r#type::Money,
    shop::{
        errors::v1::Reason,
        inventory::v1::{
            BatchGetProductsRequest, BatchGetProductsResponse, CommitReservationRequest,
            CreateProductRequest, GetProductRequest, ListProductsRequest, ListProductsResponse,
            Product, ReleaseReservationRequest, Reservation, ReserveStockRequest,
            inventory_service_server::InventoryService,
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

/// How a service answers.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) enum Mood {
    #[default]
    Well,
    /// Never.
    Silent,
    /// With UNAVAILABLE.
    Down,
    /// With what it should not be able to say.
    Broken,
}

impl Mood {
    async fn show(self) -> Result<(), Status> {
        match self {
            Self::Well => Ok(()),
            Self::Silent => std::future::pending().await,
            Self::Down => Err(Status::unavailable("10.0.0.7 is down")),
            Self::Broken => Err(Status::data_loss("disk 7 of 10.0.0.7 is gone")),
        }
    }
}

fn refuse<T>(code: Code, reason: Reason) -> Result<T, Status> {
    Err(Failure::new(code, reason, "as it was told").into())
}

#[derive(Debug, Default)]
struct UsersState {
    mood: Mood,
    users: HashMap<String, (Tier, UserStatus)>,
    callers: Vec<Caller>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct FakeUsers(Arc<Mutex<UsersState>>);

impl FakeUsers {
    pub(super) fn mood(&self, mood: Mood) {
        self.0.lock().unwrap().mood = mood;
    }

    pub(super) fn put(&self, id: Uuid, tier: Tier, status: UserStatus) {
        self.0.lock().unwrap().users.insert(id.to_string(), (tier, status));
    }

    pub(super) fn callers(&self) -> Vec<Caller> {
        std::mem::take(&mut self.0.lock().unwrap().callers)
    }
}

#[async_trait]
impl UserService for FakeUsers {
    async fn get_user(&self, request: Request<GetUserRequest>) -> Result<Response<User>, Status> {
        let mood = {
            let mut state = self.0.lock().unwrap();
            state.callers.push(authorized(&request).caller.clone());
            state.mood
        };
        mood.show().await?;
        let id = request.into_inner().id;
        let Some((tier, status)) = self.0.lock().unwrap().users.get(&id).copied() else {
            return refuse(Code::NotFound, Reason::UserNotFound);
        };
        let (tier, status) = (tier.into(), status.into());
        Ok(Response::new(User { id, tier, status, ..User::default() }))
    }

    async fn create_user(&self, _: Request<CreateUserRequest>) -> Result<Response<User>, Status> {
        Err(Status::unimplemented("not asked for"))
    }

    async fn list_users(
        &self,
        _: Request<ListUsersRequest>,
    ) -> Result<Response<ListUsersResponse>, Status> {
        Err(Status::unimplemented("not asked for"))
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Reserved,
    Committed,
    Released,
}

#[derive(Debug, Default)]
struct InventoryState {
    moods: BTreeMap<&'static str, Mood>,
    products: HashMap<String, (Money, i32)>,
    reservations: HashMap<String, (Fate, Vec<(String, i32)>)>,
    callers: Vec<Caller>,
    request_ids: BTreeMap<String, &'static str>,
}

impl InventoryState {
    fn held(&self, sku: &str, fate: Fate) -> i32 {
        let of = |(is, items): &(Fate, Vec<(String, i32)>)| match *is == fate {
            true => items.iter().filter(|(name, _)| name == sku).map(|(_, count)| count).sum(),
            false => 0,
        };
        self.reservations.values().map(of).sum()
    }

    fn available(&self, sku: &str) -> i32 {
        let there = self.products.get(sku).map_or(0, |(_, stock)| *stock);
        there - self.held(sku, Fate::Reserved) - self.held(sku, Fate::Committed)
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct FakeInventory(Arc<Mutex<InventoryState>>);

impl FakeInventory {
    /// How it answers to one method: `batch`, `reserve`, `commit`, `release`.
    pub(super) fn mood(&self, method: &'static str, mood: Mood) {
        self.0.lock().unwrap().moods.insert(method, mood);
    }

    pub(super) fn put(&self, sku: &str, price: Money, stock: i32) {
        self.0.lock().unwrap().products.insert(sku.to_owned(), (price, stock));
    }

    pub(super) fn remove(&self, sku: &str) {
        self.0.lock().unwrap().products.remove(sku);
    }

    /// Available, reserved and sold.
    pub(super) fn stock(&self, sku: &str) -> (i32, i32, i32) {
        let state = self.0.lock().unwrap();
        let held = |fate| state.held(sku, fate);
        (state.available(sku), held(Fate::Reserved), held(Fate::Committed))
    }

    pub(super) fn reservations(&self) -> usize {
        self.0.lock().unwrap().reservations.len()
    }

    pub(super) fn callers(&self) -> Vec<Caller> {
        std::mem::take(&mut self.0.lock().unwrap().callers)
    }

    async fn called<T>(&self, method: &'static str, request: &Request<T>) -> Result<(), Status> {
        let mood = {
            let mut state = self.0.lock().unwrap();
            state.callers.push(authorized(request).caller.clone());
            state.moods.get(method).copied().unwrap_or_default()
        };
        mood.show().await
    }

    /// A request id belongs to one method.
    fn asked(state: &mut InventoryState, request_id: String, method: &'static str) {
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
        Self::asked(&mut state, request_id, "reserve");
        match state.reservations.get(&reservation_id) {
            Some((Fate::Released, _)) => {
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
        state.reservations.insert(reservation_id, (Fate::Reserved, items));
        Ok(Response::new(Reservation::default()))
    }

    async fn commit_reservation(
        &self,
        request: Request<CommitReservationRequest>,
    ) -> Result<Response<Reservation>, Status> {
        self.called("commit", &request).await?;
        let mut state = self.0.lock().unwrap();
        let CommitReservationRequest { reservation_id, request_id } = request.into_inner();
        Self::asked(&mut state, request_id, "commit");
        match state.reservations.get_mut(&reservation_id) {
            None => refuse(Code::NotFound, Reason::ReservationNotFound),
            Some((Fate::Released, _)) => {
                refuse(Code::FailedPrecondition, Reason::ReservationReleased)
            }
            Some((fate, _)) => {
                *fate = Fate::Committed;
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
        Self::asked(&mut state, request_id, "release");
        let (fate, _) =
            state.reservations.entry(reservation_id).or_insert((Fate::Released, Vec::new()));
        if *fate == Fate::Committed {
            return refuse(Code::FailedPrecondition, Reason::ReservationCommitted);
        }
        *fate = Fate::Released;
        Ok(Response::new(Reservation::default()))
    }

    async fn create_product(
        &self,
        _: Request<CreateProductRequest>,
    ) -> Result<Response<Product>, Status> {
        Err(Status::unimplemented("not asked for"))
    }

    async fn get_product(
        &self,
        _: Request<GetProductRequest>,
    ) -> Result<Response<Product>, Status> {
        Err(Status::unimplemented("not asked for"))
    }

    async fn list_products(
        &self,
        _: Request<ListProductsRequest>,
    ) -> Result<Response<ListProductsResponse>, Status> {
        Err(Status::unimplemented("not asked for"))
    }
}
