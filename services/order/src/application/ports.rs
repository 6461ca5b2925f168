//! Ports of the use cases.

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

/// Order with the data that is not part of its history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredOrder {
    /// The order.
    pub order: Order,
    /// Shipping address, if it is known and not erased.
    pub address: Option<Address>,
}

/// Writes of one use case, made as a whole or not at all.
#[derive(Clone, Debug)]
pub struct UnitOfWork {
    /// Change of the order, refused if the order has changed since it was read.
    pub change: Change,
    /// New shipping address. None keeps the present one.
    pub address: Option<Address>,
    /// Request to record. None if the caller made no request.
    pub request: Option<RequestKey>,
    /// Saga to begin.
    pub saga: Option<NewSaga>,
}

/// Result of looking for a request's record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// The request was not seen before.
    New,
    /// The request changed this order before.
    Same(OrderId),
    /// The request id was used for another request.
    Reused,
}

/// Refusal of a unit of work: nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// The order has changed since it was read.
    #[error("the order has changed since it was read")]
    Stale,
    /// The request changed this order before.
    #[error("the request was made before")]
    Repeated(OrderId),
    /// The request id was used for another request.
    #[error("the request_id was used for another request")]
    Reused,
    /// The user has as many open drafts as the quota allows.
    #[error("the user has too many open drafts")]
    TooManyDrafts,
    /// See [`StorageError`].
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Limit of one user's open drafts. Older drafts do not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DraftQuota {
    /// Maximum number of open drafts.
    pub max: u32,
    /// Earliest last change of an open draft.
    pub changed_since: OffsetDateTime,
}

/// Orders, and the records of the requests that changed them.
#[async_trait]
pub trait OrderRepository: fmt::Debug + Send + Sync + 'static {
    /// Returns the order with this id.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn find(&self, id: OrderId) -> Result<Option<StoredOrder>, StorageError>;

    /// Looks for the record of a request. Saves work on a repetition; [`commit`](Self::commit) decides.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn seen(&self, request: &RequestKey) -> Result<Seen, StorageError>;

    /// Writes the unit as a whole. Runs to its end even if the caller drops the future.
    ///
    /// # Errors
    /// [`CommitError`]: nothing was written.
    async fn commit(&self, unit: UnitOfWork) -> Result<(), CommitError>;

    /// Writes a new draft as [`commit`](Self::commit) does, if its user has fewer open drafts than the
    /// quota. Counts and writes in one transaction, so concurrent drafts count too.
    ///
    /// # Errors
    /// [`CommitError`]: nothing was written.
    async fn create(&self, unit: UnitOfWork, quota: DraftQuota) -> Result<(), CommitError>;

    /// Returns true if the user has as many open drafts as the quota allows. Saves work on a draft that
    /// would be refused; [`create`](Self::create) decides.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn has_all_drafts(&self, user: UserId, quota: DraftQuota) -> Result<bool, StorageError>;

    /// Returns one page of the orders, newest first: of all users, or of this one only. The page's key
    /// is the order's id.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn list(
        &self,
        owner: Option<UserId>,
        page: &PageRequest,
    ) -> Result<Page<StoredOrder>, StorageError>;
}

/// Call without a usable response. It may have taken effect or not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// The service cannot be reached, or is overloaded.
    #[error("{0}")]
    Unavailable(String),
    /// The service did not respond in time.
    #[error("{0}")]
    TimedOut(String),
    /// The service failed, or its response breaks the contract.
    #[error("{0}")]
    Broken(String),
}

/// User as the order service sees them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Customer {
    /// Tier, which decides the discount.
    pub tier: Tier,
    /// True if the user may order.
    pub active: bool,
}

/// Failure to get a customer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UsersError {
    /// No user has this id.
    #[error("no such user")]
    NotFound,
    /// See [`Unanswered`].
    #[error(transparent)]
    Unanswered(#[from] Unanswered),
}

/// Users.
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
    /// SKUs that are not in the catalogue. Never empty.
    #[error("no such products")]
    NotFound(Vec<Sku>),
    /// See [`Unanswered`].
    #[error(transparent)]
    Unanswered(#[from] Unanswered),
}

/// Catalogue of products.
#[async_trait]
pub trait Catalogue: fmt::Debug + Send + Sync + 'static {
    /// Returns the unit price of each product, in the order of `skus`, on behalf of `caller`.
    ///
    /// # Errors
    /// [`CatalogueError`].
    async fn prices(&self, skus: &[Sku], caller: &Caller) -> Result<Vec<Money>, CatalogueError>;
}

/// Failure to reserve, sell or release stock.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StockError {
    /// A product is not in the catalogue.
    #[error("{0}")]
    ProductNotFound(String),
    /// Too little of a product is in stock.
    #[error("{0}")]
    Insufficient(String),
    /// The reservation was released, was committed, has other items or does not exist.
    #[error("{0}")]
    Reservation(String),
    /// See [`Unanswered`].
    #[error(transparent)]
    Unanswered(#[from] Unanswered),
}

/// Stock of the products. Every method is safe to repeat with the same `key`.
#[async_trait]
pub trait Stock: fmt::Debug + Send + Sync + 'static {
    /// Reserves all of the items, or none.
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

    /// Sells the reserved items.
    ///
    /// # Errors
    /// [`StockError`].
    async fn commit(&self, reservation: Uuid, key: Uuid, caller: &Caller)
    -> Result<(), StockError>;

    /// Releases the reserved items. The inventory refuses a reservation that arrives later.
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
