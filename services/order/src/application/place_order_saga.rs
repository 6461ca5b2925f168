//! Saga of a placed order.
//!
//! accept, validate the user, reserve the stock, **commit the reservation**, confirm.
//! The commit is the pivot: stock that is sold stays sold. Payment and shipping will
//! stand before it.
//!
//! The order service makes every call itself, on its own grant, with the user who placed the
//! order as the cause. The reservation's id is the saga's.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use gantry_contract::{Actor, Caller, Clock};
use gantry_saga::{Call, Definition, Failure, Reversible, Step};
use uuid::Uuid;

use crate::{
    application::{
        CompletionNotifier, OrderRepository, Ports, Stock, StockError, UnitOfWork, Users,
        UsersError,
    },
    domain::{Change, InvalidTransition, Order, OrderId, RejectReason, Status},
};

/// Saga of a placed order, with what its steps work with.
#[derive(Clone, Debug)]
pub struct PlaceOrderSaga {
    /// Orders.
    pub orders: Arc<dyn OrderRepository>,
    /// Users: one that is inactive or gone may not order.
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
    /// Name in the log. Other steps need another name.
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
            .step(Accept(self.clone()))
            .step(ValidateUser(self.clone()))
            .step(ReserveStock(self.clone()))
            .pivot(CommitReservation(self.clone()))
            .then(Confirm(self.clone()))
    }

    async fn order(&self, call: Call<'_, Uuid>) -> Result<Order, Failure> {
        let id = OrderId(*call.input);
        match self.orders.find(id).await {
            Ok(Some(found)) => Ok(found.order),
            // An order is never deleted, so this is a storage that has lost something.
            Ok(None) => Err(Failure::unanswered(format_args!("there is no order {id}"))),
            Err(error) => Err(Failure::unanswered(error)),
        }
    }

    fn caller(&self, order: &Order) -> Caller {
        let cause = order
            .placed_by()
            .map(|by| Actor { subject: by.subject.clone(), roles: by.roles.clone() });
        Caller::Service { service: self.service.to_owned(), cause }
    }

    /// Brings the order to its outcome, unless it is there already.
    async fn settle(
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
            // Stale if another process did the same: the next attempt reads that.
            self.orders.commit(unit).await.map_err(Failure::unanswered)?;
            tracing::info!(order = %order.id(), status = %outcome, reason, "order settled");
        }
        self.notifier.notify(order.id());
        Ok(())
    }
}

/// Begins the saga. The order is placed already; undoing rejects it, after everything else.
struct Accept(PlaceOrderSaga);

#[async_trait]
impl Step<Uuid> for Accept {
    fn name(&self) -> &'static str {
        "accept"
    }

    async fn run(&self, _: Call<'_, Uuid>) -> Result<(), Failure> {
        Ok(())
    }
}

#[async_trait]
impl Reversible<Uuid> for Accept {
    async fn undo(&self, call: Call<'_, Uuid>, why: &Failure) -> Result<(), Failure> {
        let reason = reason(why);
        let now = self.0.clock.now();
        self.0.settle(call, Status::Rejected, |order| order.reject(reason, now)).await
    }
}

/// Checks that the user may order.
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

/// Sets the stock aside; undone, puts it back.
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

/// Sells the reserved stock: the pivot.
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
        self.0.settle(call, Status::Confirmed, |order| order.confirm(now)).await
    }
}

fn refused(reason: RejectReason, message: impl fmt::Display) -> Failure {
    Failure::refused(reason.as_str(), message)
}

fn failure(error: StockError) -> Failure {
    match error {
        StockError::ProductNotFound(message) => refused(RejectReason::ProductNotFound, message),
        StockError::Insufficient(message) => refused(RejectReason::InsufficientStock, message),
        // Means nothing to a customer.
        StockError::Reservation(message) => refused(RejectReason::ServiceUnavailable, message),
        StockError::Unanswered(cause) => Failure::unanswered(cause),
    }
}

/// Returns the reason that the customer reads.
fn reason(why: &Failure) -> RejectReason {
    match why {
        Failure::Refused { code, .. } => RejectReason::parse(code),
        Failure::Unanswered { .. } => None,
    }
    .unwrap_or(RejectReason::ServiceUnavailable)
}
