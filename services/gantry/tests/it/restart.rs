//! Durability of the data across restarts and kills.

use gantry_proto::shop::order::v1::OrderStatus;

use crate::{process::Suite, shop::Shop};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_keeps_users_products_and_orders() {
    let mut suite = Suite::start(&[]);
    let shop = Shop::open(&suite).await;
    let (user, order) = shop.one_confirmed_order().await;
    let sku = order.items[0].sku.clone();
    let stock = shop.stock(&sku).await;
    drop(shop);

    assert!(suite.terminate().success(), "{}", suite.process.log());
    let suite = suite.start_again();

    let shop = Shop::open(&suite).await;
    assert_eq!(shop.user(&user.id).await, user);
    assert_eq!(shop.order(&order.id).await, order);
    assert_eq!(shop.stock(&sku).await, stock);
    assert_eq!(order.status(), OrderStatus::Confirmed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_writes_outlive_a_kill() {
    let mut suite = Suite::start(&[]);
    let shop = Shop::open(&suite).await;
    let (user, order) = shop.one_confirmed_order().await;
    drop(shop);

    suite.process.kill();
    let suite = suite.start_again();

    let shop = Shop::open(&suite).await;
    assert_eq!(shop.user(&user.id).await, user);
    assert_eq!(shop.order(&order.id).await, order);
}

#[test]
fn a_database_stays_at_its_configured_path() {
    let folder = tempfile::tempdir().unwrap();
    let (config, database) = (folder.path().join("gantry.toml"), folder.path().join("own/user.db"));
    std::fs::write(&config, format!("[user.database.sqlite]\npath = {database:?}\n")).unwrap();
    let mut suite = Suite::start(&["--config", config.to_str().unwrap()]);
    assert!(database.exists() && suite.data().join("order.db").exists());
    assert!(!suite.data().join("user.db").exists());
    assert!(suite.terminate().success());
}
