//! Rules between reservations and stock: each by name, then all under any sequence of commands.

use std::collections::BTreeMap;

use gantry_inventory::domain::{Command, Items, Refusal, Shortage, Sku, Status, Stock};
use proptest::prelude::*;
use time::Duration;
use uuid::Uuid;

use crate::support::{Model, NOW, commands, items, sku};

const ID: Uuid = Uuid::from_u128(1);

#[test]
fn a_committed_reservation_stays_committed() {
    let mut model = Model::with(&[("a", 5), ("b", 2)]);
    let wanted = items(&[("a", 3), ("b", 2)]);
    let made = model.run(ID, Command::Reserve(wanted.clone())).unwrap();
    assert_eq!((made.id(), made.status(), made.items()), (ID, Status::Reserved, Some(&wanted)));
    assert_eq!(model.counts("a"), (2, 3, 0));

    let later = NOW + Duration::SECOND;
    let sold = model.run_at(ID, Command::Commit, later).unwrap();
    assert_eq!(
        (sold.status(), sold.create_time(), sold.update_time()),
        (Status::Committed, NOW, later)
    );
    assert_eq!((model.counts("a"), model.counts("b")), ((2, 0, 3), (0, 0, 2)));

    assert_eq!(model.run(ID, Command::Release), Err(Refusal::Committed(ID)));
    assert_eq!(model.run(ID, Command::Commit), Ok(sold.clone()));
    assert_eq!(model.run(ID, Command::Reserve(wanted)), Ok(sold));
}

#[test]
fn a_released_reservation_stays_released() {
    let before = Model::with(&[("a", 5)]);
    let mut model = before.clone();
    let wanted = items(&[("a", 3)]);
    model.run(ID, Command::Reserve(wanted.clone())).unwrap();
    let released = model.run(ID, Command::Release).unwrap();
    assert_eq!((released.status(), released.items()), (Status::Released, Some(&wanted)));
    assert_eq!(model.stocks, before.stocks);

    assert_eq!(model.run(ID, Command::Release), Ok(released));
    assert_eq!(model.run(ID, Command::Commit), Err(Refusal::Released(ID)));
    assert_eq!(model.run(ID, Command::Reserve(wanted)), Err(Refusal::Released(ID)));
    assert_eq!(model.stocks, before.stocks);
}

#[test]
fn an_early_release_refuses_the_late_reservation() {
    let mut model = Model::with(&[("a", 5)]);
    let mark = model.run(ID, Command::Release).unwrap();
    assert_eq!((mark.status(), mark.items()), (Status::Released, None));
    assert_eq!(model.run(ID, Command::Reserve(items(&[("a", 1)]))), Err(Refusal::Released(ID)));
    assert_eq!(model.run(ID, Command::Commit), Err(Refusal::Released(ID)));
    assert_eq!(model.run(ID, Command::Release), Ok(mark));
    assert_eq!(model.counts("a"), (5, 0, 0));
}

#[test]
fn too_little_of_one_product_reserves_nothing() {
    let mut model = Model::with(&[("a", 5), ("b", 1), ("c", 0)]);
    let before = model.clone();
    let short =
        |text: &str, requested, available| Shortage { sku: sku(text), requested, available };
    assert_eq!(
        model.run(ID, Command::Reserve(items(&[("c", 1), ("a", 5), ("b", 2)]))),
        Err(Refusal::InsufficientStock(vec![short("b", 2, 1), short("c", 1, 0)]))
    );
    assert_eq!(model, before);
    // Nothing was stored, so the id can still be used.
    assert!(model.run(ID, Command::Reserve(items(&[("b", 1)]))).is_ok());
}

#[test]
fn every_unknown_product_is_named() {
    let mut model = Model::with(&[("a", 0)]);
    assert_eq!(
        model.run(ID, Command::Reserve(items(&[("y", 1), ("a", 1), ("x", 1)]))),
        Err(Refusal::UnknownProducts(vec![sku("x"), sku("y")]))
    );
}

#[test]
fn an_id_keeps_its_items() {
    let mut model = Model::with(&[("a", 5), ("b", 5)]);
    model.run(ID, Command::Reserve(items(&[("a", 2)]))).unwrap();
    for other in [&[("a", 1)][..], &[("b", 2)], &[("a", 2), ("b", 1)]] {
        assert_eq!(model.run(ID, Command::Reserve(items(other))), Err(Refusal::OtherItems(ID)));
    }
    // The order and grouping of the items do not matter.
    assert!(model.run(ID, Command::Reserve(items(&[("a", 1), ("a", 1)]))).is_ok());
    assert_eq!(model.counts("a"), (3, 2, 0));
}

#[test]
fn an_unknown_reservation_cannot_be_committed() {
    let mut model = Model::with(&[("a", 5)]);
    assert_eq!(model.run(ID, Command::Commit), Err(Refusal::NotFound(ID)));
}

#[test]
fn disagreeing_counts_are_an_error() {
    let mut model = Model::with(&[("a", 5)]);
    model.run(ID, Command::Reserve(items(&[("a", 2)]))).unwrap();
    model.stocks.insert(sku("a"), Stock::stored(3, 1, 0).unwrap());
    assert_eq!(model.run(ID, Command::Commit), Err(Refusal::Unbalanced(sku("a"))));
    model.stocks.clear();
    assert_eq!(model.run(ID, Command::Release), Err(Refusal::Unbalanced(sku("a"))));
}

/// Sums of the held and sold items, by product.
fn booked(model: &Model, status: Status) -> BTreeMap<Sku, u32> {
    let mut sum = BTreeMap::new();
    for reservation in model.reservations.values().filter(|r| r.status() == status) {
        for (sku, quantity) in reservation.items().into_iter().flat_map(Items::iter) {
            *sum.entry(sku.clone()).or_default() += quantity.get();
        }
    }
    sum
}

proptest! {
    #[test]
    fn no_sequence_loses_creates_or_oversells_stock(
        sequence in prop::collection::vec(commands(), 0..60),
        stocks in prop::array::uniform3(0u32..20),
    ) {
        let start = Model::with(&[("a", stocks[0]), ("b", stocks[1]), ("c", stocks[2])]);
        let mut model = start.clone();
        for (id, command) in sequence {
            let before = model.clone();
            let ended = before.reservations.get(&id).is_some_and(|r| r.status() != Status::Reserved);
            let answer = model.run(id, command.clone());

            prop_assert!(!matches!(answer, Err(Refusal::Unbalanced(_))));
            if answer.is_err() || ended {
                prop_assert_eq!(&model, &before, "neither a refusal nor an ended reservation changes anything");
            }
            // A repetition returns the same and changes nothing.
            let once = model.clone();
            prop_assert_eq!(model.run(id, command), answer);
            prop_assert_eq!(&model, &once);

            let (held, sold) = (booked(&model, Status::Reserved), booked(&model, Status::Committed));
            for (sku, stock) in &model.stocks {
                prop_assert_eq!(stock.reserved(), held.get(sku).copied().unwrap_or(0));
                prop_assert_eq!(stock.sold(), sold.get(sku).copied().unwrap_or(0));
                let total = stock.available() + stock.reserved() + stock.sold();
                prop_assert_eq!(total, start.stocks[sku].available());
            }
        }
    }
}
