//! Ejected endpoints get no calls for a while.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use gantry_client::{ClientSettings, EjectionSettings, EndpointSnapshot, ejection::Reason};
use gantry_discovery::Registration;
use http::{Response, uri::PathAndQuery};
use tokio::net::TcpListener;
use tonic::{Code, Request, body::Body, client::Grpc};
use tonic_prost::ProstCodec;

use crate::{
    caller::{ADD, CHAT, PUT, Setup, call, warm},
    server::{Server, answer, encode, reply, trailers_only},
};

/// Tolerance for the end of an ejection.
const MARGIN: Duration = Duration::from_millis(200);

fn sick() -> Response<Body> {
    trailers_only(&[("grpc-status", "14")])
}

/// Returns settings with ejections of 2 s, fast reconnects, and a breaker that stays closed.
fn settings() -> ClientSettings {
    let ejection = EjectionSettings::default().base_time(Duration::from_secs(2));
    let mut settings = ClientSettings::default()
        .ejection(ejection)
        .reconnect_initial(Duration::from_millis(20))
        .reconnect_max(Duration::from_millis(20));
    settings.breaker.consecutive_failures = 1_000;
    settings.breaker.minimum_calls = 100;
    settings
}

/// Returns a server that fails calls while the flag is set.
async fn sometimes_sick() -> (Server, Arc<AtomicBool>) {
    let flag = Arc::new(AtomicBool::new(true));
    let is_sick = Arc::clone(&flag);
    let server = Server::answering(move |_| {
        std::future::ready(if is_sick.load(Ordering::SeqCst) { sick() } else { reply("well") })
    })
    .await;
    (server, flag)
}

/// Returns an address without a listener.
async fn nowhere() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

fn endpoint(setup: &Setup, address: SocketAddr) -> EndpointSnapshot {
    let mut endpoints = setup.channel.snapshot().endpoints.into_iter();
    endpoints.find(|endpoint| endpoint.address == address).unwrap()
}

/// Returns a sick endpoint that is ejected, beside one that cannot be connected.
async fn ejected() -> (Setup, Server, Arc<AtomicBool>, SocketAddr, [Registration; 2]) {
    let (failing, is_sick) = sometimes_sick().await;
    let other = nowhere().await;
    let setup = Setup::with(settings());
    let registrations = [setup.register(other).await, setup.register(failing.address).await];
    warm(&setup.channel, 1).await;
    for _ in 0..5 {
        assert_eq!(endpoint(&setup, failing.address).ejected_for, None);
        call(&setup.channel, ADD).await.unwrap_err();
    }
    let ejected = endpoint(&setup, failing.address);
    assert!(ejected.ejected_for.is_some(), "{ejected:?}");
    assert_eq!(ejected.ejection_reason, Some(Reason::ConsecutiveFailures));
    (setup, failing, is_sick, other, registrations)
}

#[tokio::test]
async fn an_ejected_endpoint_gets_no_calls_until_its_time_is_over() {
    let (setup, failing, is_sick, other, _registrations) = ejected().await;
    // Slow, so that only the ejection keeps calls away from the other one.
    let well = Server::at(other, 100, |_| async {
        tokio::time::sleep(Duration::from_millis(10)).await;
        reply("other")
    })
    .await;
    warm(&setup.channel, 2).await;
    is_sick.store(false, Ordering::SeqCst);
    let before = failing.hits();
    while endpoint(&setup, failing.address).ejected_for.is_some_and(|left| left > MARGIN) {
        assert_eq!(call(&setup.channel, ADD).await.unwrap(), "other");
    }
    assert!(well.hits() > 5, "{} calls while it was ejected", well.hits());
    assert_eq!(failing.hits(), before, "an ejected endpoint got calls");
    tokio::time::sleep(MARGIN).await;
    drop(well);
    for _ in 0..10 {
        assert_eq!(call(&setup.channel, PUT).await.unwrap(), "well");
    }
}

#[tokio::test]
async fn when_all_endpoints_would_be_ejected_the_calls_go_on() {
    let (setup, failing, is_sick, _, _registrations) = ejected().await;
    is_sick.store(false, Ordering::SeqCst);
    let before = failing.hits();
    assert_eq!(call(&setup.channel, ADD).await.unwrap(), "well");
    assert_eq!(failing.hits(), before + 1);
    assert!(endpoint(&setup, failing.address).ejected_for.is_some(), "too late to tell");
}

#[tokio::test]
async fn a_full_healthy_endpoint_goes_before_an_ejected_one() {
    let (setup, failing, is_sick, other, _registrations) = ejected().await;
    let _full = Server::at(other, 1, |_| async {
        tokio::time::sleep(Duration::from_millis(15)).await;
        reply("other")
    })
    .await;
    warm(&setup.channel, 2).await;
    is_sick.store(false, Ordering::SeqCst);
    let before = failing.hits();
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let channel = setup.channel.clone();
        calls.spawn(async move { call(&channel, ADD).await.unwrap() });
    }
    assert_eq!(calls.join_all().await, vec!["other"; 8]);
    assert_eq!(failing.hits(), before);
}

#[tokio::test]
async fn failing_streams_eject_an_endpoint_too() {
    let failing =
        Server::answering(|_| async { answer([encode("one")], &[("grpc-status", "13")]) }).await;
    let setup = Setup::with(settings());
    let _registrations =
        [setup.register(nowhere().await).await, setup.register(failing.address).await];
    warm(&setup.channel, 1).await;
    for _ in 0..5 {
        let request = Request::new(tokio_stream::iter(["hello".to_owned()]));
        let codec = ProstCodec::<String, String>::default();
        let mut answers = Grpc::new(setup.channel.clone())
            .streaming(request, PathAndQuery::from_static(CHAT), codec)
            .await
            .unwrap()
            .into_inner();
        assert_eq!(answers.message().await.unwrap().unwrap(), "one");
        assert_eq!(answers.message().await.unwrap_err().code(), Code::Internal);
    }
    assert_eq!(endpoint(&setup, failing.address).ejections, 1);
}

#[tokio::test]
async fn shedding_load_and_refusing_calls_ejects_nobody() {
    for code in ["8", "3", "5", "16"] {
        let server =
            Server::answering(move |_| async move { trailers_only(&[("grpc-status", code)]) })
                .await;
        let setup = Setup::new();
        let _registrations =
            [setup.register(nowhere().await).await, setup.register(server.address).await];
        for _ in 0..20 {
            call(&setup.channel, ADD).await.unwrap_err();
        }
        assert_eq!(endpoint(&setup, server.address).ejections, 0, "status {code}");
    }
}
