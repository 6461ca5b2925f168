//! What one endpoint does alone does not open the breaker, and no outage hides behind that.

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

/// The calls that must not be repeated that fail before the breaker opens; panics where
/// they are more than `most`.
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

/// An endpoint is connected again soon after it was lost.
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
    // Some of them eject an endpoint, at most half of which are.
    failures_until_open(&setup, 10).await;
}

#[tokio::test]
async fn the_failures_of_one_endpoint_open_it_where_the_other_is_ejected_for_long() {
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
    // Calls that fail there make it look slow: many others go to the one that is well.
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

/// Closes the connection with the first call on it.
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
        // That the others are connected is what makes each look like one that died alone.
        warm(&setup.channel, 3).await;
        call(&setup.channel, ADD).await.unwrap_err();
    }
    panic!("closed after 30 calls of which none was answered");
}

#[tokio::test]
async fn endpoints_that_all_break_off_what_must_not_be_repeated_open_it() {
    opens_where_all_are([resetting().await, resetting().await, resetting().await]).await;
    opens_where_all_are([hanging_up().await, hanging_up().await, hanging_up().await]).await;
}

#[tokio::test]
async fn what_dying_endpoints_take_with_them_does_not_open_it_where_one_is_left() {
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
    within(5, "calls", || {
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
async fn a_sick_endpoint_does_not_open_it_for_what_must_not_be_repeated() {
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
