//! Any sequence on a repository does what the domain says, restarts and repeated
//! requests included.

use std::collections::BTreeMap;

use gantry_inventory::{
    application::{InventoryError, InventoryRepository},
    domain::{Ask, Decision, Refusal, Reservation, Shelf, decide},
};
use proptest::{prelude::*, test_runner::Config};
use uuid::Uuid;

use super::{NOW, fresh, items, product, sku, sqlite, told};

const PRODUCTS: [&str; 3] = ["a", "b", "c"];

fn asks() -> impl Strategy<Value = (Uuid, Ask)> {
    let line = (prop::sample::select(vec!["a", "b", "c", "nowhere"]), 1u32..8);
    let reserve = prop::collection::vec(line, 1..4).prop_map(|list| Ask::Reserve(items(&list)));
    let id = (1u128..6).prop_map(Uuid::from_u128);
    (id, prop_oneof![3 => reserve, 1 => Just(Ask::Commit), 1 => Just(Ask::Release)])
}

#[derive(Default)]
struct Model {
    shelf: Shelf,
    reservations: BTreeMap<Uuid, Reservation>,
}

impl Model {
    fn ask(&mut self, id: Uuid, ask: Ask) -> Result<Reservation, Refusal> {
        let found = self.reservations.get(&id).cloned();
        match decide(id, ask, found, &self.shelf, NOW)? {
            Decision::AsItIs(reservation) => Ok(reservation),
            Decision::Change { reservation, shelf } => {
                self.shelf.extend(shelf);
                self.reservations.insert(id, reservation.clone());
                Ok(reservation)
            }
        }
    }
}

async fn follows_the_model(
    repository: &dyn InventoryRepository,
    stocks: [u32; 3],
    sequence: &[(Uuid, Ask)],
) {
    let mut model = Model::default();
    for (text, stock) in PRODUCTS.iter().zip(stocks) {
        let made = repository.create_product(product(text, stock), fresh()).await.unwrap();
        model.shelf.insert(made.sku, made.stock);
    }
    for (id, ask) in sequence {
        let expected = model.ask(*id, ask.clone());
        let request = fresh();
        // As a client that lost the first answer would.
        for _ in 0..2 {
            let answer =
                repository.change_reservation(*id, ask.clone(), request.clone(), NOW).await;
            match (&answer, &expected) {
                (Ok(answer), Ok(expected)) => assert_eq!(told(answer), told(expected)),
                (Err(InventoryError::Refused(answer)), Err(expected)) => {
                    assert_eq!(answer, expected);
                }
                other => panic!("{id} {ask:?}: {other:?}"),
            }
        }
        let read = repository.products(&PRODUCTS.map(sku)).await.unwrap();
        let shelf: Shelf = read.into_iter().map(|(sku, product)| (sku, product.stock)).collect();
        assert_eq!(shelf, model.shelf);
    }
}

proptest! {
    #![proptest_config(Config { cases: 24, ..Config::default() })]

    #[test]
    fn sqlite_does_what_the_domain_says(
        sequence in prop::collection::vec(asks(), 0..30),
        stocks in prop::array::uniform3(0u32..20),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (_folder, repository) = sqlite::inventory().await;
            follows_the_model(&repository, stocks, &sequence).await;
        });
    }
}
