//! Headers and long calls: memory that peers can make the greeter hold.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use tokio::time::{sleep, timeout};

use crate::{
    TEST_TIMEOUT,
    floods::{Flooded, REFLECTION, odd, resident, watch},
    frames::{
        DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, GOAWAY, HEADERS, Peer, call, error_code,
        frame, literal,
    },
};

/// Returns a call with `count` additional headers of one byte each. The first one enters the
/// dynamic table, and the others refer to it.
fn call_with_headers(path: &str, count: usize) -> Vec<u8> {
    let mut block = call(path);
    block.extend(literal(b"a", b"b", true));
    block.extend([0x80 | 62].repeat(count - 1));
    block
}

/// Makes calls with these headers and no message on `connections` connections.
async fn call_with(address: SocketAddr, connections: usize, block: &[u8]) -> Vec<Peer> {
    timeout(
        TEST_TIMEOUT,
        join_all((0..connections).map(|_| async {
            let mut peer = Peer::connect(address).await;
            for n in 0..100 {
                if !peer.send(&frame(HEADERS, END_HEADERS, odd(n), block)).await {
                    break;
                }
            }
            peer
        })),
    )
    .await
    .unwrap()
}

#[tokio::test]
async fn hundreds_of_headers_are_not_kept() {
    for path in [REFLECTION, "/grpc.health.v1.Health/Watch", "/greeter.v1.GreeterService/SayHello"]
    {
        for count in [480, 90] {
            let flooded = Flooded::start().await;
            let block = call_with_headers(path, count);
            let peers = call_with(flooded.address, 40, &block).await;
            sleep(Duration::from_millis(500)).await;
            flooded.survived().await;
            drop(peers);
        }
    }
}

#[tokio::test]
async fn calls_refused_for_their_headers_end_their_connection() {
    let flooded = Flooded::start().await;
    let block = call_with_headers(REFLECTION, 480);
    let mut peer = Peer::connect(flooded.address).await;
    let mut refused = 0;
    // One after the other: unread calls would reset the connection and lose the GOAWAY.
    let flood = async {
        loop {
            peer.send(&frame(HEADERS, END_HEADERS | END_STREAM, odd(refused), &block)).await;
            loop {
                match peer.next().await? {
                    (HEADERS, _) => break,
                    (GOAWAY, payload) => return Some(payload),
                    _ => {}
                }
            }
            refused += 1;
        }
    };
    let goaway = timeout(TEST_TIMEOUT, flood).await.expect("an end").expect("a GOAWAY");
    assert_eq!(error_code(&goaway), ENHANCE_YOUR_CALM);
    assert_eq!(&goaway[8..], b"too_many_large_headers");
    assert!(refused >= 100, "{refused}");
    flooded.survived().await;
}

#[tokio::test]
async fn memory_is_freed_after_a_flood_of_headers() {
    let flooded = Flooded::start().await;
    for _ in 0..5 {
        let block = call_with_headers("/grpc.health.v1.Health/Watch", 90);
        drop(call_with(flooded.address, 40, &block).await);
    }
    let grown = || resident(&flooded.process).saturating_sub(flooded.before);
    let waited = Instant::now();
    while grown() > 24 {
        assert!(waited.elapsed() < TEST_TIMEOUT, "the memory grew by {} MiB", grown());
        sleep(Duration::from_millis(100)).await;
    }
    flooded.survived().await;
}

#[tokio::test]
async fn a_flood_of_watches_does_not_silence_the_probes() {
    let flooded = Flooded::start().await;
    let mut watching = Vec::new();
    for _ in 0..120 {
        let mut peer = Peer::connect(flooded.address).await;
        for n in 0..20 {
            assert!(peer.send(&watch(odd(n))).await);
        }
        watching.push(peer);
    }
    let mut probe = Peer::connect(flooded.address).await;
    let mut check = frame(HEADERS, END_HEADERS, 1, &call("/grpc.health.v1.Health/Check"));
    check.extend(frame(DATA, END_STREAM, 1, &[0; 5]));
    probe.send(&check).await;
    // A refusal has no message.
    let answered = async { while probe.next().await.expect("it is answered").0 != DATA {} };
    timeout(TEST_TIMEOUT, answered).await.unwrap();
    flooded.survived().await;
    drop(watching);
}
