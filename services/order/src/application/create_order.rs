//! Create a draft.

use std::{sync::Arc, time::Duration};

use gantry_contract::{Authorized, Clock, Ids, idempotency::RequestKey};

use super::{
    Catalogue, CommitError, DraftQuota, OrderError, OrderRepository, Seen, StoredOrder, UnitOfWork,
    Users,
};
use crate::domain::{Address, Basket, Line, Lines, Order, OrderId, Pricing, UserId};

/// Order to be created.
#[derive(Clone, Debug)]
pub struct NewOrder {
    /// Owner.
    pub user: UserId,
    /// Products and quantities.
    pub basket: Basket,
    /// Shipping address, if it is known yet.
    pub address: Option<Address>,
    /// Request of the caller. Identifies repetitions.
    pub request: RequestKey,
}

/// Limit of the open drafts of one user.
#[derive(Clone, Copy, Debug)]
pub struct DraftLimit {
    /// Maximum number of open drafts.
    pub max: u32,
    /// Time for which a draft stays open after its last change.
    pub open_for: Duration,
}

/// Creates drafts, priced from the catalogue.
#[derive(Clone, Debug)]
pub struct CreateOrder {
    /// Orders.
    pub orders: Arc<dyn OrderRepository>,
    /// Users, for the tier that decides the discount.
    pub users: Arc<dyn Users>,
    /// Prices of products.
    pub catalogue: Arc<dyn Catalogue>,
    /// Rules of prices.
    pub pricing: Arc<Pricing>,
    /// Time of creation.
    pub clock: Arc<dyn Clock>,
    /// Source of the order's id.
    pub ids: Arc<dyn Ids>,
    /// Limit of open drafts.
    pub drafts: DraftLimit,
}

impl CreateOrder {
    /// Creates a draft. An equal request returns the order as it is now.
    ///
    /// # Errors
    /// [`OrderError`]: nothing was written.
    pub async fn run(&self, new: NewOrder, by: &Authorized) -> Result<StoredOrder, OrderError> {
        if !by.scope.covers(&new.user.to_string()) {
            return Err(OrderError::NotOwner);
        }
        match self.orders.seen(&new.request).await? {
            Seen::New => {}
            Seen::Same(id) => return self.repeated(id).await,
            Seen::Reused => return Err(OrderError::RequestIdReused),
        }
        let DraftLimit { max, open_for } = self.drafts;
        let changed_since = self.clock.now() - open_for;
        let quota = DraftQuota { max, changed_since };
        if self.orders.has_all_drafts(new.user, quota).await? {
            return Err(OrderError::TooManyDrafts { max });
        }
        let customer = self
            .users
            .find(new.user, &by.caller)
            .await
            .map_err(|error| OrderError::of_users(error, new.user))?;
        let skus: Vec<_> = new.basket.skus().cloned().collect();
        let prices =
            self.catalogue.prices(&skus, &by.caller).await.map_err(OrderError::of_catalogue)?;
        let lines = new
            .basket
            .items()
            .iter()
            .zip(prices)
            .map(|((sku, quantity), unit_price)| Line::new(sku.clone(), *quantity, unit_price));
        let lines = Lines::new(lines.collect::<Result<_, _>>()?)?;

        let id = OrderId(self.ids.next());
        let now = self.clock.now();
        let change = Order::create(id, new.user, customer.tier, lines, &self.pricing, now)?;
        let created = StoredOrder { order: change.order.clone(), address: new.address.clone() };
        let unit =
            UnitOfWork { change, address: new.address, request: Some(new.request), saga: None };
        match self.orders.create(unit, quota).await {
            Ok(()) => {
                tracing::info!(order_id = %id, user_id = %new.user, "order created");
                Ok(created)
            }
            Err(CommitError::Repeated(id)) => self.repeated(id).await,
            Err(CommitError::TooManyDrafts) => Err(OrderError::TooManyDrafts { max }),
            Err(error) => Err(error.into()),
        }
    }

    async fn repeated(&self, id: OrderId) -> Result<StoredOrder, OrderError> {
        self.orders.find(id).await?.ok_or(OrderError::OrderNotFound(id))
    }
}
