//! What the use cases need of the world.

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

/// An order, and what is kept apart from its history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredOrder {
    /// The order.
    pub order: Order,
    /// Where it is sent, where that is known and not erased.
    pub address: Option<Address>,
}

/// Everything that one use case writes: all of it or nothing.
#[derive(Clone, Debug)]
pub struct UnitOfWork {
    /// What happens to the order, unless it has changed since it was read.
    pub change: Change,
    /// Where the order is sent from now on; none leaves that as it is.
    pub address: Option<Address>,
    /// The request that asked for it.
    pub request: Option<RequestKey>,
    /// The saga that begins with it.
    pub saga: Option<NewSaga>,
}

/// What is known of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Nothing.
    New,
    /// It was carried out, on this order.
    Same(OrderId),
    /// Another request was carried out under its id.
    Reused,
}

/// Why a unit of work was not written.
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
    /// The order of this id.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn find(&self, id: OrderId) -> Result<Option<StoredOrder>, StorageError>;

    /// What is known of a request. Saves work on a repetition; [`commit`](Self::commit) decides.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn seen(&self, request: &RequestKey) -> Result<Seen, StorageError>;

    /// Writes all of it, or nothing. Carried to its end even where the caller goes away.
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

    /// One page of the orders, newest first: all, or only this user's. The key of the
    /// page is an order's id.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn list(
        &self,
        owner: Option<UserId>,
        page: &PageRequest,
    ) -> Result<Page<StoredOrder>, StorageError>;
}

/// A service that is needed gave no useful answer: what was asked of it may have
/// happened or not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// It cannot be reached, or takes no more.
    #[error("{0}")]
    Unavailable(String),
    /// It took too long.
    #[error("{0}")]
    TimedOut(String),
    /// It failed, or answered what makes no sense.
    #[error("{0}")]
    Broken(String),
}

/// A user, as an order sees them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Customer {
    /// What their discount goes by.
    pub tier: Tier,
    /// Whether they may order.
    pub active: bool,
}

/// Why there is no customer.
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
    /// The user of this id, asked for on behalf of `caller`.
    ///
    /// # Errors
    /// [`UsersError`].
    async fn find(&self, id: UserId, caller: &Caller) -> Result<Customer, UsersError>;
}

/// Why there are no prices.
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
    /// What one of each costs, in the order of `skus`, asked for on behalf of `caller`.
    ///
    /// # Errors
    /// [`CatalogueError`].
    async fn prices(&self, skus: &[Sku], caller: &Caller) -> Result<Vec<Money>, CatalogueError>;
}

/// Why the stock did not move.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StockError {
    /// A product is unknown.
    #[error("{0}")]
    ProductNotFound(String),
    /// Too little of a product is there.
    #[error("{0}")]
    Insufficient(String),
    /// The reservation was released, committed or never made, so this cannot be.
    #[error("{0}")]
    Reservation(String),
    /// See [`Unanswered`].
    #[error(transparent)]
    Unanswered(#[from] Unanswered),
}

/// The stock. Every method is safe to repeat with the same `key`.
#[async_trait]
pub trait Stock: fmt::Debug + Send + Sync + 'static {
    /// Takes all of the items aside, or none.
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
