//! Foreign peers, frame by frame.

use std::time::Duration;

use bytes::Bytes;
use gantry_probe::probe::v1::{ActRequest, AddRequest, AddResponse};
use h2::client::SendRequest;
use http::HeaderMap;
use prost::Message;
use tokio::{
    net::TcpStream,
    time::{sleep, timeout},
};

use crate::{
    raw::{framed, request},
    world::{TEST_TIMEOUT, World},
};

const ACT: &str = "/probe.v1.ProbeService/Act";
const ADD: &str = "/probe.v1.ProbeService/Add";

/// Opens a connection driven by a stock HTTP/2 client.
async fn connect(world: &World) -> SendRequest<Bytes> {
    let stream = TcpStream::connect(world.address).await.unwrap();
    let (sender, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    sender
}

/// Calls with a message in these parts, one DATA frame each, and returns the trailers.
async fn call_in_parts(peer: &SendRequest<Bytes>, parts: &[Bytes]) -> HeaderMap {
    let called = async {
        let mut sender = peer.clone().ready().await.unwrap();
        let head = request(ACT, Bytes::new()).map(drop);
        let (answer, mut body) = sender.send_request(head, false).unwrap();
        let (last, parts) = parts.split_last().unwrap();
        for part in parts {
            body.send_data(part.clone(), false).unwrap();
        }
        body.send_data(last.clone(), true).unwrap();
        let mut answer = answer.await.unwrap().into_body();
        while let Some(data) = answer.data().await {
            data.unwrap();
        }
        answer.trailers().await.unwrap().unwrap()
    };
    timeout(TEST_TIMEOUT, called).await.expect("the call is answered")
}

#[tokio::test]
async fn a_peer_that_ends_requests_like_jetty_stays_connected() {
    let world = World::start().await;
    let peer = connect(&world).await;
    let (message, empty) = (framed(&ActRequest::default()), Bytes::new());
    let parts = [empty.clone(), message, empty.clone(), empty];
    for _ in 0..300 {
        assert_eq!(call_in_parts(&peer, &parts).await["grpc-status"], "0");
    }
}

/// Sends a stream of numbers and returns their sum. The handler pauses at the first number.
async fn add(peer: &SendRequest<Bytes>, count: usize, at_once: usize) -> u32 {
    let mut sender = peer.clone().ready().await.unwrap();
    let head = request(ADD, Bytes::new()).map(drop);
    let (answer, mut body) = sender.send_request(head, false).unwrap();
    let pause = AddRequest { number: 0, nap_ms: 2000, ballast: Vec::new() };
    body.send_data(framed(&pause), false).unwrap();
    let number = framed(&AddRequest { number: 1, ..AddRequest::default() });
    assert_eq!(number.len(), 7);
    for sent in 0..count {
        body.send_data(number.clone(), false).unwrap();
        if sent % at_once == 0 {
            sleep(Duration::from_millis(1)).await;
        }
    }
    body.send_data(Bytes::new(), true).unwrap();
    let mut body = answer.await.unwrap().into_body();
    let message = body.data().await.unwrap().unwrap();
    assert_eq!(body.trailers().await.unwrap().unwrap()["grpc-status"], "0");
    AddResponse::decode(&message[5..]).unwrap().sum
}

#[tokio::test]
async fn small_messages_within_the_window_fail_no_call() {
    let world = World::start().await;
    let peer = connect(&world).await;
    let message = framed(&ActRequest { nap_ms: 2500, ..ActRequest::default() });
    let neighbour = tokio::spawn({
        let peer = peer.clone();
        async move { call_in_parts(&peer, &[message]).await }
    });
    // One stream sends all at once, the other a few at a time. The handler takes a millisecond for
    // each message.
    let added = async { tokio::join!(add(&peer, 5_000, 10_000), add(&peer, 6_000, 100)) };
    assert_eq!(timeout(TEST_TIMEOUT, added).await.unwrap(), (5_000, 6_000));
    assert_eq!(neighbour.await.unwrap()["grpc-status"], "0");
}
