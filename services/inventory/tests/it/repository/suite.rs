//! Suite of the contract. Each test gets an empty repository.

use gantry_common_testing::repository::{LIST, first_page, next_page};
use gantry_contract::{
    idempotency::RequestKey,
    page::{Page, PageRequest, token},
};
use gantry_inventory::{
    application::{InventoryError, InventoryRepository},
    domain::{Command, Product, ProductName, Refusal, Reservation, Shortage, Status},
};
use gantry_money::Money;
use uuid::Uuid;

use super::{CREATE, LATER, RESERVE, fresh, product, request};
use crate::support::{Counts, NOW, counts, items, sku};

const ID: Uuid = Uuid::from_u128(7);
const OTHER: Uuid = Uuid::from_u128(8);

async fn stock(repository: &dyn InventoryRepository, list: &[(&str, u32)]) {
    for (text, count) in list {
        repository.create_product(product(text, *count), fresh()).await.unwrap();
    }
}

async fn counted(repository: &dyn InventoryRepository, text: &str) -> Counts {
    counts(repository.products(&[sku(text)]).await.unwrap()[&sku(text)].stock)
}

async fn run(
    repository: &dyn InventoryRepository,
    id: Uuid,
    command: Command,
) -> Result<Reservation, InventoryError> {
    repository.change_reservation(id, command, fresh(), NOW).await
}

fn reserve(list: &[(&str, u32)]) -> Command {
    Command::Reserve(items(list))
}

fn skus(page: &Page<Product>) -> Vec<String> {
    page.items.iter().map(|product| product.sku.to_string()).collect()
}

#[track_caller]
fn assert_refused(answer: Result<Reservation, InventoryError>, expected: Refusal) {
    match answer {
        Err(InventoryError::Refused(refusal)) => assert_eq!(refusal, expected),
        other => panic!("expected {expected:?}, got {other:?}"),
    }
}

pub(super) async fn a_product_reads_back_as_created(repository: &dyn InventoryRepository) {
    let mut made = product("a", 1_000_000_000);
    made.name = ProductName::parse("Ünïcode 🦀 'quoted'; -- x").unwrap();
    made.price = Money::from_units_nanos("CLF", i64::MAX / 10_000, 580_700_000).unwrap();
    let answered = repository.create_product(made.clone(), fresh()).await.unwrap();
    assert_eq!(answered, made);
    let read = repository.products(&[sku("a"), sku("b"), sku("A")]).await.unwrap();
    assert_eq!(read, [(sku("a"), made)].into());
}

pub(super) async fn a_taken_sku_is_refused_and_changes_nothing(
    repository: &dyn InventoryRepository,
) {
    stock(repository, &[("a", 3)]).await;
    let again = repository.create_product(product("a", 9), fresh()).await;
    assert!(matches!(again, Err(InventoryError::SkuTaken(taken)) if taken == sku("a")));
    assert_eq!(counted(repository, "a").await, (3, 0, 0));
}

pub(super) async fn a_repeated_creation_returns_the_current_product(
    repository: &dyn InventoryRepository,
) {
    let key = request(CREATE, 1, 1);
    repository.create_product(product("a", 3), key.clone()).await.unwrap();
    run(repository, ID, reserve(&[("a", 2)])).await.unwrap();
    let again = repository.create_product(product("a", 3), key).await.unwrap();
    assert_eq!(counts(again.stock), (1, 2, 0));
}

pub(super) async fn a_request_id_stands_for_one_request(repository: &dyn InventoryRepository) {
    let key = request(CREATE, 1, 1);
    repository.create_product(product("a", 3), key.clone()).await.unwrap();

    let other_body = RequestKey { fingerprint: [2; 32], ..key.clone() };
    let refused = repository.create_product(product("b", 3), other_body).await;
    assert!(matches!(refused, Err(InventoryError::RequestIdReused)));
    assert!(repository.products(&[sku("b")]).await.unwrap().is_empty());

    let other_subject =
        RequestKey { subject: "bob".to_owned(), fingerprint: [2; 32], ..key.clone() };
    repository.create_product(product("b", 3), other_subject).await.unwrap();
    let other_method = RequestKey { method: RESERVE, fingerprint: [2; 32], ..key };
    repository.change_reservation(ID, reserve(&[("a", 1)]), other_method, NOW).await.unwrap();
}

pub(super) async fn a_reservation_holds_all_of_its_items(repository: &dyn InventoryRepository) {
    stock(repository, &[("a", 3), ("b", 5), ("c", 1)]).await;
    let made = repository
        .change_reservation(ID, reserve(&[("b", 2), ("a", 3)]), fresh(), LATER)
        .await
        .unwrap();
    assert_eq!(made, Reservation::reserved(ID, items(&[("a", 3), ("b", 2)]), LATER));
    let read = repository.products(&[sku("a"), sku("b"), sku("c")]).await.unwrap();
    let seen =
        ["a", "b", "c"].map(|text| (counts(read[&sku(text)].stock), read[&sku(text)].update_time));
    assert_eq!(seen, [((0, 3, 0), LATER), ((3, 2, 0), LATER), ((1, 0, 0), NOW)]);
    // The stored reservation equals the response.
    assert_eq!(run(repository, ID, reserve(&[("a", 3), ("b", 2)])).await.unwrap(), made);
}

pub(super) async fn too_little_of_one_product_reserves_nothing(
    repository: &dyn InventoryRepository,
) {
    stock(repository, &[("a", 3), ("b", 1)]).await;
    let short = Shortage { sku: sku("b"), requested: 2, available: 1 };
    assert_refused(
        run(repository, ID, reserve(&[("a", 1), ("b", 2)])).await,
        Refusal::InsufficientStock(vec![short]),
    );
    assert_eq!(counted(repository, "a").await, (3, 0, 0));
    assert_refused(run(repository, ID, Command::Commit).await, Refusal::NotFound(ID));
}

pub(super) async fn every_unknown_product_is_named(repository: &dyn InventoryRepository) {
    stock(repository, &[("a", 3)]).await;
    assert_refused(
        run(repository, ID, reserve(&[("y", 1), ("a", 1), ("x", 1)])).await,
        Refusal::UnknownProducts(vec![sku("x"), sku("y")]),
    );
    assert_eq!(counted(repository, "a").await, (3, 0, 0));
}

pub(super) async fn a_refusal_leaves_no_record_of_the_request(
    repository: &dyn InventoryRepository,
) {
    stock(repository, &[("a", 1)]).await;
    run(repository, OTHER, reserve(&[("a", 1)])).await.unwrap();
    let key = request(RESERVE, 1, 1);
    let refused = repository.change_reservation(ID, reserve(&[("a", 1)]), key.clone(), NOW).await;
    assert!(matches!(refused, Err(InventoryError::Refused(Refusal::InsufficientStock(_)))));

    run(repository, OTHER, Command::Release).await.unwrap();
    let now = repository.change_reservation(ID, reserve(&[("a", 1)]), key, NOW).await.unwrap();
    assert_eq!(now.status(), Status::Reserved);
}

pub(super) async fn a_committed_reservation_stays_committed(repository: &dyn InventoryRepository) {
    stock(repository, &[("a", 3), ("b", 1)]).await;
    let wanted = reserve(&[("a", 2), ("b", 1)]);
    let made = run(repository, ID, wanted.clone()).await.unwrap();
    let sold = repository.change_reservation(ID, Command::Commit, fresh(), LATER).await.unwrap();
    assert_eq!((sold.status(), sold.items()), (Status::Committed, made.items()));
    assert_eq!((sold.create_time(), sold.update_time()), (NOW, LATER));
    for again in [Command::Commit, wanted] {
        assert_eq!(run(repository, ID, again).await.unwrap(), sold);
    }
    assert_refused(run(repository, ID, Command::Release).await, Refusal::Committed(ID));
    assert_eq!(counted(repository, "a").await, (1, 0, 2));
    assert_eq!(counted(repository, "b").await, (0, 0, 1));
}

pub(super) async fn a_released_reservation_stays_released(repository: &dyn InventoryRepository) {
    stock(repository, &[("a", 3), ("b", 1)]).await;
    let wanted = reserve(&[("a", 2), ("b", 1)]);
    let made = run(repository, ID, wanted.clone()).await.unwrap();
    let released =
        repository.change_reservation(ID, Command::Release, fresh(), LATER).await.unwrap();
    assert_eq!((released.status(), released.items()), (Status::Released, made.items()));
    assert_eq!((released.create_time(), released.update_time()), (NOW, LATER));
    assert_eq!(run(repository, ID, Command::Release).await.unwrap(), released);
    for late in [Command::Commit, wanted] {
        assert_refused(run(repository, ID, late).await, Refusal::Released(ID));
    }
    assert_eq!(counted(repository, "a").await, (3, 0, 0));
    assert_eq!(counted(repository, "b").await, (1, 0, 0));
}

pub(super) async fn an_early_release_refuses_the_late_reservation(
    repository: &dyn InventoryRepository,
) {
    stock(repository, &[("a", 3)]).await;
    let mark = run(repository, ID, Command::Release).await.unwrap();
    assert_eq!(mark, Reservation::tombstone(ID, NOW));
    assert_eq!(run(repository, ID, Command::Release).await.unwrap(), mark);
    for late in [Command::Commit, reserve(&[("a", 1)])] {
        assert_refused(run(repository, ID, late).await, Refusal::Released(ID));
    }
    assert_eq!(counted(repository, "a").await, (3, 0, 0));
}

pub(super) async fn a_reservation_id_outlives_the_request_record(
    repository: &dyn InventoryRepository,
) {
    stock(repository, &[("a", 3)]).await;
    run(repository, ID, reserve(&[("a", 2)])).await.unwrap();
    // To the request records, another request id is a new request.
    run(repository, ID, reserve(&[("a", 2)])).await.unwrap();
    assert_refused(run(repository, ID, reserve(&[("a", 1)])).await, Refusal::OtherItems(ID));
    assert_eq!(counted(repository, "a").await, (1, 2, 0));
}

pub(super) async fn a_reused_request_id_changes_nothing(repository: &dyn InventoryRepository) {
    stock(repository, &[("a", 3)]).await;
    let command = reserve(&[("a", 1)]);
    repository.change_reservation(ID, command.clone(), request(RESERVE, 1, 1), NOW).await.unwrap();
    let reused =
        repository.change_reservation(OTHER, command.clone(), request(RESERVE, 1, 2), NOW).await;
    assert!(matches!(reused, Err(InventoryError::RequestIdReused)));
    repository.change_reservation(ID, command, request(RESERVE, 1, 1), NOW).await.unwrap();
    assert_eq!(counted(repository, "a").await, (2, 1, 0));
}

pub(super) async fn pages_neither_repeat_nor_skip(repository: &dyn InventoryRepository) {
    // In the order of their bytes, not of a locale.
    let order = ["-", ".", "0", "10", "2", "A", "B", "_", "a", "aa", "b"];
    for text in order.iter().rev() {
        stock(repository, &[(text, 1)]).await;
    }
    let mut page = repository.list_products(&first_page(3)).await.unwrap();
    let mut seen = skus(&page);
    for added in 1_u32.. {
        assert_eq!(page.total, Some(10 + added));
        if page.next_page_token.is_empty() {
            break;
        }
        // A product that is created before the next page does not move it.
        stock(repository, &[(&format!("--{added}"), 1)]).await;
        page = repository.list_products(&next_page(&page, 3)).await.unwrap();
        seen.extend(skus(&page));
    }
    assert_eq!(seen, order);
}

pub(super) async fn the_last_page_has_no_token(repository: &dyn InventoryRepository) {
    let none = repository.list_products(&first_page(2)).await.unwrap();
    assert_eq!((none.items.len(), &*none.next_page_token, none.total), (0, "", Some(0)));
    stock(repository, &[("a", 1), ("b", 1)]).await;
    let full = repository.list_products(&first_page(2)).await.unwrap();
    assert_eq!((full.items.len(), &*full.next_page_token), (2, ""));
    stock(repository, &[("c", 1)]).await;
    let more = repository.list_products(&first_page(2)).await.unwrap();
    assert_eq!((more.items.len(), more.next_page_token), (2, token(LIST, "b")));
    let without_total = PageRequest::new(LIST, 2, "", false).unwrap();
    assert_eq!(repository.list_products(&without_total).await.unwrap().total, None);
}
