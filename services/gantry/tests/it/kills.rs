//! Services as processes of their own on a real Consul agent, killed and restarted.

use std::{
    collections::BTreeSet,
    future::Future,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use gantry_consul_agent::Agent;
use gantry_proto::shop::{
    inventory::v1::ListProductsRequest,
    order::v1::{OrderStatus, PlaceOrderRequest},
};
use tokio::{task::JoinSet, time::sleep};
use tonic::{Code, Status};

use crate::{
    cluster::{Cluster, Through},
    load::{Load, connected, eventually},
    process::HANG_GUARD,
    shop::{Shop, bearer, id, new_order, new_user},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_whose_replicas_are_killed_in_turn_answers() {
    let mut agent = Agent::start().await;
    let services = ["inventory", "inventory", "inventory", "user"];
    let mut cluster = Cluster::find_through(Through::Consul(&agent), &services, &[]);
    let shop = cluster.shop().await;
    let channel = shop.inventory_channel.clone();
    connected(&channel, 3).await;
    let load = Load::start(8, move || {
        let mut inventory = shop.inventory.clone();
        let request = bearer(ListProductsRequest::default(), &shop.admin);
        async move { inventory.list_products(request).await.map(drop) }
    });
    for replica in 0..3 {
        load.pass(100).await;
        cluster.kill("inventory", replica);
        load.pass(100).await;
        if replica == 1 {
            agent.kill();
            load.pass(100).await;
            agent.restart().await;
        }
        cluster.start_again("inventory", replica);
        connected(&channel, 3).await;
    }
    load.pass(100).await;
    load.stop().await.expect_no_failure(|| cluster.logs());
}

/// Returns true for a status of a call to a service that is killed.
fn is_gone(status: &Status) -> bool {
    matches!(status.code(), Code::Unavailable | Code::DeadlineExceeded)
}

/// Repeats a step with the same request until it gets a response. Panics at a status that is not
/// `expected`.
pub async fn insist<T, A>(expected: fn(&Status) -> bool, step: impl Fn() -> A) -> T
where
    A: Future<Output = Result<T, Status>>,
{
    let started = Instant::now();
    loop {
        match step().await {
            Ok(answer) => return answer,
            Err(status) => {
                assert!(expected(&status) && started.elapsed() < HANG_GUARD, "{status:?}");
                sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// Creates a user who drafts and places an order, and repeats each call that ends with an `expected`
/// status. Returns the id of the order.
pub async fn buy(shop: &Shop, sku: &str, expected: fn(&Status) -> bool) -> String {
    let user = new_user(&format!("{}@example.com", id()));
    let (email, password) = (user.email.clone(), user.password.clone());
    let user = insist(expected, || {
        let (mut users, request) = (shop.users.clone(), bearer(user.clone(), &shop.admin));
        async move { users.create_user(request).await }
    });
    let user = user.await.into_inner();
    let token = insist(expected, || shop.log_in(&email, &password)).await;
    let draft = new_order(&user.id, &[(sku, 1)]);
    let order = insist(expected, || {
        let (mut orders, request) = (shop.orders.clone(), bearer(draft.clone(), &token));
        async move { orders.create_order(request).await }
    });
    let order = order.await.into_inner();
    place(shop, order.id.clone(), &token, expected).await;
    order.id
}

/// Places an order, and repeats the call until it gets a response.
async fn place(shop: &Shop, id: String, token: &str, expected: fn(&Status) -> bool) {
    let request = PlaceOrderRequest { id, request_id: self::id(), ..PlaceOrderRequest::default() };
    let placed = insist(expected, || {
        let (mut orders, request) = (shop.orders.clone(), bearer(request.clone(), token));
        async move { orders.place_order(request).await }
    });
    let placed = placed.await.into_inner();
    // If the wait ends first, the response is PLACED and the order goes on.
    assert!(matches!(placed.status(), OrderStatus::Placed | OrderStatus::Confirmed), "{placed:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_order_is_finished_whichever_process_is_killed() {
    /// Services to kill, in this order.
    const KILLED: [&str; 6] = ["inventory", "user", "order", "inventory", "order", "user"];
    const STOCK: i32 = 10_000;
    let began = Instant::now();
    let agent = Agent::start().await;
    // No other replica can answer for a killed one: retry soon.
    let impatient = [
        ("GANTRY_ORDER__CLIENTS__USER__BREAKER__OPEN", "500ms"),
        ("GANTRY_ORDER__CLIENTS__USER__BREAKER__OPEN_MAX", "1s"),
        ("GANTRY_ORDER__CLIENTS__INVENTORY__BREAKER__OPEN", "500ms"),
        ("GANTRY_ORDER__CLIENTS__INVENTORY__BREAKER__OPEN_MAX", "1s"),
    ];
    let services = ["user", "inventory", "order"];
    let mut cluster = Cluster::find_through(Through::Consul(&agent), &services, &impatient);
    let shop = cluster.shop().await;
    let product = shop.product(STOCK).await;

    // Killed in the middle of a saga: it waits for the inventory service, and then is killed itself.
    let customer = shop.customer().await;
    let order = shop.draft(&customer, &[(&product.sku, 1)]).await.unwrap();
    cluster.kill("inventory", 0);
    let placing = {
        let (shop, id) = (shop.clone(), order.id.clone());
        tokio::spawn(async move { place(&shop, id, &customer.token, is_gone).await })
    };
    while shop.order(&order.id).await.status() != OrderStatus::Placed {
        sleep(Duration::from_millis(10)).await;
    }
    cluster.kill("order", 0);
    cluster.start_again("inventory", 0);
    cluster.start_again("order", 0);
    placing.await.unwrap();

    let (stop, bought) = (Arc::<AtomicBool>::default(), Arc::<Mutex<BTreeSet<_>>>::default());
    let begun = Arc::<AtomicUsize>::default();
    let mut shoppers = JoinSet::new();
    for _ in 0..8 {
        let (shop, sku) = (shop.clone(), product.sku.clone());
        let (stop, bought, begun) = (Arc::clone(&stop), Arc::clone(&bought), Arc::clone(&begun));
        shoppers.spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                begun.fetch_add(1, Ordering::Relaxed);
                let order = buy(&shop, &sku, is_gone).await;
                assert!(bought.lock().unwrap().insert(order));
            }
        });
    }
    let sold = || bought.lock().unwrap().len();
    for service in KILLED {
        let before = sold();
        eventually("orders go through", || sold() >= before + 8).await;
        cluster.kill(service, 0);
        sleep(Duration::from_millis(300)).await;
        cluster.start_again(service, 0);
    }
    let before = sold();
    eventually("orders go through", || sold() >= before + 8).await;
    stop.store(true, Ordering::Relaxed);
    while let Some(shopper) = shoppers.join_next().await {
        shopper.unwrap();
    }

    let mut orders = bought.lock().unwrap().clone();
    assert_eq!(orders.len(), begun.load(Ordering::Relaxed));
    assert!(orders.insert(order.id));
    let started = Instant::now();
    for order in &orders {
        while shop.order(order).await.status() != OrderStatus::Confirmed {
            assert!(started.elapsed() < HANG_GUARD, "{order} is unfinished\n{}", cluster.logs());
            sleep(Duration::from_millis(20)).await;
        }
    }
    // Each was sold once, and nothing is left reserved.
    let sold = i32::try_from(orders.len()).unwrap();
    assert_eq!(shop.stock(&product.sku).await, (STOCK - sold, 0));
    // The client logs each lost service and each open breaker once, independent of the number of calls. The
    // service logs the result of each call with its request id.
    let log = cluster.log("order");
    let said = |what: &str| {
        let lines = log.lines().filter(|line| line.contains("WARN gantry_client"));
        lines.filter(|line| line.contains(what)).count()
    };
    let gone = said("endpoint cannot be connected");
    assert!((2..=KILLED.len() + 2).contains(&gone), "{gone}: {log}");
    let opened = said("circuit breaker opened");
    let most = began.elapsed().as_secs() as usize * 2;
    assert!(opened <= most, "{opened}: {log}");
    let told = gone + opened + said("endpoint ejected") + said("no endpoint is connected");
    assert_eq!(said(""), told, "{log}");
}
