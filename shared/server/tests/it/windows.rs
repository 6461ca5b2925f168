//! Peers that call and read the response slowly or not at all.

use std::time::Duration;

use bytes::Bytes;
use gantry_probe::probe::v1::{ActRequest, CountRequest};
use h2::{Reason, RecvStream, client::SendRequest};
use http::Request;
use prost::Message;
use tokio::{
    net::{TcpSocket, TcpStream},
    time::{Instant, sleep, timeout},
};

use crate::{
    raw::framed,
    world::{TEST_TIMEOUT, World, eventually, lenient},
};

const ACT: &str = "/probe.v1.ProbeService/Act";
const COUNT: &str = "/probe.v1.ProbeService/Count";

const FOREVER: CountRequest = CountRequest { to: 0, pause_ms: 0, panic_at: 0 };

/// Opens a connection with this initial window per response.
async fn peer(world: &World, window: u32) -> SendRequest<Bytes> {
    let stream = TcpStream::connect(world.address).await.unwrap();
    let (sender, connection) = h2::client::Builder::new()
        .initial_window_size(window)
        .initial_connection_window_size(1 << 30)
        .handshake(stream)
        .await
        .unwrap();
    tokio::spawn(connection);
    sender
}

async fn call(
    peer: &SendRequest<Bytes>,
    path: &str,
    message: &impl Message,
    grpc_timeout: Option<&str>,
) -> RecvStream {
    let mut request = Request::post(format!("http://probe{path}"))
        .header("content-type", "application/grpc")
        // The response repeats the id, which makes it longer.
        .header("x-request-id", "x".repeat(128))
        .header("te", "trailers");
    if let Some(timeout) = grpc_timeout {
        request = request.header("grpc-timeout", timeout);
    }
    let mut sender = peer.clone().ready().await.unwrap();
    let (answer, mut body) = sender.send_request(request.body(()).unwrap(), false).unwrap();
    body.send_data(framed(message), true).unwrap();
    timeout(TEST_TIMEOUT, answer).await.expect("the head needs no window").unwrap().into_body()
}

/// Returns the end of a response whose window is never reopened: a status or a reset.
async fn end(answer: &mut RecvStream) -> Result<String, Reason> {
    let ended = async {
        while let Some(data) = answer.data().await {
            data.map_err(|error| error.reason().unwrap())?;
        }
        let trailers = answer.trailers().await.unwrap().unwrap();
        Ok(trailers["grpc-status"].to_str().unwrap().to_owned())
    };
    timeout(TEST_TIMEOUT, ended).await.expect("an unread response is ended")
}

async fn with_send_timeout(send_timeout: Duration) -> World {
    let mut settings = lenient();
    settings.connections.send_timeout = send_timeout;
    World::with(|builder| builder.settings(settings)).await
}

const DEADLINE_EXCEEDED: &str = "4";
const UNAVAILABLE: &str = "14";

#[tokio::test]
async fn an_unread_response_ends_at_the_deadline() {
    let world = World::start().await;
    let shut = peer(&world, 0).await;
    let started = Instant::now();
    let mut answer = call(&shut, ACT, &ActRequest::default(), Some("1S")).await;
    assert_eq!(end(&mut answer).await, Ok(DEADLINE_EXCEEDED.to_owned()));
    assert!(started.elapsed() >= Duration::from_secs(1), "{:?}", started.elapsed());
    // A partly read message is truncated, so no status can follow it.
    let ajar = peer(&world, 1).await;
    let mut answer = call(&ajar, ACT, &ActRequest::default(), Some("1S")).await;
    assert_eq!(end(&mut answer).await, Err(Reason::CANCEL));
    let mut answer = call(&shut, COUNT, &FOREVER, Some("1S")).await;
    assert_eq!(end(&mut answer).await, Ok(DEADLINE_EXCEEDED.to_owned()));
    eventually("the stream is dropped", || world.seen.dropped() == 1).await;
}

#[tokio::test]
async fn an_unread_stream_is_reset_after_the_send_timeout() {
    let world = with_send_timeout(Duration::from_millis(300)).await;
    let peer = peer(&world, 10_000).await;
    let started = Instant::now();
    let mut numbers = call(&peer, COUNT, &FOREVER, None).await;
    assert_eq!(end(&mut numbers).await, Err(Reason::CANCEL));
    assert!(started.elapsed() >= Duration::from_millis(300), "{:?}", started.elapsed());
    eventually("the stream is dropped", || world.seen.dropped() == 1).await;
}

#[tokio::test]
async fn a_slowly_read_stream_continues() {
    let world = with_send_timeout(Duration::from_secs(2)).await;
    let peer = peer(&world, 1000).await;
    let mut numbers = call(&peer, COUNT, &FOREVER, None).await;
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(4) {
        let data = timeout(TEST_TIMEOUT, numbers.data()).await.unwrap().unwrap().unwrap();
        sleep(Duration::from_millis(100)).await;
        numbers.flow_control().release_capacity(data.len()).unwrap();
    }
    assert_eq!(world.seen.dropped(), 0);
}

#[tokio::test]
async fn unread_responses_delay_neither_other_calls_nor_a_drain() {
    let settings = lenient().drain_timeout(Duration::from_millis(300));
    let mut world = World::with(|builder| builder.settings(settings)).await;
    let peer = peer(&world, 0).await;
    let mut stuck = Vec::new();
    for _ in 0..50 {
        stuck.push(call(&peer, COUNT, &FOREVER, None).await);
    }
    world.client().await.act(ActRequest::default()).await.unwrap();
    world.shut_down();
    // Each stream gets its status, because no message is partly sent.
    for numbers in &mut stuck {
        assert_eq!(end(numbers).await, Ok(UNAVAILABLE.to_owned()));
    }
    world.ended().await.unwrap();
}

#[tokio::test]
async fn unread_responses_beyond_the_budget_are_reset() {
    let mut settings = lenient();
    settings.connections.max_unsent_bytes = 1024 * 1024;
    let world = World::with(|builder| builder.settings(settings)).await;
    let mut windows = h2::client::Builder::new();
    windows.initial_window_size(1 << 30).initial_connection_window_size(1 << 30);
    let socket = TcpSocket::new_v4().unwrap();
    // A small buffer, so that little is in transit.
    socket.set_recv_buffer_size(4096).unwrap();
    let stream = socket.connect(world.address).await.unwrap();
    let (sender, mut connection) = windows.handshake(stream).await.unwrap();
    let counting = async {
        let mut answers = Vec::new();
        for _ in 0..50 {
            answers.push(call(&sender, COUNT, &FOREVER, None).await);
        }
        answers
    };
    let answers = tokio::select! {
        answers = counting => answers,
        ended = &mut connection => panic!("{ended:?}"),
    };
    // From here on no peer reads. Each response waits with 64 KiB at most, all together with 3 MiB.
    eventually("some are dropped", || world.seen.dropped() > 0).await;
    assert!(world.seen.dropped() < 50, "responses within the budget stay");
    world.client().await.act(ActRequest::default()).await.unwrap();
    drop((answers, connection));
}
