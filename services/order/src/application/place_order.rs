//! Place a draft.

use std::{sync::Arc, time::Duration};

use gantry_contract::{Actor, Authorized, Clock, Ids, idempotency::RequestKey};
use gantry_money::Money;
use gantry_saga::{Context, NewSaga};
use gantry_sql::StorageError;

use super::{
    CommitError, CompletionNotifier, OrderError, OrderRepository, PlaceOrderSaga, Seen,
    StoredOrder, UnitOfWork,
};
use crate::domain::{Address, OrderId, PlacedBy, Pricing, Status};

/// Draft to be placed.
#[derive(Clone, Debug)]
pub struct Placement {
    /// Id of the order.
    pub id: OrderId,
    /// Shipping address that replaces the draft's.
    pub address: Option<Address>,
    /// Version that the caller has read; none to place any version.
    pub version: Option<u64>,
    /// Total that the caller expects; none to accept any total.
    pub expected_total: Option<Money>,
    /// Request of the caller. Identifies repetitions.
    pub request: RequestKey,
    /// Longest wait for the outcome.
    pub wait: Duration,
    /// Context of the saga.
    pub context: Context,
}

/// Places drafts: fixes their price and begins their saga.
#[derive(Clone, Debug)]
pub struct PlaceOrder {
    /// Orders.
    pub orders: Arc<dyn OrderRepository>,
    /// Rules of prices.
    pub pricing: Arc<Pricing>,
    /// Engine of the sagas.
    pub sagas: gantry_saga::Handle,
    /// Wakes the call when the saga has ended.
    pub notifier: CompletionNotifier,
    /// Time of placing.
    pub clock: Arc<dyn Clock>,
    /// Source of the sagas' ids.
    pub ids: Arc<dyn Ids>,
}

impl PlaceOrder {
    /// Places the order and waits for the outcome, for `placement.wait` and until `leave` at the
    /// latest. Returns the order as it is then. The saga continues without the caller.
    ///
    /// # Errors
    /// [`OrderError`]: nothing was written.
    pub async fn run(
        &self,
        placement: Placement,
        by: &Authorized,
        leave: impl Future<Output = ()> + Send,
    ) -> Result<StoredOrder, OrderError> {
        let wait = placement.wait;
        let id = match self.place(&placement, by).await {
            // Another change came first. Without a version the caller means the current one: read it
            // and try again.
            Err(OrderError::EtagMismatch) if placement.version.is_none() => {
                self.place(&placement, by).await?
            }
            placed => placed?,
        };
        let found = self.notifier.outcome(&*self.orders, id, wait, leave).await?;
        found.ok_or(OrderError::OrderNotFound(id))
    }

    async fn place(&self, placement: &Placement, by: &Authorized) -> Result<OrderId, OrderError> {
        // Read the order before the request's record. In the other order, a concurrent repetition could
        // place the order in between, and this call would fail with the order's status.
        let stored = self.orders.find(placement.id).await?;
        match self.orders.seen(&placement.request).await? {
            Seen::New => {}
            Seen::Same(id) => return Ok(id),
            Seen::Reused => return Err(OrderError::RequestIdReused),
        }
        let Placement { id, address, version, expected_total, request, context, wait: _ } =
            placement;
        let (id, version, expected_total) = (*id, *version, *expected_total);
        let seen = stored.filter(|stored| by.scope.covers(&stored.order.user().to_string()));
        let stored = seen.ok_or_else(|| OrderError::of_unseen(id, &by.scope))?;
        let order = stored.order;
        // Check the status before the version: with a new version the call would fail again.
        order.may_become(Status::Placed)?;
        if version.is_some_and(|version| version != order.version()) {
            return Err(OrderError::EtagMismatch);
        }
        let destination = address.as_ref().or(stored.address.as_ref()).and_then(Address::region);
        let price = self.pricing.finally(order.lines(), order.tier(), destination.as_ref())?;
        if expected_total.is_some_and(|expected| expected != price.total) {
            return Err(OrderError::PriceChanged { total: price.total });
        }

        let saga = self.ids.next();
        let placed_by = by.caller.actor().map(|Actor { subject, roles }| PlacedBy {
            subject: subject.clone(),
            roles: roles.clone(),
        });
        let change = order.place(price, saga, placed_by, self.clock.now())?;
        let saga = NewSaga::new(saga, PlaceOrderSaga::NAME, &id.0, context.clone())
            .map_err(StorageError::failed)?
            .reserved();
        let begun = saga.id;
        let unit = UnitOfWork {
            change,
            address: address.clone(),
            request: Some(request.clone()),
            saga: Some(saga),
        };
        match self.orders.commit(unit).await {
            Ok(()) => {
                self.sagas.begun(begun);
                tracing::info!(order_id = %id, total = %price.total, "order placed");
                Ok(id)
            }
            Err(CommitError::Repeated(id)) => Ok(id),
            Err(error) => Err(error.into()),
        }
    }
}
