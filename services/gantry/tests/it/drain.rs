//! SIGTERM under load loses no call.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use gantry_proto::shop::{inventory::v1::ListProductsRequest, order::v1::OrderStatus};
use tokio::task::JoinSet;
use tonic::Code;

use crate::{
    cluster::Cluster,
    process::{PATIENCE, Suite},
    shop::{Shop, bearer},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_ends_under_load_fails_no_call() {
    let cluster = Cluster::start(&["inventory", "inventory", "user"]);
    let shop = cluster.shop().await;
    let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
    let mut callers = JoinSet::new();
    for _ in 0..16 {
        let (shop, stop, answered) = (shop.clone(), Arc::clone(&stop), Arc::clone(&answered));
        callers.spawn(async move {
            let mut inventory = shop.inventory.clone();
            while !stop.load(Ordering::Relaxed) {
                let request = bearer(ListProductsRequest::default(), &shop.admin);
                inventory.list_products(request).await?;
                answered.fetch_add(1, Ordering::Relaxed);
            }
            Ok::<_, tonic::Status>(())
        });
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let before = answered.load(Ordering::Relaxed);
    let mut cluster = cluster;
    let ended = tokio::task::spawn_blocking(move || {
        cluster.terminate("inventory");
        cluster
    });
    let cluster = ended.await.unwrap();
    let after = answered.load(Ordering::Relaxed);
    tokio::time::sleep(Duration::from_millis(300)).await;
    stop.store(true, Ordering::Relaxed);
    while let Some(caller) = callers.join_next().await {
        if let Err(status) = caller.unwrap() {
            panic!("{status:?}\n{}", cluster.logs());
        }
    }
    assert!(before > 0 && after > before, "{before} calls before, {after} until the end");
    assert!(answered.load(Ordering::Relaxed) > after, "the other replica went on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_suite_that_ends_while_orders_are_placed_loses_none_of_them() {
    let mut suite = Suite::start(&[]);
    let shop = Shop::open(&suite).await;
    let customer = Arc::new(shop.customer().await);
    let product = shop.product(1_000).await;
    let mut placing = JoinSet::new();
    for _ in 0..8 {
        let (shop, customer, sku) = (shop.clone(), Arc::clone(&customer), product.sku.clone());
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
            }
        });
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let suite = tokio::task::spawn_blocking(move || {
        assert!(suite.terminate().success(), "{}", suite.process.log());
        suite
    });
    let suite = suite.await.unwrap();
    let mut acknowledged = BTreeSet::new();
    while let Some(placed) = placing.join_next().await {
        let (confirmed, status) = placed.unwrap();
        // Nobody is left to answer: that, and not a call cut off in the middle.
        assert_eq!(status.code(), Code::Unavailable, "{status:?}\n{}", suite.process.log());
        assert!(status.message().contains("order"), "{status:?}");
        acknowledged.extend(confirmed);
    }
    assert!(acknowledged.len() > 3, "only {} orders", acknowledged.len());

    let suite = suite.start_again();
    let shop = Shop::open(&suite).await;
    for (id, status) in &acknowledged {
        // A drain answers PLACED for what it leaves to the next start.
        assert!([OrderStatus::Placed, OrderStatus::Confirmed].contains(status), "{status:?}");
        let started = Instant::now();
        while shop.order(id).await.status() != OrderStatus::Confirmed {
            assert!(started.elapsed() < PATIENCE, "{id} is unfinished\n{}", suite.process.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    // Orders that were placed without their caller hearing of it are carried through as well.
    let sold = i32::try_from(acknowledged.len()).unwrap();
    let started = Instant::now();
    loop {
        let (stock, reserved) = shop.stock(&product.sku).await;
        if reserved == 0 {
            assert!(stock <= 1_000 - sold, "{stock} left of 1000 after {sold} sold");
            break;
        }
        assert!(started.elapsed() < PATIENCE, "{reserved} reserved\n{}", suite.process.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
