//! Limits of connections, and their ends.

use std::{
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::{StreamExt, future::join_all};
use gantry_probe::probe::v1::{ActRequest, CountRequest};
use gantry_server::ConnectionSettings;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::{Instant, sleep, timeout},
};
use tonic::Code;

use crate::{
    raw::{framed, request},
    world::{TEST_TIMEOUT, World, eventually, lenient, reason},
};

const ACT: &str = "/probe.v1.ProbeService/Act";

fn nap(nap_ms: u32) -> ActRequest {
    ActRequest { nap_ms, ..ActRequest::default() }
}

async fn world(change: impl FnOnce(&mut ConnectionSettings)) -> World {
    let mut settings = lenient();
    change(&mut settings.connections);
    World::with(|builder| builder.settings(settings)).await
}

/// Waits until the server has closed the connection.
async fn closed(mut stream: TcpStream) {
    let mut rest = Vec::new();
    // The result is an error if the server closed it by a reset.
    let _ = timeout(TEST_TIMEOUT, stream.read_to_end(&mut rest)).await.expect("it is closed");
}

#[tokio::test]
async fn a_connection_beyond_the_limit_is_closed_at_once() {
    let world = world(|connections| connections.max = Some(2)).await;
    let mut first = world.client().await;
    let mut second = world.client().await;
    // Both have completed a call: neither is closed for a new one from the same address.
    first.act(nap(0)).await.unwrap();
    second.act(nap(0)).await.unwrap();
    for _ in 0..50 {
        closed(TcpStream::connect(world.address).await.unwrap()).await;
    }
    first.act(nap(0)).await.unwrap();
    second.act(nap(0)).await.unwrap();
    drop(first);
    let started = Instant::now();
    // The server admits a connection once it has noticed the end of the first one.
    while try_call(&world).await.is_none() {
        assert!(started.elapsed() < TEST_TIMEOUT);
    }
    second.act(nap(0)).await.unwrap();
}

async fn connect(world: &World) -> Option<SendRequest<Full<Bytes>>> {
    let stream = TokioIo::new(TcpStream::connect(world.address).await.ok()?);
    let (sender, connection) = handshake(TokioExecutor::new(), stream).await.ok()?;
    tokio::spawn(connection);
    Some(sender)
}

async fn try_call(world: &World) -> Option<()> {
    let mut sender = connect(world).await?;
    let answer = sender.send_request(request(ACT, framed(&nap(0)))).await.ok()?;
    answer.into_body().collect().await.ok().map(|_| ())
}

#[tokio::test]
async fn a_slow_handshake_is_closed() {
    let world = world(|connections| connections.handshake_timeout = Duration::from_millis(300));
    let world = world.await;
    let patient = connect(&world).await.unwrap();
    let silent = TcpStream::connect(world.address).await.unwrap();
    let (mut reads, mut writes) = TcpStream::connect(world.address).await.unwrap().into_split();
    let drip = async {
        for byte in b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" {
            if writes.write_all(&[*byte]).await.is_err() {
                return;
            }
            sleep(Duration::from_millis(100)).await;
        }
    };
    let mut rest = Vec::new();
    let (ended, ()) = tokio::join!(timeout(TEST_TIMEOUT, reads.read_to_end(&mut rest)), drip);
    let _ = ended.expect("it is closed");
    closed(silent).await;
    // After the handshake a peer may stay silent.
    sleep(Duration::from_millis(400)).await;
    assert!(!patient.is_closed());
}

#[tokio::test]
async fn incomplete_headers_end_the_connection() {
    let world = world(|connections| {
        connections.keep_alive_interval = Duration::from_millis(300);
        connections.keep_alive_timeout = Duration::from_secs(2);
    })
    .await;
    let mut idle = connect(&world).await.unwrap();
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.unwrap();
    // HEADERS of stream 1 without END_HEADERS: a method, and nothing more.
    stream.write_all(&[0, 0, 1, 1, 0, 0, 0, 0, 1, 0x83]).await.unwrap();
    let started = Instant::now();
    closed(stream).await;
    assert!(started.elapsed() >= Duration::from_secs(2), "{:?}", started.elapsed());
    // A connection with data from its peer is not closed.
    idle.send_request(request(ACT, framed(&nap(0)))).await.unwrap();
    assert_eq!(world.seen.started(), 1);
}

#[tokio::test]
async fn an_unresponsive_peer_is_closed() {
    let world = world(|connections| {
        connections.keep_alive_interval = Duration::from_millis(300);
        connections.keep_alive_timeout = Duration::from_millis(300);
    })
    .await;
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    let started = Instant::now();
    closed(stream).await;
    assert!(started.elapsed() >= Duration::from_millis(500), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_peer_that_stops_reading_is_closed() {
    let world = world(|connections| {
        connections.keep_alive_interval = Duration::from_millis(500);
        connections.keep_alive_timeout = Duration::from_millis(500);
    })
    .await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let stream = socket.connect(world.address).await.unwrap();
    let mut windows = h2::client::Builder::new();
    windows.initial_window_size(1 << 30).initial_connection_window_size(1 << 30);
    let (mut sender, mut connection) = windows.handshake::<_, Bytes>(stream).await.unwrap();
    let count = request("/probe.v1.ProbeService/Count", Bytes::new()).map(drop);
    let (answer, mut body) = sender.send_request(count, false).unwrap();
    body.send_data(framed(&CountRequest::default()), true).unwrap();
    let _answer = tokio::select! {
        answer = answer => answer.unwrap(),
        ended = &mut connection => panic!("{ended:?}"),
    };
    // From here on the peer does not read.
    eventually("the stream is dropped", || world.seen.dropped() == 1).await;
    drop(connection);
}

/// Makes calls until the server accepts no more. Waits for one call in `every` and resets the
/// others. Returns the number of calls.
async fn reset_most(world: &World, every: usize, most: usize) -> usize {
    let stream = TcpStream::connect(world.address).await.unwrap();
    let (sender, connection) = h2::client::handshake(stream).await.unwrap();
    let connection = tokio::spawn(connection);
    for made in 1..=most {
        let Ok(mut sender) = sender.clone().ready().await else { return made };
        let lasts = if made % every == 0 { 0 } else { 50_000 };
        let Ok((answer, mut body)) =
            sender.send_request(request(ACT, Bytes::new()).map(drop), false)
        else {
            return made;
        };
        body.send_data(framed(&nap(lasts)), true).unwrap();
        if lasts == 0 {
            answer.await.expect("no call is lost");
        } else {
            let started = || world.seen.started() >= made;
            while !started() {
                if connection.is_finished() {
                    return made;
                }
                sleep(Duration::from_millis(1)).await;
            }
            body.send_reset(h2::Reason::CANCEL);
        }
    }
    most
}

#[tokio::test]
async fn a_peer_that_resets_most_of_its_calls_is_disconnected() {
    let most = world(|connections| connections.max_resets = 50).await;
    let made = reset_most(&most, 3, 1000).await;
    assert!((50..=200).contains(&made), "{made}");
    most.client().await.act(nap(0)).await.unwrap();
    let half = world(|connections| connections.max_resets = 50).await;
    assert_eq!(reset_most(&half, 2, 500).await, 500);
}

#[tokio::test]
async fn one_address_cannot_take_all_connections() {
    let world = world(|connections| connections.max_per_address = 2).await;
    let mut own = (world.client().await, world.client().await);
    own.0.act(nap(0)).await.unwrap();
    own.1.act(nap(0)).await.unwrap();
    for _ in 0..50 {
        closed(TcpStream::connect(world.address).await.unwrap()).await;
    }
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let stream = TokioIo::new(socket.connect(world.address).await.unwrap());
    let (mut other, connection) = handshake(TokioExecutor::new(), stream).await.unwrap();
    tokio::spawn(connection);
    other.send_request(request(ACT, framed(&nap(0)))).await.unwrap();
    own.0.act(nap(0)).await.unwrap();
    own.1.act(nap(0)).await.unwrap();
}

/// Returns true if the call came after the last one that the GOAWAY accepts.
fn is_goaway(error: &hyper::Error) -> bool {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<h2::Error>());
    cause.is_some_and(|cause| {
        cause.is_go_away() && cause.is_remote() && cause.reason() == Some(h2::Reason::NO_ERROR)
    })
}

/// Makes one call after the other, each on the last connection while it accepts calls, until
/// `connections` connections have ended. Returns the number of answered calls.
async fn calls(world: &World, connections: usize) -> usize {
    let (mut answered, mut ended) = (0, 0);
    let mut sender = connect(world).await.unwrap();
    while ended < connections {
        match sender.try_send_request(request(ACT, framed(&nap(2)))).await {
            Ok(answer) => {
                let body = answer.into_body().collect().await.unwrap();
                assert_eq!(body.trailers().unwrap()["grpc-status"], "0");
                answered += 1;
            }
            Err(mut failed) => {
                let untaken = failed.take_message().is_some() || is_goaway(failed.error());
                assert!(untaken, "the server accepted a call and lost it: {:?}", failed.error());
                sender = connect(world).await.unwrap();
                ended += 1;
            }
        }
    }
    answered
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_at_its_maximum_age_loses_no_call() {
    let world = world(|connections| {
        connections.max_age = Duration::from_millis(200);
        connections.max_age_grace = TEST_TIMEOUT;
    })
    .await;
    let done = timeout(2 * TEST_TIMEOUT, join_all((0..16).map(|_| calls(&world, 10)))).await;
    let answered: usize = done.expect("connections grow old").iter().sum();
    assert!(answered > 0);
    assert_eq!((world.seen.started(), world.seen.finished()), (answered, answered));
}

#[tokio::test]
async fn calls_beyond_the_grace_period_end_with_a_status() {
    let world = world(|connections| {
        connections.max_age = Duration::from_secs(1);
        connections.max_age_grace = Duration::from_millis(300);
    })
    .await;
    let mut client = world.client().await;
    let forever = CountRequest { pause_ms: 10, ..CountRequest::default() };
    let mut numbers = client.count(forever).await.unwrap().into_inner();
    let ended = client.act(nap(50_000)).await.unwrap_err();
    assert_eq!(ended.code(), Code::Unavailable);
    assert_eq!(reason(&ended), "DRAINING");
    let ended = loop {
        match numbers.next().await.unwrap() {
            Ok(_) => {}
            Err(ended) => break ended,
        }
    };
    assert_eq!((ended.code(), reason(&ended).as_str()), (Code::Unavailable, "DRAINING"));
    eventually("the handlers are dropped", || world.seen.dropped() == 2).await;
    // Other connections are not affected.
    world.client().await.act(nap(0)).await.unwrap();
}

#[tokio::test]
async fn calls_beyond_the_stream_limit_wait_at_the_caller() {
    let world = world(|connections| connections.max_streams = 10).await;
    let mut client = world.client().await;
    // The client learns the limit.
    client.act(nap(0)).await.unwrap();
    let most = Arc::new(AtomicUsize::new(0));
    let calls = (0..50).map(|_| {
        let mut client = client.clone();
        let (most, seen) = (Arc::clone(&most), Arc::clone(&world.seen));
        async move {
            client.act(nap(20)).await.unwrap();
            most.fetch_max(seen.started() - seen.finished(), Ordering::SeqCst);
        }
    });
    join_all(calls).await;
    assert!(most.load(Ordering::SeqCst) <= 10);
}
