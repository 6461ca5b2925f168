//! Sagas of a replica that is killed.

use gantry_proto::shop::order::v1::{OrderStatus, PlaceOrderRequest};
use gantry_sql_testing::Server;
use sqlx::PgConnection;

use super::Replicas;
use crate::{
    load::until,
    shop::{bearer, id},
};

/// Attempts end soon, so that the lease of a killed replica does: its length follows from these.
const SETTINGS: [(&str, &str); 5] = [
    ("GANTRY_ORDER__SAGA__ATTEMPT_TIMEOUT", "500ms"),
    ("GANTRY_ORDER__SAGA__RETRY_MAX", "500ms"),
    // The step is not given up while its service is away.
    ("GANTRY_ORDER__SAGA__STEP_DEADLINE", "5m"),
    ("GANTRY_ORDER__CLIENTS__INVENTORY__BREAKER__OPEN", "500ms"),
    ("GANTRY_ORDER__CLIENTS__INVENTORY__BREAKER__OPEN_MAX", "1s"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_replicas_saga_is_finished_by_another() {
    let server = Server::shared();
    let services = ["user", "inventory", "order", "order"];
    let mut replicas = Replicas::start(server, &services, &SETTINGS).await;
    let mut database = replicas.connect(server, "order").await;
    let [first, second] = [replicas.through(0), replicas.through(1)];
    let (customer, product) = (first.customer().await, first.product(10).await);
    let order = first.draft(&customer, &[(&product.sku, 3)]).await.unwrap();

    // The saga begins at the first replica, because the second one is away, and waits for the inventory.
    replicas.cluster.kill("order", 1);
    replicas.cluster.kill("inventory", 0);
    let request = PlaceOrderRequest {
        id: order.id.clone(),
        request_id: id(),
        ..PlaceOrderRequest::default()
    };
    let placed = first.orders.clone().place_order(bearer(request, &customer.token)).await;
    assert_eq!(placed.unwrap().into_inner().status(), OrderStatus::Placed);
    until("the saga is driven", async || epoch(&mut database).await == 1).await;

    replicas.cluster.start_again("order", 1);
    replicas.cluster.kill("order", 0);
    replicas.cluster.start_again("inventory", 0);
    until("the order is confirmed", async || {
        second.order(&order.id).await.status() == OrderStatus::Confirmed
    })
    .await;
    // The second replica claimed it once, after the lease of the first one.
    assert_eq!(epoch(&mut database).await, 2);
    assert_eq!(second.stock(&product.sku).await, (7, 0));
}

/// Returns how often the one saga was claimed.
async fn epoch(database: &mut PgConnection) -> i64 {
    sqlx::query_scalar("SELECT epoch FROM sagas").fetch_one(database).await.unwrap()
}
