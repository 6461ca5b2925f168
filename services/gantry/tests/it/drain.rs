//! SIGTERM under load loses no call.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use gantry_proto::shop::{inventory::v1::ListProductsRequest, order::v1::OrderStatus};
use tokio::task::JoinSet;
use tonic::Code;

use crate::{
    cluster::Cluster,
    load::{Load, eventually},
    process::{HANG_GUARD, Suite},
    shop::{Shop, bearer},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_ends_under_load_fails_no_call() {
    let mut cluster = Cluster::start(&["inventory", "inventory", "user"]);
    let shop = cluster.shop().await;
    let load = Load::start(16, move || {
        let mut inventory = shop.inventory.clone();
        let request = bearer(ListProductsRequest::default(), &shop.admin);
        async move { inventory.list_products(request).await.map(drop) }
    });
    load.pass(50).await;
    cluster.terminate("inventory");
    load.pass(50).await;
    load.stop().await.expect_no_failure(|| cluster.logs());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_suite_that_ends_under_load_loses_no_order() {
    let mut suite = Suite::start(&[]);
    let shop = Shop::open(&suite).await;
    let customer = Arc::new(shop.customer().await);
    let product = shop.product(1_000).await;
    let (mut placing, placed) = (JoinSet::new(), Arc::<AtomicUsize>::default());
    for _ in 0..8 {
        let (shop, customer, sku) = (shop.clone(), Arc::clone(&customer), product.sku.clone());
        let placed = Arc::clone(&placed);
        placing.spawn(async move {
            let mut confirmed = BTreeSet::new();
            loop {
                let order = match shop.draft(&customer, &[(&sku, 1)]).await {
                    Ok(order) => order,
                    Err(status) => return (confirmed, status),
                };
                match shop.place(&customer, &order).await {
                    Ok(order) => assert!(confirmed.insert((order.id.clone(), order.status()))),
                    Err(status) => return (confirmed, status),
                }
                placed.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    eventually("orders go through", || placed.load(Ordering::Relaxed) > 3).await;
    let suite = tokio::task::spawn_blocking(move || {
        assert!(suite.terminate().success(), "{}", suite.process.log());
        suite
    });
    let suite = suite.await.unwrap();
    let mut acknowledged = BTreeSet::new();
    while let Some(placed) = placing.join_next().await {
        let (confirmed, status) = placed.unwrap();
        // No server is left. A call that was cut off in the middle would have another status.
        assert_eq!(status.code(), Code::Unavailable, "{status:?}\n{}", suite.process.log());
        assert!(status.message().contains("order"), "{status:?}");
        acknowledged.extend(confirmed);
    }

    let suite = suite.start_again();
    let shop = Shop::open(&suite).await;
    for (id, status) in &acknowledged {
        // A drain answers PLACED for orders that the next start finishes.
        assert!([OrderStatus::Placed, OrderStatus::Confirmed].contains(status), "{status:?}");
        let started = Instant::now();
        while shop.order(id).await.status() != OrderStatus::Confirmed {
            assert!(started.elapsed() < HANG_GUARD, "{id} is unfinished\n{}", suite.process.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    // Orders whose callers got no response are finished as well.
    let sold = i32::try_from(acknowledged.len()).unwrap();
    let started = Instant::now();
    loop {
        let (stock, reserved) = shop.stock(&product.sku).await;
        if reserved == 0 {
            assert!(stock <= 1_000 - sold, "{stock} left of 1000 after {sold} sold");
            break;
        }
        assert!(started.elapsed() < HANG_GUARD, "{reserved} reserved\n{}", suite.process.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
