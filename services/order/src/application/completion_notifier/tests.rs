use async_trait::async_trait;
use gantry_contract::{
    idempotency::RequestKey,
    page::{Page, PageRequest},
};
use gantry_money::{Currency, Money};
use time::OffsetDateTime;
use uuid::Uuid;

use super::*;
use crate::{
    application::{CommitError, DraftQuota, Seen, UnitOfWork},
    domain::{Line, Lines, Order, Pricing, Quantity, Sku, Tier, UserId},
};

const ID: OrderId = OrderId(Uuid::from_u128(1));
const OTHER: OrderId = OrderId(Uuid::from_u128(2));

#[tokio::test(start_paused = true)]
async fn waiters_of_the_order_are_notified() {
    let notifier = CompletionNotifier::default();
    let (one, two, other) = (notifier.waiter(ID), notifier.waiter(ID), notifier.waiter(OTHER));
    let notified = (one.notified(), two.notified(), other.notified());
    notifier.notify(ID);
    notified.0.await;
    notified.1.await;
    assert!(timeout(Duration::from_secs(1), notified.2).await.is_err());
}

#[tokio::test]
async fn dropped_waiters_are_forgotten() {
    let notifier = CompletionNotifier::default();
    let (one, two) = (notifier.waiter(ID), notifier.waiter(ID));
    drop(one);
    assert_eq!(notifier.waiters().len(), 1);
    drop(two);
    assert!(notifier.waiters().is_empty());
    notifier.notify(ID);
}

/// An order whose saga another process ends at a time.
#[derive(Debug)]
struct EndsAt(Instant);

#[async_trait]
impl OrderRepository for EndsAt {
    async fn find(&self, _: OrderId) -> Result<Option<StoredOrder>, StorageError> {
        let order = placed();
        let order = match Instant::now() < self.0 {
            true => order,
            false => order.confirm(OffsetDateTime::UNIX_EPOCH).unwrap().order,
        };
        Ok(Some(StoredOrder { order, address: None }))
    }

    async fn seen(&self, _: &RequestKey) -> Result<Seen, StorageError> {
        panic!("unexpected call")
    }

    async fn commit(&self, _: UnitOfWork) -> Result<(), CommitError> {
        panic!("unexpected call")
    }

    async fn create(&self, _: UnitOfWork, _: DraftQuota) -> Result<(), CommitError> {
        panic!("unexpected call")
    }

    async fn has_all_drafts(&self, _: UserId, _: DraftQuota) -> Result<bool, StorageError> {
        panic!("unexpected call")
    }

    async fn list(
        &self,
        _: Option<UserId>,
        _: &PageRequest,
    ) -> Result<Page<StoredOrder>, StorageError> {
        panic!("unexpected call")
    }
}

fn placed() -> Order {
    let unit_price = Money::new(999, Currency::parse("EUR").unwrap()).unwrap();
    let line = Line::new(Sku::new("mug"), Quantity::new(2).unwrap(), unit_price).unwrap();
    let lines = Lines::new(vec![line]).unwrap();
    let (user, at) = (UserId(Uuid::nil()), OffsetDateTime::UNIX_EPOCH);
    let draft = Order::create(ID, user, Tier::Regular, lines, &Pricing::default(), at).unwrap();
    let draft = draft.order;
    draft.place(draft.price(), Uuid::nil(), None, at).unwrap().order
}

/// Waits for an order that another process ends after `ends`. Returns its status and the time waited.
async fn waited(ends: Duration, wait: Duration) -> (Status, Duration) {
    let started = Instant::now();
    let orders = EndsAt(started + ends);
    let leave = std::future::pending();
    let found = CompletionNotifier::default().outcome(&orders, ID, wait, leave).await;
    (found.unwrap().unwrap().order.status(), started.elapsed())
}

#[tokio::test(start_paused = true)]
async fn an_end_in_another_process_ends_the_wait() {
    const LONG: Duration = Duration::from_secs(25);
    let (status, waited) = waited(Duration::from_secs(3), LONG).await;
    assert_eq!(status, Status::Confirmed);
    assert!(waited <= Duration::from_secs(3) + READ_INTERVAL, "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_ends_first_returns_the_placed_order() {
    const SHORT: Duration = Duration::from_millis(1_250);
    assert_eq!(waited(Duration::from_secs(3), SHORT).await, (Status::Placed, SHORT));
    assert_eq!(
        waited(Duration::from_secs(3), Duration::ZERO).await,
        (Status::Placed, Duration::ZERO)
    );
}
