//! Connections beyond the limit: admission and eviction.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use futures_util::future::join_all;
use gantry_probe::probe::v1::{ActRequest, probe_service_client::ProbeServiceClient};
use gantry_server::ConnectionSettings;
use http_body_util::BodyExt;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::{Instant, timeout},
};
use tonic::transport::{Channel, Endpoint};

use crate::{
    raw::{framed, request},
    world::{TEST_TIMEOUT, World, eventually, lenient, with_token},
};

const ACT: &str = "/probe.v1.ProbeService/Act";

/// HTTP/2 preface and empty SETTINGS.
const HELLO: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

async fn world(change: impl FnOnce(&mut ConnectionSettings)) -> World {
    let mut settings = lenient();
    change(&mut settings.connections);
    World::with(|builder| builder.settings(settings)).await
}

/// Opens a connection from 127.0.0.`host` that speaks HTTP/2 and then stays silent.
async fn silent(address: SocketAddr, host: u8) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((Ipv4Addr::new(127, 0, 0, host), 0).into()).unwrap();
    let mut stream = socket.connect(address).await.unwrap();
    // The server may have closed it already.
    let _ = stream.write_all(HELLO).await;
    stream
}

/// Returns a stock client with one connection from 127.0.0.`host`.
async fn client(address: SocketAddr, host: u8) -> ProbeServiceClient<Channel> {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
    let from = Ipv4Addr::new(127, 0, 0, host).into();
    ProbeServiceClient::new(endpoint.local_address(Some(from)).connect().await.unwrap())
}

/// Returns true if the server has closed it.
async fn is_closed(stream: &mut TcpStream) -> bool {
    let mut sink = [0; 1024];
    loop {
        match timeout(Duration::from_millis(20), stream.read(&mut sink)).await {
            Ok(Ok(0) | Err(_)) => return true,
            Ok(Ok(_)) => {}
            Err(_) => return false,
        }
    }
}

#[tokio::test]
async fn an_idle_flood_from_four_addresses_excludes_no_client() {
    let world = world(|connections| {
        connections.max = Some(40);
        connections.max_per_address = 10;
    })
    .await;
    let mut before = client(world.address, 2).await;
    before.act(ActRequest::default()).await.unwrap();
    let flood = || async {
        let connections = (10..14).flat_map(|host| [host; 10]);
        join_all(connections.map(|host| silent(world.address, host))).await
    };
    let mut flooding = flood().await;
    for host in 20..30 {
        client(world.address, host).await.act(ActRequest::default()).await.unwrap();
    }
    // The same with connections that have completed a call and are opened again and again.
    let mut called = Vec::new();
    for host in (10..14).flat_map(|host| [host; 10]) {
        let mut caller = client(world.address, host).await;
        if caller.act(ActRequest::default()).await.is_ok() {
            called.push(caller);
        }
    }
    flooding.extend(flood().await);
    for host in 30..40 {
        client(world.address, host).await.act(ActRequest::default()).await.unwrap();
    }
    before.act(ActRequest::default()).await.unwrap();
}

#[tokio::test]
async fn a_proven_peer_is_admitted_at_the_limit_of_others() {
    let world = world(|connections| {
        connections.max = Some(8);
        connections.max_per_address = 8;
    })
    .await;
    let token = world.keys.service(None);
    let own = || with_token(ActRequest::default(), &token);
    client(world.address, 2).await.guarded(own()).await.unwrap();
    // Each has a call in flight after a completed one: none can be closed.
    let nap = ActRequest { nap_ms: 50_000, ..ActRequest::default() };
    let mut busy = Vec::new();
    for host in 10..16 {
        let mut caller = client(world.address, host).await;
        caller.act(ActRequest::default()).await.unwrap();
        let nap = nap.clone();
        busy.push(tokio::spawn(async move { caller.act(nap).await }));
    }
    let naps = || world.seen.started() == 1 + 6 + 6;
    eventually("all are busy", naps).await;
    let mut stranger = silent(world.address, 3).await;
    assert!(is_closed(&mut stranger).await);
    client(world.address, 2).await.guarded(own()).await.unwrap();
    busy.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn an_idle_connection_is_closed_and_a_busy_one_is_not() {
    let idle_timeout = Duration::from_secs(2);
    let world = world(|connections| connections.idle_timeout = idle_timeout).await;
    let connect = || async {
        let stream = TokioIo::new(TcpStream::connect(world.address).await.unwrap());
        hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap()
    };
    let started = Instant::now();
    let (mut sender, busy) = connect().await;
    let nap = ActRequest { nap_ms: 4500, ..ActRequest::default() };
    let (_kept, silent) = connect().await;
    let called = async {
        let answer = sender.send_request(request(ACT, framed(&nap))).await.unwrap();
        assert_eq!(
            answer.into_body().collect().await.unwrap().trailers().unwrap()["grpc-status"],
            "0"
        );
        Instant::now()
    };
    // A GOAWAY ends the connections. Any other end would be an error.
    let ended = async {
        timeout(TEST_TIMEOUT, silent).await.expect("the idle connection ends").unwrap();
        started.elapsed()
    };
    let (answered, busy_ended, silent_for) = tokio::join!(
        called,
        async { timeout(TEST_TIMEOUT, busy).await.unwrap().map(|()| Instant::now()) },
        ended
    );
    assert!(silent_for >= idle_timeout, "{silent_for:?}");
    assert!(busy_ended.unwrap() >= answered + idle_timeout - Duration::from_millis(100));
}
