//! Saga of a placed order.
//!
//! Steps: validate the user, reserve the stock, **commit the reservation**, confirm. The commit is the
//! pivot: stock that is sold stays sold. Payment and shipping will precede it.
//!
//! Steps call other services with the order service's own grant, and name the user who placed the
//! order as the cause. The saga's id is the reservation's id.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use gantry_contract::{Actor, Caller, Clock};
use gantry_saga::{Call, Definition, Failure, Origin, Reversible, Step};
use uuid::Uuid;

use super::{
    CompletionNotifier, OrderRepository, Ports, Stock, StockError, UnitOfWork, Users, UsersError,
};
use crate::domain::{Change, InvalidTransition, Order, OrderId, RejectReason, Status};

/// Saga of a placed order, with the ports of its steps.
#[derive(Clone, Debug)]
pub struct PlaceOrderSaga {
    /// Orders.
    pub orders: Arc<dyn OrderRepository>,
    /// Users. An inactive or deleted user may not order.
    pub users: Arc<dyn Users>,
    /// Stock of the products.
    pub stock: Arc<dyn Stock>,
    /// Wakes the calls that wait for the outcome.
    pub notifier: CompletionNotifier,
    /// Time of each change of the order.
    pub clock: Arc<dyn Clock>,
    /// Name by which this service calls others.
    pub service: &'static str,
}

impl PlaceOrderSaga {
    /// Name in the saga log. A saga with other steps needs another name.
    pub const NAME: &str = "place-order/1";

    /// Creates the saga. `service` is the name by which it calls other services.
    pub fn new(ports: &Ports, service: &'static str) -> Self {
        Self {
            orders: ports.orders.clone(),
            users: ports.users.clone(),
            stock: ports.stock.clone(),
            notifier: CompletionNotifier::default(),
            clock: ports.clock.clone(),
            service,
        }
    }

    /// Returns the steps. The saga's input is the order's id.
    pub fn definition(&self) -> Definition<Uuid> {
        Definition::named(Self::NAME)
            .origin(Placed(self.clone()))
            .step(ValidateUser(self.clone()))
            .step(ReserveStock(self.clone()))
            .pivot(CommitReservation(self.clone()))
            .then(Confirm(self.clone()))
    }

    async fn order(&self, call: Call<'_, Uuid>) -> Result<Order, Failure> {
        let id = OrderId(*call.input);
        match self.orders.find(id).await {
            Ok(Some(found)) => Ok(found.order),
            // Orders are never deleted, so the storage has lost it.
            Ok(None) => Err(Failure::unanswered(format_args!("no order has the id {id}"))),
            Err(error) => Err(Failure::unanswered(error)),
        }
    }

    fn caller(&self, order: &Order) -> Caller {
        let cause = order
            .placed_by()
            .map(|by| Actor { subject: by.subject.clone(), roles: by.roles.clone() });
        Caller::Service { service: self.service.to_owned(), cause }
    }

    /// Writes the outcome of the order, unless it is written already, and wakes the waiting calls.
    async fn finish(
        &self,
        call: Call<'_, Uuid>,
        outcome: Status,
        change: impl FnOnce(&Order) -> Result<Change, InvalidTransition> + Send,
    ) -> Result<(), Failure> {
        let order = self.order(call).await?;
        if order.status() != outcome {
            let change = change(&order).map_err(|error| Failure::refused("STATUS", error))?;
            let reason = change.order.reject_reason().map(RejectReason::as_str);
            let unit = UnitOfWork { change, address: None, request: None, saga: None };
            // Stale if another process wrote it first: the next attempt reads that.
            self.orders.commit(unit).await.map_err(Failure::unanswered)?;
            tracing::info!(order_id = %order.id(), status = %outcome, reason, "order finished");
        }
        self.notifier.notify(order.id());
        Ok(())
    }
}

/// Origin of the saga: the order is placed. Undoing it rejects the order, after all steps.
struct Placed(PlaceOrderSaga);

#[async_trait]
impl Origin<Uuid> for Placed {
    fn name(&self) -> &'static str {
        "placed"
    }

    async fn undo(&self, call: Call<'_, Uuid>, why: &Failure) -> Result<(), Failure> {
        let reason = reason(why);
        let now = self.0.clock.now();
        self.0.finish(call, Status::Rejected, |order| order.reject(reason, now)).await
    }
}

/// Checks that the user exists and may order.
struct ValidateUser(PlaceOrderSaga);

#[async_trait]
impl Step<Uuid> for ValidateUser {
    fn name(&self) -> &'static str {
        "validate-user"
    }

    async fn run(&self, call: Call<'_, Uuid>) -> Result<(), Failure> {
        let order = self.0.order(call).await?;
        match self.0.users.find(order.user(), &self.0.caller(&order)).await {
            Ok(customer) if customer.active => Ok(()),
            Ok(_) => Err(refused(RejectReason::UserNotActive, "the user may not order")),
            Err(error @ UsersError::NotFound) => Err(refused(RejectReason::UserNotFound, error)),
            Err(UsersError::Unanswered(cause)) => Err(Failure::unanswered(cause)),
        }
    }
}

#[async_trait]
impl Reversible<Uuid> for ValidateUser {
    /// Leaves nothing to undo.
    async fn undo(&self, _: Call<'_, Uuid>, _: &Failure) -> Result<(), Failure> {
        Ok(())
    }
}

/// Reserves the stock. Undoing it releases the stock.
struct ReserveStock(PlaceOrderSaga);

#[async_trait]
impl Step<Uuid> for ReserveStock {
    fn name(&self) -> &'static str {
        "reserve-stock"
    }

    async fn run(&self, call: Call<'_, Uuid>) -> Result<(), Failure> {
        let order = self.0.order(call).await?;
        let items: Vec<_> =
            order.lines().iter().map(|line| (line.sku().clone(), line.quantity())).collect();
        let caller = self.0.caller(&order);
        self.0.stock.reserve(call.saga, &items, call.key, &caller).await.map_err(failure)
    }
}

#[async_trait]
impl Reversible<Uuid> for ReserveStock {
    async fn undo(&self, call: Call<'_, Uuid>, _: &Failure) -> Result<(), Failure> {
        let caller = self.0.caller(&self.0.order(call).await?);
        self.0.stock.release(call.saga, call.key, &caller).await.map_err(failure)
    }
}

/// Pivot: sells the reserved stock.
struct CommitReservation(PlaceOrderSaga);

#[async_trait]
impl Step<Uuid> for CommitReservation {
    fn name(&self) -> &'static str {
        "commit-reservation"
    }

    async fn run(&self, call: Call<'_, Uuid>) -> Result<(), Failure> {
        let caller = self.0.caller(&self.0.order(call).await?);
        self.0.stock.commit(call.saga, call.key, &caller).await.map_err(failure)
    }
}

/// Confirms the order.
struct Confirm(PlaceOrderSaga);

#[async_trait]
impl Step<Uuid> for Confirm {
    fn name(&self) -> &'static str {
        "confirm"
    }

    async fn run(&self, call: Call<'_, Uuid>) -> Result<(), Failure> {
        let now = self.0.clock.now();
        self.0.finish(call, Status::Confirmed, |order| order.confirm(now)).await
    }
}

fn refused(reason: RejectReason, message: impl fmt::Display) -> Failure {
    Failure::refused(reason.as_str(), message)
}

fn failure(error: StockError) -> Failure {
    match error {
        StockError::ProductNotFound(message) => refused(RejectReason::ProductNotFound, message),
        StockError::Insufficient(message) => refused(RejectReason::InsufficientStock, message),
        // The customer cannot act on it.
        StockError::Reservation(message) => refused(RejectReason::ServiceUnavailable, message),
        StockError::Unanswered(cause) => Failure::unanswered(cause),
    }
}

/// Returns the reject reason of a failed saga.
fn reason(why: &Failure) -> RejectReason {
    match why {
        Failure::Refused { code, .. } => RejectReason::parse(code),
        Failure::Unanswered { .. } => None,
    }
    .unwrap_or(RejectReason::ServiceUnavailable)
}
