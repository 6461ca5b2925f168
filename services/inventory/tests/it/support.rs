//! Fixtures that several modules share: values, and a model of the inventory in memory.

use std::collections::BTreeMap;

pub(crate) use gantry_common_testing::repository::NOW;
use gantry_inventory::domain::{
    Command, Decision, Items, Quantity, Refusal, Reservation, Sku, Stock, Stocks, decide,
};
use proptest::prelude::*;
use time::OffsetDateTime;
use uuid::Uuid;

pub(crate) fn sku(text: &str) -> Sku {
    Sku::parse(text).unwrap()
}

pub(crate) fn items(list: &[(&str, u32)]) -> Items {
    Items::collect(list.iter().map(|(text, q)| (sku(text), Quantity::new(*q).unwrap()))).unwrap()
}

/// Available, reserved and sold items.
pub(crate) type Counts = (u32, u32, u32);

pub(crate) fn counts(stock: Stock) -> Counts {
    (stock.available(), stock.reserved(), stock.sold())
}

/// Inventory that stores each decision, as an adapter does.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Model {
    pub(crate) stocks: Stocks,
    pub(crate) reservations: BTreeMap<Uuid, Reservation>,
}

impl Model {
    pub(crate) fn with(stocks: &[(&str, u32)]) -> Self {
        let stocks = stocks.iter().map(|(text, n)| (sku(text), Stock::new(*n).unwrap())).collect();
        Self { stocks, ..Self::default() }
    }

    pub(crate) fn run(&mut self, id: Uuid, command: Command) -> Result<Reservation, Refusal> {
        self.run_at(id, command, NOW)
    }

    pub(crate) fn run_at(
        &mut self,
        id: Uuid,
        command: Command,
        now: OffsetDateTime,
    ) -> Result<Reservation, Refusal> {
        let found = self.reservations.get(&id).cloned();
        match decide(id, command, found, &self.stocks, now)? {
            Decision::AsItIs(reservation) => Ok(reservation),
            Decision::Change { reservation, stocks } => {
                self.stocks.extend(stocks);
                self.reservations.insert(id, reservation.clone());
                Ok(reservation)
            }
        }
    }

    pub(crate) fn counts(&self, text: &str) -> Counts {
        counts(self.stocks[&sku(text)])
    }
}

/// Commands to a few reservations of a few products, so that they repeat and overlap.
pub(crate) fn commands() -> impl Strategy<Value = (Uuid, Command)> {
    let line = (prop::sample::select(vec!["a", "b", "c", "nowhere"]), 1u32..8);
    let reserve = prop::collection::vec(line, 1..4).prop_map(|list| Command::Reserve(items(&list)));
    let id = (1u128..6).prop_map(Uuid::from_u128);
    (id, prop_oneof![3 => reserve, 1 => Just(Command::Commit), 1 => Just(Command::Release)])
}
