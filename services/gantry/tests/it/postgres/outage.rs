//! A PostgreSQL server that is killed and started again under load.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use gantry::suite::NAMES;
use gantry_contract::{GantryReason, Reason as _};
use gantry_proto::shop::order::v1::OrderStatus;
use gantry_sql_testing::Server;
use tokio::task::JoinSet;
use tonic::{Code, Status};

use super::Replicas;
use crate::{
    kills::buy,
    load::{eventually, until},
    shop::{Shop, bearer, id, new_product},
};

/// Attempts and breakers try again soon after the outage.
const SETTINGS: [(&str, &str); 7] = [
    ("GANTRY_ORDER__SAGA__ATTEMPT_TIMEOUT", "1s"),
    ("GANTRY_ORDER__SAGA__RETRY_MAX", "500ms"),
    // No step is given up during the outage.
    ("GANTRY_ORDER__SAGA__STEP_DEADLINE", "5m"),
    ("GANTRY_ORDER__CLIENTS__USER__BREAKER__OPEN", "500ms"),
    ("GANTRY_ORDER__CLIENTS__USER__BREAKER__OPEN_MAX", "1s"),
    ("GANTRY_ORDER__CLIENTS__INVENTORY__BREAKER__OPEN", "500ms"),
    ("GANTRY_ORDER__CLIENTS__INVENTORY__BREAKER__OPEN_MAX", "1s"),
];

/// Returns true for a status of a call during the outage: UNAVAILABLE, since the storage is away or was
/// lost during a commit, a service that the order service calls says so, or the breaker of the caller's
/// channel is open. The same request is safe to repeat.
fn is_away(status: &Status) -> bool {
    let reasons = [
        GantryReason::StorageUnavailable,
        GantryReason::OutcomeUnknown,
        GantryReason::NoEndpoint,
        GantryReason::CircuitOpen,
    ];
    status.code() == Code::Unavailable && reasons.iter().any(|reason| reason.is_given_by(status))
}

/// Replicas of each service.
const REPLICAS: usize = 2;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_database_loses_no_write_and_repeats_none() {
    const STOCK: i32 = 10_000;
    const SHOPPERS: usize = 6;
    let server = Server::start();
    let mut replicas = Replicas::start(&server, &[NAMES; REPLICAS].concat(), &SETTINGS).await;
    let (shop, first) = (replicas.shop.clone(), replicas.through(0));
    let sku = shop.product(STOCK).await.sku;

    let (stop, bought) = (Arc::<AtomicBool>::default(), Arc::<Mutex<BTreeSet<_>>>::default());
    let mut shoppers = JoinSet::new();
    for _ in 0..SHOPPERS {
        let (shop, sku) = (shop.clone(), sku.clone());
        let (stop, bought) = (Arc::clone(&stop), Arc::clone(&bought));
        shoppers.spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                let order = buy(&shop, &sku, is_away).await;
                assert!(bought.lock().unwrap().insert(order));
            }
        });
    }
    pass(&bought).await;
    server.kill();
    is_unavailable(&first).await;
    until_ready(&mut replicas, false).await;
    server.start_again();
    until_ready(&mut replicas, true).await;
    pass(&bought).await;
    stop.store(true, Ordering::Relaxed);
    while let Some(shopper) = shoppers.join_next().await {
        shopper.unwrap_or_else(|error| panic!("{error}\n{}", replicas.cluster.logs()));
    }

    let orders = bought.lock().unwrap().clone();
    for order in &orders {
        until("the order is confirmed", async || {
            shop.order(order).await.status() == OrderStatus::Confirmed
        })
        .await;
    }
    // Each was sold once, and nothing is left reserved.
    let sold = i32::try_from(orders.len()).unwrap();
    assert_eq!(shop.stock(&sku).await, (STOCK - sold, 0));
    // No repeated request made a second user or order; one user is the administrator.
    for (service, count, others) in
        [("order", "SELECT count(*) FROM orders", 0), ("user", "SELECT count(*) FROM users", 1)]
    {
        let mut database = replicas.connect(&server, service).await;
        let rows: i64 = sqlx::query_scalar(count).fetch_one(&mut database).await.unwrap();
        assert_eq!(rows, i64::from(sold) + others, "{count}");
    }
}

/// Waits until more orders are placed.
async fn pass(bought: &Mutex<BTreeSet<String>>) {
    let placed = || bought.lock().unwrap().len();
    let until = placed() + 8;
    eventually("orders go through", || placed() >= until).await;
}

/// Panics unless a read and a write of a replica fail since the storage is away.
async fn is_unavailable(shop: &Shop) {
    let write = bearer(new_product(&id(), 1), &shop.admin);
    let write = shop.inventory.clone().create_product(write).await.unwrap_err();
    let read = bearer(Default::default(), &shop.admin);
    let read = shop.inventory.clone().list_products(read).await.unwrap_err();
    for status in [write, read] {
        assert_eq!(status.code(), Code::Unavailable, "{status:?}");
        assert!(GantryReason::StorageUnavailable.is_given_by(&status), "{status:?}");
    }
}

/// Waits until every replica is ready, or until none is.
async fn until_ready(replicas: &mut Replicas, ready: bool) {
    for (service, replica) in NAMES.iter().flat_map(|name| (0..REPLICAS).map(move |r| (*name, r))) {
        until("readiness follows the database", async || {
            let (head, body) = replicas.readiness(service, replica);
            if ready {
                head.contains("200")
            } else {
                head.contains("503") && body.contains("database")
            }
        })
        .await;
    }
}
