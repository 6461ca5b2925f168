//! Connections: valid ones, many at once, and other protocols on the port.

use futures_util::{StreamExt, future::join_all};
use gantry_probe::probe::v1::{ActRequest, CountRequest};
use http_body_util::Full;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::timeout,
};

use crate::{
    raw::{framed, request, send},
    world::{TEST_TIMEOUT, World, eventually, lenient, reason},
};

const ACT: &str = "/probe.v1.ProbeService/Act";

#[tokio::test]
async fn the_request_id_is_returned_and_reaches_the_handler() {
    let world = World::start().await;
    let mut client = world.client().await;
    let mut request = tonic::Request::new(ActRequest::default());
    request.metadata_mut().insert("x-request-id", "abc-123".parse().unwrap());
    let answer = client.act(request).await.unwrap();
    assert_eq!(answer.metadata().get("x-request-id").unwrap(), "abc-123");
    assert_eq!(answer.into_inner().request_id, "abc-123");

    let answer = client.act(ActRequest::default()).await.unwrap();
    let made = answer.metadata().get("x-request-id").unwrap().to_str().unwrap().to_owned();
    assert_eq!(answer.into_inner().request_id, made);
    assert_eq!(made.len(), 36);
}

#[tokio::test]
async fn an_invalid_request_id_is_replaced() {
    let world = World::start().await;
    for sent in ["two words", "{\"a\": 1}", &"x".repeat(129)] {
        let mut request = request(ACT, framed(&ActRequest::default()));
        request.headers_mut().insert("x-request-id", sent.parse().unwrap());
        let answer = send(&world, request).await;
        assert_eq!(answer.headers["x-request-id"].len(), 36);
    }
}

#[tokio::test]
async fn a_stream_runs_within_the_context_of_its_call() {
    let world = World::start().await;
    let mut request = tonic::Request::new(CountRequest { to: 3, pause_ms: 1, panic_at: 0 });
    request.metadata_mut().insert("x-request-id", "counting".parse().unwrap());
    let numbers = world.client().await.count(request).await.unwrap().into_inner();
    let numbers: Vec<_> = numbers.map(Result::unwrap).collect().await;
    let numbers: Vec<_> =
        numbers.iter().map(|number| (number.number, number.request_id.as_str())).collect();
    assert_eq!(numbers, [(1, "counting"), (2, "counting"), (3, "counting")]);
}

#[tokio::test]
async fn another_protocol_is_closed_without_harm_to_others() {
    let world = World::start().await;
    let mut client = world.client().await;
    for bytes in [
        &b"GET / HTTP/1.1\r\nhost: probe\r\n\r\n"[..],
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        &[0; 4096],
    ] {
        let mut stream = TcpStream::connect(world.address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut answer = Vec::new();
        // The server closes it, possibly by a reset.
        let _ = timeout(TEST_TIMEOUT, stream.read_to_end(&mut answer)).await.expect("it is closed");
        client.act(ActRequest::default()).await.unwrap();
    }
    // One connection stays silent, the other one closes.
    let silent = TcpStream::connect(world.address).await.unwrap();
    drop(TcpStream::connect(world.address).await.unwrap());
    client.act(ActRequest::default()).await.unwrap();
    drop(silent);
}

#[tokio::test]
async fn headers_over_a_limit_are_refused_with_a_status() {
    let world = World::start().await;
    let plain = || request(ACT, framed(&ActRequest::default()));
    let mut many = plain();
    for n in 0..100 {
        let name = http::HeaderName::from_bytes(format!("x-{n}").as_bytes()).unwrap();
        many.headers_mut().insert(name, "x".parse().unwrap());
    }
    let mut long = plain();
    long.headers_mut().insert("x-long", "x".repeat(20_000).parse().unwrap());
    for (request, text) in
        [(many, "headers and this server takes at most 100"), (long, "bytes of headers")]
    {
        let refused = send(&world, request).await.grpc();
        assert_eq!(refused.code(), tonic::Code::ResourceExhausted, "{refused:?}");
        assert_eq!(reason(&refused), "METADATA_TOO_LARGE");
        assert!(refused.message().contains(text), "{refused:?}");
    }
    assert_eq!(world.seen.started(), 0);
    let mut some = plain();
    for n in 0..90 {
        let name = http::HeaderName::from_bytes(format!("x-{n}").as_bytes()).unwrap();
        some.headers_mut().insert(name, "x".repeat(100).parse().unwrap());
    }
    assert_eq!(send(&world, some).await.grpc().code(), tonic::Code::Ok);
}

#[tokio::test]
async fn headers_of_twice_the_limit_are_refused_by_http() {
    let world = World::start().await;
    let mut request = request(ACT, framed(&ActRequest::default()));
    request.headers_mut().insert("x-long", "x".repeat(40_000).parse().unwrap());
    let stream = TcpStream::connect(world.address).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake::<_, _, Full<bytes::Bytes>>(
            hyper_util::rt::TokioExecutor::new(),
            hyper_util::rt::TokioIo::new(stream),
        )
        .await
        .unwrap();
    let connection = tokio::spawn(connection);
    match timeout(TEST_TIMEOUT, sender.send_request(request)).await.unwrap() {
        Ok(answer) => assert_eq!(answer.status(), 431),
        Err(refused) => assert!(!refused.is_timeout(), "{refused}"),
    }
    connection.abort();
    assert_eq!(world.seen.started(), 0);
    world.client().await.act(ActRequest::default()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hundreds_of_calls_run_at_once() {
    let mut settings = lenient();
    settings.concurrency.initial = 400;
    let world = World::with(|builder| builder.settings(settings)).await;
    let mut clients = join_all((0..4).map(|_| world.client())).await;
    for client in &mut clients {
        // The first response tells the client its stream limit.
        client.act(ActRequest::default()).await.unwrap();
    }
    let mut calls = JoinSet::new();
    for n in 0..200 {
        let mut client = clients[n % clients.len()].clone();
        let nap = ActRequest { nap_ms: 50_000, ..ActRequest::default() };
        calls.spawn(async move { client.act(nap).await });
    }
    eventually("all calls run", || world.seen.started() == 204).await;
    assert_eq!(world.seen.finished(), 4);
}
