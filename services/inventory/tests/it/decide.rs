//! Rules between reservations and stock: each by name, then all under any sequence of commands.

use std::collections::BTreeMap;

use proptest::prelude::*;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::*;

const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

fn sku(text: &str) -> Sku {
    Sku::parse(text).unwrap()
}

fn items(list: &[(&str, u32)]) -> Items {
    Items::collect(list.iter().map(|(text, q)| (sku(text), Quantity::new(*q).unwrap()))).unwrap()
}

/// Inventory that stores each decision, as an adapter does.
#[derive(Clone, Debug, Default, PartialEq)]
struct Model {
    shelf: Shelf,
    reservations: BTreeMap<Uuid, Reservation>,
}

impl Model {
    fn with(stocks: &[(&str, u32)]) -> Self {
        let shelf = stocks.iter().map(|(text, n)| (sku(text), Stock::new(*n).unwrap())).collect();
        Self { shelf, ..Self::default() }
    }

    fn ask(&mut self, id: Uuid, ask: Ask) -> Result<Reservation, Refusal> {
        self.ask_at(id, ask, NOW)
    }

    fn ask_at(&mut self, id: Uuid, ask: Ask, now: OffsetDateTime) -> Result<Reservation, Refusal> {
        let found = self.reservations.get(&id).cloned();
        match decide(id, ask, found, &self.shelf, now)? {
            Decision::AsItIs(reservation) => Ok(reservation),
            Decision::Change { reservation, shelf } => {
                self.shelf.extend(shelf);
                self.reservations.insert(id, reservation.clone());
                Ok(reservation)
            }
        }
    }

    fn counts(&self, text: &str) -> (u32, u32, u32) {
        let stock = self.shelf[&sku(text)];
        (stock.available(), stock.reserved(), stock.sold())
    }
}

const ID: Uuid = Uuid::from_u128(1);

#[test]
fn a_committed_reservation_stays_committed() {
    let mut model = Model::with(&[("a", 5), ("b", 2)]);
    let wanted = items(&[("a", 3), ("b", 2)]);
    let made = model.ask(ID, Ask::Reserve(wanted.clone())).unwrap();
    assert_eq!((made.id(), made.status(), made.items()), (ID, Status::Reserved, Some(&wanted)));
    assert_eq!(model.counts("a"), (2, 3, 0));

    let later = NOW + Duration::SECOND;
    let sold = model.ask_at(ID, Ask::Commit, later).unwrap();
    assert_eq!(
        (sold.status(), sold.create_time(), sold.update_time()),
        (Status::Committed, NOW, later)
    );
    assert_eq!((model.counts("a"), model.counts("b")), ((2, 0, 3), (0, 0, 2)));

    assert_eq!(model.ask(ID, Ask::Release), Err(Refusal::Committed(ID)));
    assert_eq!(model.ask(ID, Ask::Commit), Ok(sold.clone()));
    assert_eq!(model.ask(ID, Ask::Reserve(wanted)), Ok(sold));
}

#[test]
fn a_release_puts_everything_back_and_ends_it() {
    let before = Model::with(&[("a", 5)]);
    let mut model = before.clone();
    let wanted = items(&[("a", 3)]);
    model.ask(ID, Ask::Reserve(wanted.clone())).unwrap();
    let released = model.ask(ID, Ask::Release).unwrap();
    assert_eq!((released.status(), released.items()), (Status::Released, Some(&wanted)));
    assert_eq!(model.shelf, before.shelf);

    assert_eq!(model.ask(ID, Ask::Release), Ok(released));
    assert_eq!(model.ask(ID, Ask::Commit), Err(Refusal::Released(ID)));
    assert_eq!(model.ask(ID, Ask::Reserve(wanted)), Err(Refusal::Released(ID)));
    assert_eq!(model.shelf, before.shelf);
}

#[test]
fn a_release_that_comes_first_refuses_the_late_reservation() {
    let mut model = Model::with(&[("a", 5)]);
    let mark = model.ask(ID, Ask::Release).unwrap();
    assert_eq!((mark.status(), mark.items()), (Status::Released, None));
    assert_eq!(model.ask(ID, Ask::Reserve(items(&[("a", 1)]))), Err(Refusal::Released(ID)));
    assert_eq!(model.ask(ID, Ask::Commit), Err(Refusal::Released(ID)));
    assert_eq!(model.ask(ID, Ask::Release), Ok(mark));
    assert_eq!(model.counts("a"), (5, 0, 0));
}

#[test]
fn too_little_of_one_product_reserves_none_of_any() {
    let mut model = Model::with(&[("a", 5), ("b", 1), ("c", 0)]);
    let before = model.clone();
    let short = |text: &str, asked, available| Shortage { sku: sku(text), asked, available };
    assert_eq!(
        model.ask(ID, Ask::Reserve(items(&[("c", 1), ("a", 5), ("b", 2)]))),
        Err(Refusal::InsufficientStock(vec![short("b", 2, 1), short("c", 1, 0)]))
    );
    assert_eq!(model, before);
    // Nothing was stored, so the id can still be used.
    assert!(model.ask(ID, Ask::Reserve(items(&[("b", 1)]))).is_ok());
}

#[test]
fn every_unknown_product_is_named() {
    let mut model = Model::with(&[("a", 0)]);
    assert_eq!(
        model.ask(ID, Ask::Reserve(items(&[("y", 1), ("a", 1), ("x", 1)]))),
        Err(Refusal::UnknownProducts(vec![sku("x"), sku("y")]))
    );
}

#[test]
fn an_id_belongs_to_its_items_for_ever() {
    let mut model = Model::with(&[("a", 5), ("b", 5)]);
    model.ask(ID, Ask::Reserve(items(&[("a", 2)]))).unwrap();
    for other in [&[("a", 1)][..], &[("b", 2)], &[("a", 2), ("b", 1)]] {
        assert_eq!(model.ask(ID, Ask::Reserve(items(other))), Err(Refusal::OtherItems(ID)));
    }
    // The order and grouping of the items do not matter.
    assert!(model.ask(ID, Ask::Reserve(items(&[("a", 1), ("a", 1)]))).is_ok());
    assert_eq!(model.counts("a"), (3, 2, 0));
}

#[test]
fn an_unknown_reservation_cannot_be_committed() {
    let mut model = Model::with(&[("a", 5)]);
    assert_eq!(model.ask(ID, Ask::Commit), Err(Refusal::NotFound(ID)));
}

#[test]
fn disagreeing_counts_are_an_error() {
    let mut model = Model::with(&[("a", 5)]);
    model.ask(ID, Ask::Reserve(items(&[("a", 2)]))).unwrap();
    model.shelf.insert(sku("a"), Stock::stored(3, 1, 0).unwrap());
    assert_eq!(model.ask(ID, Ask::Commit), Err(Refusal::Unbalanced(sku("a"))));
    model.shelf.clear();
    assert_eq!(model.ask(ID, Ask::Release), Err(Refusal::Unbalanced(sku("a"))));
}

fn asks() -> impl Strategy<Value = (Uuid, Ask)> {
    let line = (prop::sample::select(vec!["a", "b", "c", "nowhere"]), 1u32..8);
    let reserve = prop::collection::vec(line, 1..4).prop_map(|list| Ask::Reserve(items(&list)));
    // Few ids, so that commands repeat and overlap.
    let id = (1u128..6).prop_map(Uuid::from_u128);
    (id, prop_oneof![3 => reserve, 1 => Just(Ask::Commit), 1 => Just(Ask::Release)])
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
    fn no_sequence_loses_makes_or_oversells_anything(
        sequence in prop::collection::vec(asks(), 0..60),
        stocks in prop::array::uniform3(0u32..20),
    ) {
        let start = Model::with(&[("a", stocks[0]), ("b", stocks[1]), ("c", stocks[2])]);
        let mut model = start.clone();
        for (id, ask) in sequence {
            let before = model.clone();
            let ended = before.reservations.get(&id).is_some_and(|r| r.status() != Status::Reserved);
            let answer = model.ask(id, ask.clone());

            prop_assert!(!matches!(answer, Err(Refusal::Unbalanced(_))));
            if answer.is_err() || ended {
                prop_assert_eq!(&model, &before, "a refusal, and what has ended, change nothing");
            }
            // A repeat returns the same and changes nothing.
            let once = model.clone();
            prop_assert_eq!(model.ask(id, ask), answer);
            prop_assert_eq!(&model, &once);

            let (held, sold) = (booked(&model, Status::Reserved), booked(&model, Status::Committed));
            for (sku, stock) in &model.shelf {
                prop_assert_eq!(stock.reserved(), held.get(sku).copied().unwrap_or(0));
                prop_assert_eq!(stock.sold(), sold.get(sku).copied().unwrap_or(0));
                let total = stock.available() + stock.reserved() + stock.sold();
                prop_assert_eq!(total, start.shelf[sku].available());
            }
        }
    }
}
