//! Any sequence of commands, each sent twice, does the same on a repository as in the model.

use gantry_inventory::{
    application::{InventoryError, InventoryRepository},
    domain::{Command, Stocks},
};
use proptest::{prelude::*, test_runner::Config};
use uuid::Uuid;

use super::{fresh, postgres, product, sqlite, untimed};
use crate::support::{Model, NOW, commands, sku};

const PRODUCTS: [&str; 3] = ["a", "b", "c"];

async fn follows_the_model(
    repository: &dyn InventoryRepository,
    stocks: [u32; 3],
    sequence: &[(Uuid, Command)],
) {
    let mut model = Model::default();
    for (text, stock) in PRODUCTS.iter().zip(stocks) {
        let made = repository.create_product(product(text, stock), fresh()).await.unwrap();
        model.stocks.insert(made.sku, made.stock);
    }
    for (id, command) in sequence {
        let expected = model.run(*id, command.clone());
        let request = fresh();
        // A client that lost the first response repeats its request.
        for _ in 0..2 {
            let answer =
                repository.change_reservation(*id, command.clone(), request.clone(), NOW).await;
            match (&answer, &expected) {
                (Ok(answer), Ok(expected)) => assert_eq!(untimed(answer), untimed(expected)),
                (Err(InventoryError::Refused(answer)), Err(expected)) => {
                    assert_eq!(answer, expected);
                }
                other => panic!("{id} {command:?}: {other:?}"),
            }
        }
        let read = repository.products(&PRODUCTS.map(sku)).await.unwrap();
        let stocks: Stocks = read.into_iter().map(|(sku, product)| (sku, product.stock)).collect();
        assert_eq!(stocks, model.stocks);
    }
}

proptest! {
    #![proptest_config(Config { cases: 24, ..Config::default() })]

    #[test]
    fn sqlite_follows_the_model(
        sequence in prop::collection::vec(commands(), 0..30),
        stocks in prop::array::uniform3(0u32..20),
    ) {
        runtime().block_on(async {
            let (_folder, repository) = sqlite::inventory().await;
            follows_the_model(&repository, stocks, &sequence).await;
        });
    }

    #[test]
    fn postgres_follows_the_model(
        sequence in prop::collection::vec(commands(), 0..30),
        stocks in prop::array::uniform3(0u32..20),
    ) {
        runtime().block_on(async {
            let ((), repository) = postgres::inventory().await;
            follows_the_model(&repository, stocks, &sequence).await;
        });
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}
