//! A running suite whose data is removed.

use std::{
    fs,
    time::{Duration, Instant},
};

use gantry_contract::{GantryReason, Reason as _};
use tonic::Code;

use crate::{
    pages::get,
    process::{HANG_GUARD, Suite},
    shop::Shop,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_database_is_not_ready_and_takes_no_write() {
    let suite = Suite::start(&[]);
    let shop = Shop::open(&suite).await;
    let (customer, product) = (shop.customer().await, shop.product(5).await);
    shop.draft(&customer, &[(&product.sku, 1)]).await.unwrap();
    let admin = suite.ready()["admin"].as_str().unwrap().to_owned();
    let readiness = || get(&admin, "/readyz");
    assert!(readiness().0.contains("200"));

    for file in ["order.db", "order.db-wal", "order.db-shm"] {
        fs::remove_file(suite.data().join(file)).unwrap();
    }
    let started = Instant::now();
    let (head, body) = loop {
        let (head, body) = readiness();
        if !head.contains("200") || started.elapsed() > HANG_GUARD {
            break (head, body);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert!(head.contains("503") && body.contains("order.db was removed"), "{head}\n{body}");
    let refused = shop.draft(&customer, &[(&product.sku, 1)]).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable, "{refused:?}");
    assert!(GantryReason::StorageUnavailable.is_given_by(&refused), "{refused:?}");
    // Other services still answer.
    shop.product(1).await;
}
