//! Deadlines of calls: their sources and their expiry.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use gantry_client::Deadline;
use gantry_contract::{CallContext, Caller, GantryReason};
use gantry_resilience::deadline;
use http::{HeaderValue, Response};
use tokio::time::Instant;
use tonic::{Code, Request, body::Body};
use tower::Service as _;

use crate::{
    caller::{
        ADD, FIND, GET, GUARD, QUICK, Setup, UNLISTED, assert_failed, call, idle, patient, send,
        warm,
    },
    raw,
    server::{Server, answer, encode, reply, trailers_only},
};

/// Returns a server that records the `grpc-timeout` of each call.
async fn noting() -> (Server, Arc<Mutex<Vec<Duration>>>) {
    noting_and(|| reply("noted")).await
}

/// Same, with this response.
async fn noting_and<F>(answer: F) -> (Server, Arc<Mutex<Vec<Duration>>>)
where
    F: Fn() -> Response<Body> + Send + Sync + 'static,
{
    let noted = Arc::<Mutex<Vec<Duration>>>::default();
    let notes = Arc::clone(&noted);
    let server = Server::answering(move |hit| {
        let timeout = HeaderValue::from_str(&hit.header("grpc-timeout").unwrap()).unwrap();
        notes.lock().unwrap().push(deadline::decode(&timeout).unwrap());
        std::future::ready(answer())
    })
    .await;
    (server, noted)
}

fn context(left: Duration) -> CallContext {
    CallContext {
        deadline: Some(Instant::now() + left),
        request_id: "r-1".into(),
        caller: Caller::Anonymous,
    }
}

#[tokio::test]
async fn a_slow_server_is_a_deadline_exceeded_at_the_methods_timeout() {
    let server = Server::slow(Duration::from_secs(60)).await;
    let setup = Setup::new();
    let _registration = setup.register(server.address).await;
    warm(&setup.channel, 1).await;
    tokio::time::pause();
    let started = Instant::now();
    let status = call(&setup.channel, QUICK).await.unwrap_err();
    let took = started.elapsed();
    tokio::time::resume();
    assert!((200..=201).contains(&took.as_millis()), "{took:?}");
    let address = server.address.to_string();
    let says = ["/test.Echo/Quick", "echo at", &address, "attempt 1"];
    assert_failed(&status, Code::DeadlineExceeded, GantryReason::DeadlineExceeded, &says);
    idle(&setup.channel).await;
}

#[tokio::test]
async fn a_body_that_never_ends_is_a_deadline_exceeded_too() {
    let server = Server::answering(|_| async {
        let frames = tokio_stream::StreamExt::chain(
            tokio_stream::iter([Ok::<_, tonic::Status>(http_body::Frame::data(encode("half")))]),
            tokio_stream::pending(),
        );
        let mut response = reply("");
        *response.body_mut() = Body::new(http_body_util::StreamBody::new(frames));
        response
    })
    .await;
    let setup = Setup::new();
    let _registration = setup.register(server.address).await;
    let status = call(&setup.channel, QUICK).await.unwrap_err();
    assert_failed(&status, Code::DeadlineExceeded, GantryReason::DeadlineExceeded, &["echo at"]);
    idle(&setup.channel).await;
}

#[tokio::test]
async fn the_earliest_of_three_deadlines_is_sent() {
    let (server, noted) = noting().await;
    // Its methods have an hour.
    let setup = Setup::with(patient());
    let _registration = setup.register(server.address).await;
    let minute = Duration::from_secs(60);

    call(&setup.channel, GET).await.unwrap();
    for caller in [40 * minute, 80 * minute] {
        let mut request = Request::new(String::new());
        request.set_timeout(caller);
        send(&setup.channel, GET, request).await.unwrap();
    }
    let mut request = Request::new(String::new());
    request.extensions_mut().insert(Deadline::after(Instant::now(), 30 * minute));
    send(&setup.channel, GET, request).await.unwrap();
    context(20 * minute).scope(call(&setup.channel, GET)).await.unwrap();
    context(80 * minute).scope(call(&setup.channel, GET)).await.unwrap();

    let noted = noted.lock().unwrap().clone();
    let earliest = [60, 40, 60, 30, 20, 60];
    assert_eq!(noted.len(), earliest.len());
    for (noted, earliest) in noted.into_iter().zip(earliest) {
        let earliest = earliest * minute;
        // Lower by the time between the call and its sending.
        assert!(noted <= earliest && noted > earliest - 5 * minute, "{noted:?} of {earliest:?}");
    }
}

#[tokio::test]
async fn the_wait_for_an_endpoint_shortens_the_timeout_sent() {
    let (server, noted) = noting().await;
    let setup = Setup::new();
    let channel = setup.channel.clone();
    let waiting = tokio::spawn(async move { call(&channel, GET).await });
    tokio::time::sleep(Duration::from_millis(500)).await;
    let _registration = setup.register(server.address).await;
    waiting.await.unwrap().unwrap();
    let noted = noted.lock().unwrap()[0];
    assert!(noted < Duration::from_millis(4_501), "{noted:?}");
}

#[tokio::test]
async fn each_further_attempt_is_sent_with_what_is_left_then() {
    let (server, noted) = noting_and(|| trailers_only(&[("grpc-status", "14")])).await;
    let setup = Setup::new();
    let _registration = setup.register(server.address).await;
    call(&setup.channel, FIND).await.unwrap_err();
    let noted = noted.lock().unwrap().clone();
    let [first, second, third] = noted[..] else { panic!("{noted:?}") };
    // The waits are 50 ms and 100 ms, less a fifth.
    assert!(first <= Duration::from_secs(5), "{noted:?}");
    assert!(second <= first - Duration::from_millis(40), "{noted:?}");
    assert!(third <= second - Duration::from_millis(80), "{noted:?}");
}

#[tokio::test]
async fn with_nothing_left_nothing_is_sent() {
    let server = Server::start().await;
    let setup = Setup::new();
    let _registration = setup.register(server.address).await;
    call(&setup.channel, GET).await.unwrap();
    let status = context(Duration::ZERO).scope(call(&setup.channel, GET)).await.unwrap_err();
    let says = ["/test.Echo/Get", "nothing was left"];
    assert_failed(&status, Code::DeadlineExceeded, GantryReason::DeadlineExceeded, &says);
    assert_eq!(server.hits(), 1);
}

#[tokio::test]
async fn the_wait_for_an_endpoint_takes_half_of_the_time_left() {
    let setup = Setup::new();
    tokio::time::pause();
    // The method has 200 ms, the caller below 60 ms, and the default wait is 3 s.
    for (left, waited) in [(60_000, 100), (60, 30)] {
        let (context, started) = (context(Duration::from_millis(left)), Instant::now());
        let status = context.scope(call(&setup.channel, QUICK)).await.unwrap_err();
        let took = started.elapsed().as_millis();
        assert!((waited..=waited + 1).contains(&took), "{took} ms of {left} ms");
        let says = ["no endpoint of echo", "/test.Echo/Quick", "the registry knows none"];
        assert_failed(&status, Code::Unavailable, GantryReason::NoEndpoint, &says);
    }
}

#[tokio::test]
async fn an_unreachable_service_names_three_connect_errors() {
    let setup = Setup::new();
    let mut registrations = Vec::new();
    for port in 1..=5 {
        registrations.push(setup.register(([127, 0, 0, 1], port).into()).await);
    }
    let status = call(&setup.channel, GET).await.unwrap_err();
    let says = ["127.0.0.1:1: ", "127.0.0.1:3: ", "refused", "and 2 more"];
    assert_failed(&status, Code::Unavailable, GantryReason::NoEndpoint, &says);
    let snapshot = setup.channel.snapshot();
    assert_eq!((snapshot.listed, snapshot.connected()), (5, 0));
    assert!(snapshot.trouble.unwrap().contains("refused"));
}

#[tokio::test]
async fn a_cancel_at_our_deadline_is_deadline_exceeded() {
    // Tonic's own server answers CANCELLED when grpc-timeout is over.
    for in_trailers in [false, true] {
        let server = Server::answering(move |_| async move {
            tokio::time::sleep(Duration::from_millis(196)).await;
            if in_trailers {
                answer([], &[("grpc-status", "1")])
            } else {
                trailers_only(&[("grpc-status", "1"), ("grpc-message", "Timeout expired")])
            }
        })
        .await;
        let setup = Setup::new();
        let _registration = setup.register(server.address).await;
        // Connecting would take some of the call's time, which must be nearly over.
        warm(&setup.channel, 1).await;
        let status = call(&setup.channel, QUICK).await.unwrap_err();
        assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
    }
}

#[tokio::test]
async fn a_reset_at_our_deadline_is_deadline_exceeded() {
    let peer = raw::serving(|mut wire, stream| async move {
        tokio::time::sleep(Duration::from_millis(196)).await;
        wire.reset(stream, raw::CANCEL).await;
        wire
    })
    .await;
    let setup = Setup::new();
    let _registration = setup.register(peer.address).await;
    warm(&setup.channel, 1).await;
    let status = call(&setup.channel, QUICK).await.unwrap_err();
    let says = [&*peer.address.to_string()];
    assert_failed(&status, Code::DeadlineExceeded, GantryReason::DeadlineExceeded, &says);
}

#[tokio::test]
async fn an_endless_request_ends_at_the_deadline() {
    let setup = Setup::new();
    let body = Body::new(http_body_util::StreamBody::new(tokio_stream::pending::<
        Result<http_body::Frame<bytes::Bytes>, tonic::Status>,
    >()));
    let request = http::Request::post(format!("http://echo{QUICK}")).body(body).unwrap();
    let calling = setup.channel.clone().call(request);
    let failed = tokio::time::timeout(GUARD, calling).await.expect("it hangs");
    assert_eq!(failed.unwrap_err().code(), Code::DeadlineExceeded);
}

#[tokio::test]
async fn a_server_that_cancels_on_its_own_is_believed() {
    let server = Server::answering(|_| async { trailers_only(&[("grpc-status", "1")]) }).await;
    let setup = Setup::new();
    let _registration = setup.register(server.address).await;
    assert_eq!(call(&setup.channel, ADD).await.unwrap_err().code(), Code::Cancelled);
}

#[tokio::test]
async fn a_malformed_timeout_is_rejected_before_sending() {
    let server = Server::start().await;
    let setup = Setup::new();
    let _registration = setup.register(server.address).await;
    let mut request = Request::new(String::new());
    request.metadata_mut().insert("grpc-timeout", "soon".parse().unwrap());
    let status = send(&setup.channel, GET, request).await.unwrap_err();
    let says = ["was not sent", "grpc-timeout is malformed"];
    assert_failed(&status, Code::InvalidArgument, GantryReason::MalformedMetadata, &says);
    assert_eq!(server.hits(), 0);
}

#[tokio::test]
async fn a_method_outside_the_contract_has_the_callers_deadline() {
    let server = Server::slow(Duration::from_millis(300)).await;
    let setup = Setup::new();
    let _registration = setup.register(server.address).await;
    call(&setup.channel, UNLISTED).await.unwrap();
    let mut request = Request::new(String::new());
    request.set_timeout(Duration::from_millis(100));
    let status = send(&setup.channel, UNLISTED, request).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
}
