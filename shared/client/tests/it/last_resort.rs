//! Delisted endpoints that are still connected.

use std::time::{Duration, Instant};

use gantry_client::{ClientSettings, EndpointSnapshot};
use gantry_contract::GantryReason;
use gantry_discovery::{Instance, Registration};
use tokio::{net::TcpListener, time::timeout};
use tonic::Code;

use crate::{
    caller::{ADD, GET, GUARD, QUICK, Setup, assert_failed, call, idle, warm, within},
    load::Load,
    server::{Server, reply},
};

/// Returns a delisted server.
async fn delisted(setup: &Setup) -> Server {
    let server = Server::start().await;
    let registration = setup.register(server.address).await;
    within("connection", || connected(setup, &server)).await;
    delist(setup, registration, &server).await;
    server
}

fn connected(setup: &Setup, server: &Server) -> Result<(), Vec<EndpointSnapshot>> {
    let endpoints = setup.channel.snapshot().endpoints;
    let is_connected = |e: &EndpointSnapshot| e.address == server.address && e.connections > 0;
    endpoints.iter().any(is_connected).then_some(()).ok_or(endpoints)
}

async fn delist(setup: &Setup, registration: Registration, server: &Server) {
    registration.deregister().await;
    within("removal from the list", || {
        let endpoints = setup.channel.snapshot().endpoints;
        let is_listed = |e: &EndpointSnapshot| e.address == server.address && e.listed;
        (!endpoints.iter().any(is_listed)).then_some(()).ok_or(endpoints)
    })
    .await;
}

/// Returns the known addresses; true if listed.
fn known(setup: &Setup) -> Vec<(std::net::SocketAddr, bool)> {
    setup.channel.snapshot().endpoints.iter().map(|e| (e.address, e.listed)).collect()
}

#[tokio::test]
async fn a_delisted_endpoint_serves_while_none_is_listed() {
    let setup = Setup::new();
    let server = delisted(&setup).await;
    assert_eq!(known(&setup), [(server.address, false)]);
    for _ in 0..10 {
        assert_eq!(call(&setup.channel, ADD).await.unwrap(), server.address.to_string());
    }
    assert_eq!(server.connections(), 1, "nothing is dialled for a last resort");
}

#[tokio::test]
async fn a_delisted_endpoint_serves_if_no_listed_one_connects() {
    let setup = Setup::new();
    let server = delisted(&setup).await;
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = closed.local_addr().unwrap();
    drop(closed);
    let _registration = setup.register(address).await;
    within("failure to connect", || {
        let endpoints = setup.channel.snapshot().endpoints;
        endpoints.iter().any(|e| e.last_error.is_some()).then_some(()).ok_or(endpoints)
    })
    .await;
    assert_eq!(call(&setup.channel, ADD).await.unwrap(), server.address.to_string());
    // Once it is connected, it gets all calls.
    let listed = Server::at(address, 100, |_| async { reply("listed") }).await;
    within("connection", || connected(&setup, &listed)).await;
    let before = server.hits();
    for _ in 0..20 {
        assert_eq!(call(&setup.channel, ADD).await.unwrap(), "listed");
    }
    assert_eq!(server.hits(), before);
}

#[tokio::test]
async fn a_full_or_ejected_listed_endpoint_beats_a_delisted_one() {
    let mut settings = ClientSettings::default().max_connections(1);
    settings.breaker.consecutive_failures = 1_000;
    settings.breaker.minimum_calls = 100;
    let setup = Setup::with(settings);
    let last_resort = delisted(&setup).await;
    let full = Server::limited(1, |_| async {
        tokio::time::sleep(Duration::from_millis(10)).await;
        reply("listed")
    })
    .await;
    let registration = setup.register(full.address).await;
    within("connection", || connected(&setup, &full)).await;
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let channel = setup.channel.clone();
        calls.spawn(async move { call(&channel, ADD).await.unwrap() });
    }
    assert_eq!(calls.join_all().await, vec!["listed"; 8]);
    registration.deregister().await;

    let sick =
        Server::answering(|_| async { crate::server::trailers_only(&[("grpc-status", "14")]) })
            .await;
    let nowhere = "127.0.0.1:1".parse().unwrap();
    let _registrations = [setup.register(nowhere).await, setup.register(sick.address).await];
    within("connection", || connected(&setup, &sick)).await;
    for _ in 0..10 {
        call(&setup.channel, ADD).await.unwrap_err();
    }
    let endpoints = setup.channel.snapshot().endpoints;
    let is_ejected = |e: &EndpointSnapshot| e.address == sick.address && e.ejected_for.is_some();
    assert!(endpoints.iter().any(is_ejected), "{endpoints:?}");
    assert_eq!(sick.hits(), 10);
    assert_eq!(last_resort.hits(), 0);
}

#[tokio::test]
async fn a_delisted_endpoint_is_not_dialled_again() {
    let settings = ClientSettings::default().endpoint_wait(Duration::from_millis(300));
    let setup = Setup::with(settings);
    let server = delisted(&setup).await;
    let address = server.address;
    drop(server);
    within("end of the last resort", || {
        known(&setup).is_empty().then_some(()).ok_or(known(&setup))
    })
    .await;
    let again = Server::at(address, 100, |_| async { reply("again") }).await;
    let status = call(&setup.channel, GET).await.unwrap_err();
    let says = ["no endpoint of echo", "the registry knows none"];
    assert_failed(&status, Code::Unavailable, GantryReason::NoEndpoint, &says);
    assert_eq!(again.connections(), 0);
}

#[tokio::test]
async fn a_delisted_endpoint_without_a_connection_is_gone_at_once() {
    let setup = Setup::new();
    let registration = setup.register("127.0.0.1:1".parse().unwrap()).await;
    within("endpoint", || (known(&setup).len() == 1).then_some(()).ok_or(known(&setup))).await;
    registration.deregister().await;
    within("removal", || known(&setup).is_empty().then_some(()).ok_or(known(&setup))).await;
}

#[tokio::test]
async fn a_relisted_endpoint_keeps_its_connection_and_state() {
    let setup = Setup::new();
    let server = delisted(&setup).await;
    call(&setup.channel, ADD).await.unwrap();
    let estimate = setup.channel.snapshot().endpoints[0].estimate;
    assert!(estimate.is_some());
    let _registration = setup.register(server.address).await;
    within("return", || {
        (known(&setup) == [(server.address, true)]).then_some(()).ok_or(known(&setup))
    })
    .await;
    let now = setup.channel.snapshot().endpoints[0].clone();
    assert!((now.connections, now.estimate.is_some()) == (1, true), "{now:?}");
    for _ in 0..10 {
        call(&setup.channel, ADD).await.unwrap();
    }
    assert_eq!(server.connections(), 1);
    // It is kept connected as before.
    let address = server.address;
    drop(server);
    within("loss", || {
        let connections = setup.channel.snapshot().endpoints[0].connections;
        (connections == 0).then_some(()).ok_or(connections)
    })
    .await;
    let _again = Server::at(address, 100, |_| async { reply("again") }).await;
    assert_eq!(call(&setup.channel, GET).await.unwrap(), "again");
}

#[tokio::test]
async fn a_changed_registration_is_no_last_resort() {
    let setup = Setup::new();
    let server = Server::start().await;
    let _gantry = setup.register(server.address).await;
    warm(&setup.channel, 1).await;
    let mut foreign = Instance::new("echo", server.address);
    foreign.meta.clear();
    let foreign = setup.registry.registrar.register(foreign).await.unwrap();
    within("second connection", || {
        (server.connections() == 2).then_some(()).ok_or(server.connections())
    })
    .await;
    call(&setup.channel, ADD).await.unwrap();
    assert_eq!(known(&setup), [(server.address, true)]);
    drop(foreign);
}

#[tokio::test]
async fn no_more_endpoints_are_kept_than_were_ever_listed_at_once() {
    let setup = Setup::new();
    let mut servers = Vec::new();
    for _ in 0..6 {
        servers.push(delisted(&setup).await);
        let last = servers.last().unwrap();
        within("bound", || {
            (known(&setup) == [(last.address, false)]).then_some(()).ok_or(known(&setup))
        })
        .await;
        assert_eq!(call(&setup.channel, ADD).await.unwrap(), last.address.to_string());
    }
    // The dropped ones are not connected any more.
    for server in servers.drain(..5) {
        timeout(GUARD, server.drain()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_that_forgets_all_endpoints_fails_no_call() {
    let servers = [Server::start().await, Server::start().await, Server::start().await];
    let setup = Setup::new();
    let mut registrations = Vec::new();
    for server in &servers {
        registrations.push(setup.register(server.address).await);
    }
    warm(&setup.channel, 3).await;
    let load = Load::start(&setup, 16);
    for _ in 0..5 {
        load.pass(100).await;
        for registration in registrations.drain(..) {
            registration.deregister().await;
        }
        load.pass(100).await;
        for server in &servers {
            registrations.push(setup.register(server.address).await);
        }
    }
    let (good, failed) = load.stop().await;
    assert!(failed.is_empty(), "{} of {good}: {:?}", failed.len(), failed.first());
    idle(&setup.channel).await;
    assert!(servers.iter().all(|server| server.connections() <= 4));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_draining_server_is_a_last_resort_and_loses_no_call() {
    let setup = Setup::new();
    let server = Server::slow(Duration::from_millis(2)).await;
    let registration = setup.register(server.address).await;
    warm(&setup.channel, 1).await;
    let load = Load::start(&setup, 16);
    load.pass(100).await;
    // The only endpoint leaves, and the next one joins only after that.
    delist(&setup, registration, &server).await;
    load.pass(200).await;
    server.drain().await;
    within("end of the last resort", || {
        known(&setup).is_empty().then_some(()).ok_or(known(&setup))
    })
    .await;
    let next = Server::start().await;
    let _registration = setup.register(next.address).await;
    load.pass(100).await;
    let (good, failed) = load.stop().await;
    assert!(failed.is_empty(), "{} of {good}: {:?}", failed.len(), failed.first());
}

#[tokio::test]
async fn a_last_resort_that_is_full_has_its_calls_wait_for_a_stream() {
    let settings = ClientSettings::default().max_connections(1);
    let setup = Setup::with(settings);
    let server = Server::limited(1, |_| async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        reply("late")
    })
    .await;
    let registration = setup.register(server.address).await;
    warm(&setup.channel, 1).await;
    delist(&setup, registration, &server).await;
    let channel = setup.channel.clone();
    let first = tokio::spawn(async move { call(&channel, ADD).await });
    within("first call", || (server.hits() == 1).then_some(()).ok_or(server.hits())).await;
    let started = Instant::now();
    let status = call(&setup.channel, QUICK).await.unwrap_err();
    assert!(started.elapsed() >= Duration::from_millis(200));
    let address = server.address.to_string();
    let says = [&*address, "all streams are taken"];
    assert_failed(&status, Code::DeadlineExceeded, GantryReason::DeadlineExceeded, &says);
    assert_eq!(call(&setup.channel, ADD).await.unwrap(), "late");
    first.await.unwrap().unwrap();
}
