//! Distribution of the calls.

use std::{collections::HashMap, time::Duration};

use gantry_client::ClientSettings;
use gantry_contract::GantryReason;
use tokio::{net::TcpListener, time::Instant};
use tonic::Code;

use crate::{
    caller::{ADD, GET, Setup, assert_failed, call, idle, warm, within},
    server::{Server, reply, trailers_only},
};

async fn shares(setup: &Setup, calls: usize) -> HashMap<String, usize> {
    let mut shares = HashMap::new();
    for _ in 0..calls {
        *shares.entry(call(&setup.channel, GET).await.unwrap()).or_default() += 1;
    }
    shares
}

#[tokio::test]
async fn three_replicas_share_the_calls() {
    let servers = [Server::start().await, Server::start().await, Server::start().await];
    let setup = Setup::new();
    let mut registrations = Vec::new();
    for server in &servers {
        registrations.push(setup.register(server.address).await);
    }
    warm(&setup.channel, 3).await;
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..32 {
        let channel = setup.channel.clone();
        calls.spawn(async move {
            for _ in 0..20 {
                call(&channel, GET).await.unwrap();
            }
        });
    }
    calls.join_all().await;
    let hits = servers.each_ref().map(Server::hits);
    assert_eq!(hits.iter().sum::<usize>(), 640);
    assert!(hits.iter().all(|hits| *hits > 64), "{hits:?}");
    idle(&setup.channel).await;
}

#[tokio::test]
async fn a_slow_replica_gets_few_calls() {
    let fast = [Server::start().await, Server::start().await];
    let slow = Server::slow(Duration::from_millis(250)).await;
    let setup = Setup::new();
    let mut registrations = vec![setup.register(slow.address).await];
    for server in &fast {
        registrations.push(setup.register(server.address).await);
    }
    warm(&setup.channel, 3).await;
    shares(&setup, 300).await;
    assert!(slow.hits() <= 15, "{} of 300 calls went to the slow one", slow.hits());
}

#[tokio::test]
async fn a_joining_endpoint_gets_calls_a_leaving_one_none() {
    let (first, second) = (Server::start().await, Server::start().await);
    let setup = Setup::new();
    let leaving = setup.register(first.address).await;
    assert_eq!(call(&setup.channel, GET).await.unwrap(), first.address.to_string());

    let _second = setup.register(second.address).await;
    warm(&setup.channel, 2).await;
    assert_eq!(call(&setup.channel, GET).await.unwrap(), second.address.to_string());

    leaving.deregister().await;
    within("removal", || {
        let snapshot = setup.channel.snapshot();
        let listed = snapshot.endpoints.iter().filter(|endpoint| endpoint.listed).count();
        (listed == 1).then_some(()).ok_or(snapshot.endpoints)
    })
    .await;
    let before = first.hits();
    shares(&setup, 50).await;
    assert_eq!(first.hits(), before);
}

#[tokio::test]
async fn an_endpoint_that_refuses_connections_is_skipped() {
    let server = Server::start().await;
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let refusing = closed.local_addr().unwrap();
    drop(closed);
    let setup = Setup::new();
    let _registrations = [setup.register(refusing).await, setup.register(server.address).await];
    for _ in 0..50 {
        call(&setup.channel, ADD).await.unwrap();
    }
    assert_eq!(server.hits(), 50);
    let snapshot = setup.channel.snapshot();
    let refused = snapshot.endpoints.iter().find(|e| e.address == refusing).unwrap();
    assert!(refused.last_error.as_deref().unwrap().contains("refused"), "{refused:?}");
}

#[tokio::test]
async fn an_endpoint_that_accepts_and_stays_silent_gets_no_call() {
    let server = Server::start().await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let setup = Setup::new();
    let _registrations =
        [setup.register(silent.local_addr().unwrap()).await, setup.register(server.address).await];
    warm(&setup.channel, 1).await;
    for _ in 0..50 {
        call(&setup.channel, ADD).await.unwrap();
    }
    assert_eq!(server.hits(), 50);
}

#[tokio::test]
async fn a_call_waits_for_an_endpoint_that_comes_within_the_bound() {
    let setup = Setup::new();
    let channel = setup.channel.clone();
    let waiting = tokio::spawn(async move { call(&channel, ADD).await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!waiting.is_finished());
    let server = Server::start().await;
    let _registration = setup.register(server.address).await;
    assert_eq!(waiting.await.unwrap().unwrap(), server.address.to_string());
}

#[tokio::test]
async fn without_an_endpoint_a_call_fails_after_the_wait() {
    let settings = ClientSettings::default().endpoint_wait(Duration::from_millis(200));
    let setup = Setup::with(settings);
    tokio::time::pause();
    let started = Instant::now();
    let status = call(&setup.channel, GET).await.unwrap_err();
    let took = started.elapsed();
    tokio::time::resume();
    assert!((200..=201).contains(&took.as_millis()), "{took:?}");
    let says = ["no endpoint of echo", "/test.Echo/Get", "the registry knows none"];
    assert_failed(&status, Code::Unavailable, GantryReason::NoEndpoint, &says);

    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = closed.local_addr().unwrap();
    drop(closed);
    let _registration = setup.register(address).await;
    let status = call(&setup.channel, GET).await.unwrap_err();
    let address = address.to_string();
    let says = ["no endpoint of echo", &address, "refused"];
    assert_failed(&status, Code::Unavailable, GantryReason::NoEndpoint, &says);
}

#[tokio::test]
async fn a_restarted_replica_gets_calls_at_once() {
    let well = Server::start().await;
    let crashing = Server::answering(|_| async { trailers_only(&[("grpc-status", "14")]) }).await;
    let address = crashing.address;
    let setup = Setup::new();
    let _registrations = [setup.register(well.address).await, setup.register(address).await];
    warm(&setup.channel, 2).await;
    while crashing.hits() == 0 {
        let _ = call(&setup.channel, GET).await;
    }
    drop(crashing);
    warm(&setup.channel, 1).await;
    let back = Server::at(address, 100, |_| async { reply("back") }).await;
    warm(&setup.channel, 2).await;
    shares(&setup, 20).await;
    assert!(back.hits() > 0);
    idle(&setup.channel).await;
}

#[tokio::test]
async fn an_endpoint_that_comes_back_is_found_by_waiting_calls() {
    let server = Server::start().await;
    let address = server.address;
    let setup = Setup::new();
    let _registration = setup.register(address).await;
    call(&setup.channel, GET).await.unwrap();
    drop(server);
    within("loss", || {
        let connections = setup.channel.snapshot().endpoints[0].connections;
        (connections == 0).then_some(()).ok_or(connections)
    })
    .await;
    let channel = setup.channel.clone();
    let waiting = tokio::spawn(async move { call(&channel, ADD).await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    let _server = Server::at(address, 100, |_| async { reply("again") }).await;
    assert_eq!(waiting.await.unwrap().unwrap(), "again");
}
