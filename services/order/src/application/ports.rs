//! Ports: needs of the use cases.

use std::fmt;

use async_trait::async_trait;
use gantry_contract::{
    Caller,
    idempotency::RequestKey,
    page::{Page, PageRequest},
};
use gantry_money::Money;
use gantry_saga::NewSaga;
use gantry_sql::StorageError;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::{Address, Change, Order, OrderId, Quantity, Sku, Tier, UserId};

/// Order with the data that is kept apart from its history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredOrder {
    /// The order.
    pub order: Order,
    /// Shipping address, if it is known and not erased.
    pub address: Option<Address>,
}

/// Writes of one use case: all of them or none.
#[derive(Clone, Debug)]
pub struct UnitOfWork {
    /// Change of the order, refused if the order has changed since it was read.
    pub change: Change,
    /// New shipping address. None keeps the present one.
    pub address: Option<Address>,
    /// Request of the caller.
    pub request: Option<RequestKey>,
    /// Saga that begins with it.
    pub saga: Option<NewSaga>,
}

/// Record of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// There is none.
    New,
    /// It was carried out, on this order.
    Same(OrderId),
    /// Another request was carried out under its id.
    Reused,
}

/// Refusal of a unit of work: nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// The order has changed since it was read.
    #[error("the order has changed meanwhile")]
    Stale,
    /// The request was carried out meanwhile, on this order.
    #[error("the request was carried out meanwhile")]
    Repeated(OrderId),
    /// Another request was carried out under its id.
    #[error("the request id was used for another request")]
    Reused,
    /// The user has as many open drafts as the quota allows.
    #[error("the user has too many open drafts")]
    TooManyDrafts,
    /// See [`StorageError`].
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Open drafts that one user may have. A draft that nobody has changed for long is not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DraftQuota {
    /// The most.
    pub max: u32,
    /// The time of the last change from which on a draft is open.
    pub changed_since: OffsetDateTime,
}

/// The orders.
#[async_trait]
pub trait OrderRepository: fmt::Debug + Send + Sync + 'static {
    /// Returns the order with this id.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn find(&self, id: OrderId) -> Result<Option<StoredOrder>, StorageError>;

    /// Returns the record of a request. Saves work on a repetition; [`commit`](Self::commit) decides.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn seen(&self, request: &RequestKey) -> Result<Seen, StorageError>;

    /// Writes all of it, or nothing. Runs to its end even if the caller goes away.
    ///
    /// # Errors
    /// [`CommitError`]: nothing was written.
    async fn commit(&self, unit: UnitOfWork) -> Result<(), CommitError>;

    /// Writes a new draft as [`commit`](Self::commit) does, if its user has fewer open ones
    /// than the quota. Counted and written at once: drafts made at the same time count.
    ///
    /// # Errors
    /// [`CommitError`]: nothing was written.
    async fn create(&self, unit: UnitOfWork, quota: DraftQuota) -> Result<(), CommitError>;

    /// Returns whether the user has as many open drafts as the quota. Saves work on a draft
    /// that cannot be; [`create`](Self::create) decides.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn has_all_drafts(&self, user: UserId, quota: DraftQuota) -> Result<bool, StorageError>;

    /// Returns one page of the orders, newest first: of all users or only this one. The page's key is
    /// the order's id.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn list(
        &self,
        owner: Option<UserId>,
        page: &PageRequest,
    ) -> Result<Page<StoredOrder>, StorageError>;
}

/// Failure of a called service to answer. The call may have taken effect or not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// It cannot be reached, or is overloaded.
    #[error("{0}")]
    Unavailable(String),
    /// It took too long.
    #[error("{0}")]
    TimedOut(String),
    /// It failed, or its answer makes no sense.
    #[error("{0}")]
    Broken(String),
}

/// User as the order service sees them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Customer {
    /// Tier, which decides the discount.
    pub tier: Tier,
    /// True if they may order.
    pub active: bool,
}

/// Failure to get a customer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UsersError {
    /// No user has this id.
    #[error("there is no such user")]
    NotFound,
    /// See [`Unanswered`].
    #[error(transparent)]
    Unanswered(#[from] Unanswered),
}

/// The users.
#[async_trait]
pub trait Users: fmt::Debug + Send + Sync + 'static {
    /// Returns the user with this id, on behalf of `caller`.
    ///
    /// # Errors
    /// [`UsersError`].
    async fn find(&self, id: UserId, caller: &Caller) -> Result<Customer, UsersError>;
}

/// Failure to get prices.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CatalogueError {
    /// These products are unknown. Never empty.
    #[error("there are no such products")]
    NotFound(Vec<Sku>),
    /// See [`Unanswered`].
    #[error(transparent)]
    Unanswered(#[from] Unanswered),
}

/// The catalogue.
#[async_trait]
pub trait Catalogue: fmt::Debug + Send + Sync + 'static {
    /// Returns the price of one of each, in the order of `skus`, on behalf of `caller`.
    ///
    /// # Errors
    /// [`CatalogueError`].
    async fn prices(&self, skus: &[Sku], caller: &Caller) -> Result<Vec<Money>, CatalogueError>;
}

/// Failure to move stock.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StockError {
    /// A product is unknown.
    #[error("{0}")]
    ProductNotFound(String),
    /// Too little of a product is there.
    #[error("{0}")]
    Insufficient(String),
    /// The reservation was released, committed or never made.
    #[error("{0}")]
    Reservation(String),
    /// See [`Unanswered`].
    #[error(transparent)]
    Unanswered(#[from] Unanswered),
}

/// The stock. Every method is safe to repeat with the same `key`.
#[async_trait]
pub trait Stock: fmt::Debug + Send + Sync + 'static {
    /// Sets all of the items aside, or none.
    ///
    /// # Errors
    /// [`StockError`].
    async fn reserve(
        &self,
        reservation: Uuid,
        items: &[(Sku, Quantity)],
        key: Uuid,
        caller: &Caller,
    ) -> Result<(), StockError>;

    /// Sells what is reserved.
    ///
    /// # Errors
    /// [`StockError`].
    async fn commit(&self, reservation: Uuid, key: Uuid, caller: &Caller)
    -> Result<(), StockError>;

    /// Puts back what is reserved, and refuses it from now on.
    ///
    /// # Errors
    /// [`StockError`].
    async fn release(
        &self,
        reservation: Uuid,
        key: Uuid,
        caller: &Caller,
    ) -> Result<(), StockError>;
}
