//! Failures of one endpoint do not open the breaker, and do not hide an outage.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use gantry_client::{ClientSettings, circuit_breaker::State};
use tokio::task::JoinSet;

use crate::{
    caller::{ADD, GET, Setup, call, idle, warm, within},
    raw::{self, Peer},
    server::{Server, reply, trailers_only},
};

/// Returns the number of non-repeatable calls that fail before the breaker opens. Panics above
/// `most`.
async fn failures_until_open(setup: &Setup, most: usize) -> usize {
    for failed in 0..=most {
        if setup.channel.snapshot().breaker.state == State::Open {
            return failed;
        }
        call(&setup.channel, ADD).await.unwrap_err();
    }
    panic!("closed after {most} failures: {:?}", setup.channel.snapshot());
}

const INTERNAL_ERROR: u32 = 2;

/// Returns settings with fast reconnects.
fn reconnecting() -> ClientSettings {
    ClientSettings::default()
        .reconnect_initial(Duration::from_millis(2))
        .reconnect_max(Duration::from_millis(2))
}

#[tokio::test]
async fn an_outage_of_nothing_but_writes_opens_it() {
    let setup = Setup::new();
    let mut kept = Vec::new();
    for _ in 0..3 {
        let server = Server::answering(|_| async { trailers_only(&[("grpc-status", "14")]) }).await;
        kept.push((setup.register(server.address).await, server));
    }
    warm(&setup.channel, 3).await;
    // Some of them eject endpoints, at most half of the set.
    failures_until_open(&setup, 10).await;
}

#[tokio::test]
async fn one_failing_endpoint_opens_it_if_the_other_is_ejected() {
    let sick = Arc::new(AtomicBool::new(false));
    let server = || {
        let sick = Arc::clone(&sick);
        Server::answering(move |_| {
            let sick = sick.load(Ordering::SeqCst);
            std::future::ready(if sick {
                trailers_only(&[("grpc-status", "14")])
            } else {
                reply("")
            })
        })
    };
    let always = Server::answering(|_| async { trailers_only(&[("grpc-status", "14")]) }).await;
    let mut settings = ClientSettings::default();
    settings.ejection.base_time = Duration::from_secs(300);
    let setup = Setup::with(settings);
    let sometimes = server().await;
    let _registrations =
        [setup.register(always.address).await, setup.register(sometimes.address).await];
    warm(&setup.channel, 2).await;
    // Failed calls make it look slow, so many others go to the healthy one.
    let ejected = || {
        let endpoints = setup.channel.snapshot().endpoints;
        endpoints.iter().any(|one| one.address == always.address && one.ejected_for.is_some())
    };
    let mut burst = JoinSet::new();
    while !ejected() {
        for _ in 0..16 {
            let channel = setup.channel.clone();
            burst.spawn(async move { drop(call(&channel, ADD).await) });
        }
        while burst.join_next().await.is_some() {}
        assert_eq!(setup.channel.snapshot().breaker.state, State::Closed);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    call(&setup.channel, ADD).await.unwrap();
    sick.store(true, Ordering::SeqCst);
    assert_eq!(failures_until_open(&setup, 5).await, 5);
}

/// Resets every stream.
async fn resetting() -> Peer {
    raw::serving(|mut wire, stream| async move {
        wire.reset(stream, INTERNAL_ERROR).await;
        wire
    })
    .await
}

/// Closes the connection at the first call on it.
async fn hanging_up() -> Peer {
    raw::peer(|mut wire| async move {
        wire.greet(&[]).await;
        wire.request().await;
    })
    .await
}

async fn opens_where_all_are(peers: [Peer; 3]) {
    let setup = Setup::with(reconnecting());
    let mut registrations = Vec::new();
    for peer in &peers {
        registrations.push(setup.register(peer.address).await);
    }
    for _ in 0..30 {
        if setup.channel.snapshot().breaker.state == State::Open {
            return;
        }
        // The others stay connected, so each looks like the only one that died.
        warm(&setup.channel, 3).await;
        call(&setup.channel, ADD).await.unwrap_err();
    }
    panic!("closed after 30 calls of which none was answered");
}

#[tokio::test]
async fn writes_that_all_endpoints_lose_open_it() {
    opens_where_all_are([resetting().await, resetting().await, resetting().await]).await;
    opens_where_all_are([hanging_up().await, hanging_up().await, hanging_up().await]).await;
}

#[tokio::test]
async fn dying_endpoints_do_not_open_it_if_one_is_left() {
    let setup = Setup::new();
    let mut replicas = Vec::new();
    for _ in 0..3 {
        let server = Server::answering(|_| async { std::future::pending().await }).await;
        replicas.push((setup.register(server.address).await, server));
    }
    warm(&setup.channel, 3).await;
    let mut calls = JoinSet::new();
    for _ in 0..60 {
        let channel = setup.channel.clone();
        calls.spawn(async move { call(&channel, ADD).await });
    }
    let hits = || replicas.iter().map(|(_, server)| server.hits()).collect::<Vec<_>>();
    within("calls", || {
        let hits = hits();
        (hits.iter().sum::<usize>() == 60).then_some(()).ok_or(hits)
    })
    .await;
    let held = hits()[..2].iter().sum();
    assert!(hits().iter().all(|&hits| hits >= 5), "{:?}", hits());
    // Only one of three may be ejected.
    drop(replicas.drain(..2));
    for _ in 0..held {
        calls.join_next().await.unwrap().unwrap().unwrap_err();
    }
    let breaker = setup.channel.snapshot().breaker;
    assert_eq!((breaker.state, breaker.generation), (State::Closed, 0));
    calls.abort_all();
    while calls.join_next().await.is_some() {}
    idle(&setup.channel).await;
}

#[tokio::test]
async fn a_sick_endpoint_does_not_open_it_for_writes() {
    let sick = Server::answering(|_| async { trailers_only(&[("grpc-status", "14")]) }).await;
    let well = Server::slow(Duration::from_millis(20)).await;
    let setup = Setup::new();
    let _registrations = [setup.register(sick.address).await, setup.register(well.address).await];
    warm(&setup.channel, 2).await;
    call(&setup.channel, GET).await.ok();
    let mut calls = JoinSet::new();
    for _ in 0..64 {
        let channel = setup.channel.clone();
        calls.spawn(async move { call(&channel, ADD).await });
    }
    while calls.join_next().await.is_some() {}
    let breaker = setup.channel.snapshot().breaker;
    assert_eq!((breaker.state, breaker.generation), (State::Closed, 0));
}
