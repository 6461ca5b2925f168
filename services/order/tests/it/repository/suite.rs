//! Suite of the contract. Each test gets an empty repository.

use gantry_common_testing::repository::{first_page, next_page};
use gantry_contract::page::Page;
use gantry_order::{
    application::{CommitError, DraftQuota, OrderRepository, Seen, StoredOrder, UnitOfWork},
    domain::{OrderId, PlacedBy, RejectReason, Status, UserId},
};
use gantry_saga::{Context, NewSaga};
use time::Duration;
use uuid::Uuid;

use crate::support::{ANN, BOB, NOW, address, draft, fresh, request, unit};

const SAGA: Uuid = Uuid::from_u128(5);

fn saga() -> NewSaga {
    NewSaga::new(SAGA, "test", &"input", Context::default()).unwrap()
}

async fn found(orders: &dyn OrderRepository, id: OrderId) -> StoredOrder {
    orders.find(id).await.unwrap().unwrap()
}

fn ids(page: &Page<StoredOrder>) -> Vec<OrderId> {
    page.items.iter().map(|stored| stored.order.id()).collect()
}

/// Creates drafts of this user. Returns their ids, newest first.
async fn drafts(orders: &dyn OrderRepository, user: UserId, count: usize) -> Vec<OrderId> {
    let mut made = Vec::new();
    for _ in 0..count {
        let draft = draft(user, &[("mug", 1)]);
        made.insert(0, draft.order.id());
        orders.commit(unit(draft)).await.unwrap();
    }
    made
}

pub(super) async fn an_order_reads_back_as_created(orders: &dyn OrderRepository) {
    let draft = draft(ANN, &[("mug", 3), ("Ünïcode 🦀 'quoted'; -- x", 1_000_000)]);
    let order = draft.order.clone();
    let unit = UnitOfWork { address: Some(address("Berlin")), ..unit(draft) };
    orders.commit(unit).await.unwrap();
    let stored = found(orders, order.id()).await;
    assert_eq!(stored, StoredOrder { order, address: Some(address("Berlin")) });
}

pub(super) async fn an_unknown_order_is_not_found(orders: &dyn OrderRepository) {
    assert_eq!(orders.find(OrderId(Uuid::from_u128(1))).await.unwrap(), None);
}

pub(super) async fn every_event_reads_back(orders: &dyn OrderRepository) {
    let by = PlacedBy { subject: "ann".to_owned(), roles: vec!["user".to_owned()] };
    let draft = draft(ANN, &[("mug", 3)]);
    let placed = draft.order.place(draft.order.price(), SAGA, Some(by), NOW).unwrap();
    let confirmed = placed.order.confirm(NOW + Duration::microseconds(1)).unwrap();
    for change in [draft, placed, confirmed.clone()] {
        orders.commit(unit(change)).await.unwrap();
    }
    assert_eq!(found(orders, confirmed.order.id()).await.order, confirmed.order);

    let draft = self::draft(ANN, &[("mug", 3)]);
    let placed = draft.order.place(draft.order.price(), SAGA, None, NOW).unwrap();
    let rejected = placed.order.reject(RejectReason::InsufficientStock, NOW).unwrap();
    for change in [draft, placed, rejected.clone()] {
        orders.commit(unit(change)).await.unwrap();
    }
    assert_eq!(found(orders, rejected.order.id()).await.order, rejected.order);
}

pub(super) async fn a_change_of_an_older_version_is_refused(orders: &dyn OrderRepository) {
    let draft = draft(ANN, &[("mug", 1)]);
    let order = draft.order.clone();
    let (one, other) = (Uuid::from_u128(fresh()), Uuid::from_u128(fresh()));
    orders.commit(unit(draft)).await.unwrap();
    let first = order.place(order.price(), one, None, NOW).unwrap();
    let second = order.place(order.price(), other, None, NOW).unwrap();
    orders.commit(unit(first.clone())).await.unwrap();
    let refused = orders.commit(unit(second)).await;
    assert!(matches!(refused, Err(CommitError::Stale)), "{refused:?}");
    assert_eq!(found(orders, order.id()).await.order, first.order);
}

pub(super) async fn a_change_of_an_unknown_order_is_refused(orders: &dyn OrderRepository) {
    let draft = draft(ANN, &[("mug", 1)]).order;
    let placed = draft.place(draft.price(), SAGA, None, NOW).unwrap();
    let refused = orders.commit(unit(placed)).await;
    assert!(matches!(refused, Err(CommitError::Stale)), "{refused:?}");
    assert_eq!(orders.find(draft.id()).await.unwrap(), None);
}

pub(super) async fn an_order_id_is_unique(orders: &dyn OrderRepository) {
    let draft = draft(ANN, &[("mug", 1)]);
    orders.commit(unit(draft.clone())).await.unwrap();
    let refused = orders.commit(unit(draft)).await;
    assert!(matches!(refused, Err(CommitError::Stale)), "{refused:?}");
}

pub(super) async fn a_refused_unit_writes_nothing(orders: &dyn OrderRepository) {
    let draft = draft(ANN, &[("mug", 1)]);
    let order = draft.order.clone();
    orders.commit(UnitOfWork { address: Some(address("Berlin")), ..unit(draft) }).await.unwrap();
    let placed = order.place(order.price(), SAGA, None, NOW).unwrap();
    orders.commit(unit(placed.clone())).await.unwrap();

    let stale = UnitOfWork {
        change: placed,
        address: Some(address("Paris")),
        request: Some(request(1, 1)),
        saga: Some(saga()),
    };
    assert!(matches!(orders.commit(stale).await, Err(CommitError::Stale)));
    assert_eq!(found(orders, order.id()).await.address, Some(address("Berlin")));
    assert_eq!(orders.seen(&request(1, 1)).await.unwrap(), Seen::New);
    // The saga was not written either: its id is free.
    let other = self::draft(ANN, &[("mug", 1)]);
    orders.commit(UnitOfWork { saga: Some(saga()), ..unit(other) }).await.unwrap();
}

pub(super) async fn a_saga_id_is_unique(orders: &dyn OrderRepository) {
    let unit = || UnitOfWork { saga: Some(saga()), ..unit(draft(ANN, &[("mug", 1)])) };
    orders.commit(unit()).await.unwrap();
    let second = unit();
    let id = second.change.order.id();
    assert!(matches!(orders.commit(second).await, Err(CommitError::Storage(_))));
    assert_eq!(orders.find(id).await.unwrap(), None, "nothing was written");
}

pub(super) async fn an_address_stays_until_it_is_replaced(orders: &dyn OrderRepository) {
    let draft = draft(ANN, &[("mug", 1)]);
    let order = draft.order.clone();
    orders.commit(UnitOfWork { address: Some(address("Berlin")), ..unit(draft) }).await.unwrap();
    let placed = order.place(order.price(), SAGA, None, NOW).unwrap();
    let confirmed = placed.order.confirm(NOW).unwrap();
    orders.commit(unit(placed)).await.unwrap();
    assert_eq!(found(orders, order.id()).await.address, Some(address("Berlin")));
    orders.commit(UnitOfWork { address: Some(address("Paris")), ..unit(confirmed) }).await.unwrap();
    assert_eq!(found(orders, order.id()).await.address, Some(address("Paris")));
}

pub(super) async fn a_repeated_request_is_recognised(orders: &dyn OrderRepository) {
    let with =
        |body| UnitOfWork { request: Some(request(7, body)), ..unit(draft(ANN, &[("mug", 1)])) };
    let first = with(1);
    let id = first.change.order.id();
    assert_eq!(orders.seen(&request(7, 1)).await.unwrap(), Seen::New);
    orders.commit(first).await.unwrap();
    assert_eq!(orders.seen(&request(7, 1)).await.unwrap(), Seen::Same(id));
    assert_eq!(orders.seen(&request(7, 2)).await.unwrap(), Seen::Reused);

    let (again, reused) = (with(1), with(2));
    let ids = [again.change.order.id(), reused.change.order.id()];
    let repeated = orders.commit(again).await;
    assert!(matches!(repeated, Err(CommitError::Repeated(of)) if of == id), "{repeated:?}");
    assert!(matches!(orders.commit(reused).await, Err(CommitError::Reused)));
    for id in ids {
        assert_eq!(orders.find(id).await.unwrap(), None);
    }
}

/// A repetition is reported as one, even if the order has changed since and its version is stale.
pub(super) async fn a_repeated_request_is_recognised_before_the_version(
    orders: &dyn OrderRepository,
) {
    let draft = draft(ANN, &[("mug", 1)]);
    let order = draft.order.clone();
    orders.commit(unit(draft)).await.unwrap();
    let placed = order.place(order.price(), SAGA, None, NOW).unwrap();
    let unit = UnitOfWork { request: Some(request(7, 1)), ..unit(placed) };
    orders.commit(unit.clone()).await.unwrap();
    let again = orders.commit(unit).await;
    assert!(matches!(again, Err(CommitError::Repeated(id)) if id == order.id()), "{again:?}");
}

pub(super) async fn concurrent_changes_have_one_winner(orders: &dyn OrderRepository) {
    let draft = draft(ANN, &[("mug", 1)]);
    let order = draft.order.clone();
    orders.commit(unit(draft)).await.unwrap();
    let place = || async {
        let saga = Uuid::from_u128(fresh());
        orders.commit(unit(order.place(order.price(), saga, None, NOW).unwrap())).await
    };
    let outcomes = tokio::join!(place(), place(), place(), place());
    let taken = [outcomes.0, outcomes.1, outcomes.2, outcomes.3]
        .into_iter()
        .filter(|outcome| match outcome {
            Ok(()) => true,
            Err(CommitError::Stale) => false,
            Err(error) => panic!("{error}"),
        })
        .count();
    assert_eq!(taken, 1);
}

pub(super) async fn a_list_is_sorted_newest_first(orders: &dyn OrderRepository) {
    let made = drafts(orders, ANN, 5).await;
    let first = orders.list(None, &first_page(2)).await.unwrap();
    assert_eq!((ids(&first), first.total), (made[0..2].to_vec(), Some(5)));
    let second = orders.list(None, &next_page(&first, 2)).await.unwrap();
    assert_eq!(ids(&second), made[2..4]);
    // An order that is created in between does not move the other pages.
    drafts(orders, ANN, 1).await;
    let third = orders.list(None, &next_page(&second, 2)).await.unwrap();
    assert_eq!((ids(&third), third.next_page_token.is_empty()), (made[4..].to_vec(), true));
}

pub(super) async fn a_list_can_be_limited_to_one_user(orders: &dyn OrderRepository) {
    let mut made = drafts(orders, ANN, 2).await;
    drafts(orders, BOB, 2).await;
    made.splice(0..0, drafts(orders, ANN, 2).await);
    let first = orders.list(Some(ANN), &first_page(3)).await.unwrap();
    assert_eq!((ids(&first), first.total), (made[..3].to_vec(), Some(4)));
    let second = orders.list(Some(ANN), &next_page(&first, 3)).await.unwrap();
    assert_eq!((ids(&second), second.next_page_token.is_empty()), (made[3..].to_vec(), true));
    let unknown = UserId(Uuid::from_u128(0xc));
    assert!(orders.list(Some(unknown), &first_page(3)).await.unwrap().items.is_empty());
}

pub(super) async fn a_list_shows_current_orders(orders: &dyn OrderRepository) {
    let draft = draft(ANN, &[("mug", 1)]);
    let placed = draft.order.place(draft.order.price(), SAGA, None, NOW).unwrap();
    orders.commit(UnitOfWork { address: Some(address("Berlin")), ..unit(draft) }).await.unwrap();
    drafts(orders, ANN, 1).await;
    orders.commit(unit(placed)).await.unwrap();
    let page = orders.list(None, &first_page(0)).await.unwrap();
    let statuses: Vec<_> = page.items.iter().map(|stored| stored.order.status()).collect();
    assert_eq!(statuses, [Status::Draft, Status::Placed]);
    assert_eq!(page.items[0].address, None);
    assert_eq!(page.items[1].address, Some(address("Berlin")));
}

fn quota(max: u32) -> DraftQuota {
    DraftQuota { max, changed_since: NOW - Duration::HOUR }
}

pub(super) async fn a_draft_beyond_the_quota_is_refused(orders: &dyn OrderRepository) {
    let first = draft(ANN, &[("mug", 1)]);
    let again = UnitOfWork { request: Some(request(1, 1)), ..unit(first.clone()) };
    orders.create(again.clone(), quota(2)).await.unwrap();
    assert!(!orders.has_all_drafts(ANN, quota(2)).await.unwrap());
    orders.create(unit(draft(ANN, &[("mug", 1)])), quota(2)).await.unwrap();
    assert!(orders.has_all_drafts(ANN, quota(2)).await.unwrap());
    let third = draft(ANN, &[("mug", 1)]);
    let refused = orders.create(unit(third.clone()), quota(2)).await;
    assert!(matches!(refused, Err(CommitError::TooManyDrafts)), "{refused:?}");
    assert_eq!(orders.find(third.order.id()).await.unwrap(), None, "nothing was written");
    // A repetition is reported as one, and each user has a quota of their own.
    let repeated = orders.create(again, quota(2)).await;
    assert!(matches!(repeated, Err(CommitError::Repeated(_))), "{repeated:?}");
    orders.create(unit(draft(BOB, &[("mug", 1)])), quota(2)).await.unwrap();
    // Neither a placed order nor an old draft is an open draft.
    let placed = first.order.place(first.order.price(), SAGA, None, NOW).unwrap();
    orders.commit(unit(placed)).await.unwrap();
    orders.create(unit(third), quota(2)).await.unwrap();
    let later = DraftQuota { max: 2, changed_since: NOW + Duration::SECOND };
    orders.create(unit(draft(ANN, &[("mug", 1)])), later).await.unwrap();
}

pub(super) async fn concurrent_drafts_keep_to_the_quota(orders: &dyn OrderRepository) {
    let create = || orders.create(unit(draft(ANN, &[("mug", 1)])), quota(2));
    let (a, b, c, d) = tokio::join!(create(), create(), create(), create());
    assert_eq!([a, b, c, d].iter().filter(|made| made.is_ok()).count(), 2);
}
