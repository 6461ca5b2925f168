//! Many callers of three inventory replicas, and one product.

use std::sync::{
    Arc,
    atomic::{AtomicI32, Ordering},
};

use gantry_contract::{GantryReason, Reason as _};
use gantry_identity::{Acting, ServiceSigner, SigningKey};
use gantry_proto::shop::inventory::v1::{
    CommitReservationRequest, ReleaseReservationRequest, ReservationItem, ReserveStockRequest,
};
use gantry_sql_testing::Server;
use sqlx::PgConnection;
use tokio::task::JoinSet;
use tonic::{Code, Status};

use super::Replicas;
use crate::{
    kills::insist,
    load::connected,
    shop::{bearer, id},
};

/// Callers at the same time.
const CALLERS: usize = 64;
/// Reservations of each caller.
const TURNS: i32 = 4;
const STOCK: i32 = 1_000;

/// Quantities of a product: available, reserved and sold.
type Books = (i64, i64, i64);

/// Returns true for a call that the deadline of its method ended, or that the breaker of the channel
/// rejected after such calls: all callers wait for one row, on a machine of any speed. The same request
/// is safe to repeat. Any other status is a failure.
fn is_late(status: &Status) -> bool {
    status.code() == Code::DeadlineExceeded || GantryReason::CircuitOpen.is_given_by(status)
}

pub(super) async fn a_hot_product_is_sold_without_a_failure(
    replicas: &mut Replicas,
    server: &Server,
) {
    connected(&replicas.shop.inventory_channel, 3).await;
    let sku = replicas.shop.product(STOCK).await.sku;
    let key = SigningKey::load(&replicas.key("order")).unwrap();
    let signer = Arc::new(ServiceSigner::new("order", key));
    let sold = Arc::<AtomicI32>::default();
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let (inventory, sku) = (replicas.shop.inventory.clone(), sku.clone());
        let (signer, sold) = (Arc::clone(&signer), Arc::clone(&sold));
        callers.spawn(async move {
            let token = || signer.token("inventory", Acting::Itself { cause: None });
            for turn in 0..TURNS {
                let reservation_id = id();
                let request = ReserveStockRequest {
                    reservation_id: reservation_id.clone(),
                    items: vec![ReservationItem { sku: sku.clone(), quantity: 1 }],
                    request_id: id(),
                };
                insist(is_late, || {
                    let (mut inventory, request) = (inventory.clone(), request.clone());
                    let request = bearer(request, &token());
                    async move { inventory.reserve_stock(request).await }
                })
                .await;
                if turn % 2 == 0 {
                    let request = CommitReservationRequest { reservation_id, request_id: id() };
                    insist(is_late, || {
                        let (mut inventory, request) = (inventory.clone(), request.clone());
                        let request = bearer(request, &token());
                        async move { inventory.commit_reservation(request).await }
                    })
                    .await;
                    sold.fetch_add(1, Ordering::Relaxed);
                } else {
                    let request = ReleaseReservationRequest { reservation_id, request_id: id() };
                    insist(is_late, || {
                        let (mut inventory, request) = (inventory.clone(), request.clone());
                        let request = bearer(request, &token());
                        async move { inventory.release_reservation(request).await }
                    })
                    .await;
                }
            }
        });
    }
    let mut database = replicas.connect(server, "inventory").await;
    while let Some(caller) = callers.join_next().await {
        caller.unwrap_or_else(|error| panic!("{error}\n{}", replicas.cluster.log("inventory")));
        let (available, reserved, sold) = books(&mut database, &sku).await;
        assert!(available >= 0 && reserved >= 0 && sold >= 0);
        assert_eq!(available + reserved + sold, i64::from(STOCK));
    }
    let sold = i64::from(sold.load(Ordering::Relaxed));
    assert_eq!(books(&mut database, &sku).await, (i64::from(STOCK) - sold, 0, sold));
}

/// Returns the books of a product.
async fn books(database: &mut PgConnection, sku: &str) -> Books {
    sqlx::query_as("SELECT available, reserved, sold FROM products WHERE sku = $1")
        .bind(sku)
        .fetch_one(database)
        .await
        .unwrap()
}
