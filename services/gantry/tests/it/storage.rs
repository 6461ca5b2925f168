//! A running suite whose data is removed.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use gantry_contract::{GantryReason, Reason as _};
use tonic::Code;

use crate::{
    process::{HANG_GUARD, Suite},
    shop::Shop,
};

/// Returns the status line and the body of `/readyz`.
fn readiness(suite: &Suite) -> (String, String) {
    let address = suite.ready()["admin"].as_str().unwrap().to_owned();
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.lines().next().unwrap().to_owned(), body.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_database_is_not_ready_and_takes_no_write() {
    let suite = Suite::start(&[]);
    let shop = Shop::open(&suite).await;
    let (customer, product) = (shop.customer().await, shop.product(5).await);
    shop.draft(&customer, &[(&product.sku, 1)]).await.unwrap();
    assert!(readiness(&suite).0.contains("200"));

    for file in ["order.db", "order.db-wal", "order.db-shm"] {
        fs::remove_file(suite.data().join(file)).unwrap();
    }
    let started = Instant::now();
    let (head, body) = loop {
        let (head, body) = readiness(&suite);
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
