//! Requests to different replicas: reads, repetitions and repetitions at the same moment.

use std::time::Duration;

use gantry::suite::NAMES;
use gantry_proto::shop::order::v1::{CreateOrderRequest, OrderStatus, PlaceOrderRequest};
use gantry_sql_testing::Server;
use tonic::Code;
use tonic_types::StatusExt;

use super::{Replicas, books};
use crate::shop::{Shop, bearer, id, new_order, new_product, new_user};

/// The deadlines of calls end every wait: for a connection, and for a row that another caller has locked.
const SETTINGS: [(&str, &str); 2] = [
    ("GANTRY_INVENTORY__DATABASE__POSTGRES__ACQUIRE_TIMEOUT", "1m"),
    ("GANTRY_INVENTORY__DATABASE__POSTGRES__LOCK_TIMEOUT", "1m"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_on_one_database_answer_alike() {
    let server = Server::shared();
    let mut replicas = Replicas::start(server, &[NAMES; 3].concat(), &SETTINGS).await;
    let shops = [replicas.through(0), replicas.through(1), replicas.through(2)];
    an_order_is_read_through_every_replica(&shops).await;
    a_repetition_through_another_replica_changes_nothing(&shops).await;
    repetitions_at_the_same_moment_get_one_answer(&shops).await;
    books::a_hot_product_is_sold_without_a_failure(&mut replicas, server).await;
}

async fn an_order_is_read_through_every_replica(shops: &[Shop; 3]) {
    let [first, second, third] = shops;
    let customer = first.customer().await;
    let product = second.product(10).await;
    let draft = third.draft(&customer, &[(&product.sku, 3)]).await.unwrap();
    assert_eq!(first.order(&draft.id).await, draft);
    let placed = second.place(&customer, &draft).await.unwrap();
    assert_eq!(placed.status(), OrderStatus::Confirmed);
    for shop in shops {
        assert_eq!(shop.order(&draft.id).await, placed);
        assert_eq!(shop.user(&customer.user.id).await, customer.user);
        assert_eq!(shop.stock(&product.sku).await, (7, 0));
    }
}

async fn a_repetition_through_another_replica_changes_nothing(shops: &[Shop; 3]) {
    let [first, second, third] = shops;
    let user = new_user(&format!("{}@example.com", id()));
    let create = |shop: &Shop| {
        let (mut users, request) = (shop.users.clone(), bearer(user.clone(), &shop.admin));
        async move { users.create_user(request).await.unwrap().into_inner() }
    };
    let created = create(first).await;
    assert_eq!(create(second).await, created);

    let product = new_product(&id(), 5);
    let create = |shop: &Shop| {
        let (mut stock, request) = (shop.inventory.clone(), bearer(product.clone(), &shop.admin));
        async move { stock.create_product(request).await.unwrap().into_inner() }
    };
    let product = create(second).await;
    assert_eq!(create(third).await, product);

    let request = new_order(&created.id, &[(&product.sku, 1)]);
    let create = |shop: &Shop, request: &CreateOrderRequest| {
        let (mut orders, request) = (shop.orders.clone(), bearer(request.clone(), &shop.admin));
        async move { Ok::<_, tonic::Status>(orders.create_order(request).await?.into_inner()) }
    };
    let draft = create(third, &request).await.unwrap();
    assert_eq!(create(first, &request).await.unwrap(), draft);

    // Another request under the same id.
    let other = new_order(&created.id, &[(&product.sku, 2)]);
    let other = CreateOrderRequest { request_id: request.request_id.clone(), ..other };
    let refused = create(second, &other).await.unwrap_err();
    assert_eq!(refused.code(), Code::AlreadyExists, "{refused:?}");
    assert_eq!(refused.get_details_error_info().unwrap().reason, "REQUEST_ID_REUSED");
}

async fn repetitions_at_the_same_moment_get_one_answer(shops: &[Shop; 3]) {
    let [first, second, third] = shops;
    let customer = first.customer().await;
    let product = first.product(100).await;
    for _ in 0..8 {
        let request = new_order(&customer.user.id, &[(&product.sku, 1)]);
        let create = |shop: &Shop| {
            let request = bearer(request.clone(), &customer.token);
            let mut orders = shop.orders.clone();
            async move { orders.create_order(request).await.unwrap().into_inner() }
        };
        let (a, b, c) = tokio::join!(create(first), create(second), create(third));
        assert!(a == b && b == c, "{a:?}\n{b:?}\n{c:?}");

        let request = PlaceOrderRequest {
            id: a.id.clone(),
            request_id: id(),
            wait: Some(Duration::from_secs(25).try_into().unwrap()),
            ..PlaceOrderRequest::default()
        };
        let place = |shop: &Shop| {
            let request = bearer(request.clone(), &customer.token);
            let mut orders = shop.orders.clone();
            async move { orders.place_order(request).await.unwrap().into_inner() }
        };
        let (a, b, c) = tokio::join!(place(first), place(second), place(third));
        assert_eq!(a.status(), OrderStatus::Confirmed);
        assert!(a == b && b == c, "{a:?}\n{b:?}\n{c:?}");
    }
    assert_eq!(second.stock(&product.sku).await, (92, 0));
}
