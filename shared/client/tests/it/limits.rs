//! Peer's limit of streams, and calls above it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use gantry_client::ClientSettings;
use gantry_contract::{GantryReason, Reason as _};
use tokio::{
    sync::{Barrier, Semaphore},
    task::JoinSet,
    time::timeout,
};
use tonic::Code;

use crate::{
    caller::{ADD, GET, GUARD, QUICK, Setup, assert_failed, call, idle, patient, warm, within},
    server::{Server, reply},
};

#[tokio::test]
async fn more_calls_than_one_connection_allows_open_more_connections() {
    let gate = Arc::new(Semaphore::new(0));
    let at_gate = Arc::clone(&gate);
    let server = Server::limited(100, move |_| {
        let gate = Arc::clone(&at_gate);
        async move {
            gate.acquire().await.unwrap().forget();
            reply("through")
        }
    })
    .await;
    let setup = Setup::with(patient());
    let _registration = setup.register(server.address).await;
    let mut calls = JoinSet::new();
    for _ in 0..350 {
        let channel = setup.channel.clone();
        calls.spawn(async move { call(&channel, ADD).await });
    }
    within("350 calls in flight", || (server.hits() == 350).then_some(()).ok_or(server.hits()))
        .await;
    assert_eq!(server.connections(), 4);
    gate.add_permits(350);
    assert!(calls.join_all().await.into_iter().all(|result| result.is_ok()));
    idle(&setup.channel).await;
}

#[tokio::test]
async fn a_peer_gets_four_connections_whatever_it_allows_on_one() {
    for streams in [1, 2, 10, 16, 17, 100] {
        let gate = Arc::new(Semaphore::new(0));
        let at_gate = Arc::clone(&gate);
        let server = Server::limited(streams, move |_| {
            let gate = Arc::clone(&at_gate);
            async move {
                gate.acquire().await.unwrap().forget();
                reply("through")
            }
        })
        .await;
        let setup = Setup::with(patient());
        let _registration = setup.register(server.address).await;
        warm(&setup.channel, 1).await;
        call_through(&setup, &gate).await;
        assert_eq!(server.connections(), 1, "calls one by one need one, {streams} streams");
        let fill = 4 * streams as usize;
        let mut calls = JoinSet::new();
        for _ in 0..2 * fill {
            let channel = setup.channel.clone();
            calls.spawn(async move { call(&channel, ADD).await });
        }
        within("full connections", || {
            let now = server.hits() - 3;
            (now >= fill).then_some(()).ok_or((now, server.connections()))
        })
        .await;
        assert_eq!(server.connections(), 4, "{streams} streams");
        gate.add_permits(2 * fill);
        assert!(calls.join_all().await.into_iter().all(|result| result.is_ok()));
        assert_eq!(server.connections(), 4, "{streams} streams");
        idle(&setup.channel).await;
    }
}

async fn call_through(setup: &Setup, gate: &Semaphore) {
    for _ in 0..3 {
        gate.add_permits(1);
        call(&setup.channel, ADD).await.unwrap();
    }
}

#[tokio::test]
async fn above_16_endpoints_each_has_one_connection() {
    let gate = Arc::new(Semaphore::new(0));
    let at_gate = Arc::clone(&gate);
    let server = Server::answering(move |_| {
        let gate = Arc::clone(&at_gate);
        async move {
            gate.acquire().await.unwrap().forget();
            reply("through")
        }
    })
    .await;
    let setup = Setup::with(patient());
    let mut registrations = vec![setup.register(server.address).await];
    // They are not reachable, but count.
    for port in 1..=16 {
        registrations.push(setup.register(([127, 0, 0, 1], port).into()).await);
    }
    warm(&setup.channel, 1).await;
    let mut calls = JoinSet::new();
    for _ in 0..100 {
        let channel = setup.channel.clone();
        calls.spawn(async move { call(&channel, ADD).await });
    }
    within("100 calls in flight", || (server.hits() == 100).then_some(()).ok_or(server.hits()))
        .await;
    assert_eq!(server.connections(), 1);
    // One endpoint less allows more connections.
    registrations.pop().unwrap().deregister().await;
    within("16 endpoints", || {
        let count = setup.channel.snapshot().endpoints.len();
        (count == 16).then_some(()).ok_or(count)
    })
    .await;
    let channel = setup.channel.clone();
    calls.spawn(async move { call(&channel, ADD).await });
    within("a second connection", || {
        (server.connections() > 1).then_some(()).ok_or(server.connections())
    })
    .await;
    gate.add_permits(101);
    assert!(calls.join_all().await.into_iter().all(|result| result.is_ok()));
}

#[tokio::test]
async fn calls_above_the_peers_limit_wait_for_a_stream() {
    const LIMIT: usize = 10;
    let (now, most) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
    let peak = Arc::clone(&most);
    // Answers ten calls at a time: with fewer at once, the rest would wait for ever.
    let all = Arc::new(Barrier::new(LIMIT));
    let server = Server::limited(LIMIT as u32, move |_| {
        let (now, most, all) = (Arc::clone(&now), Arc::clone(&most), Arc::clone(&all));
        async move {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            all.wait().await;
            now.fetch_sub(1, Ordering::SeqCst);
            reply("done")
        }
    })
    .await;
    // Thirty turns of ten may take longer than the usual 5 s on a busy machine.
    let setup = Setup::with(patient().max_connections(1));
    let _registration = setup.register(server.address).await;
    warm(&setup.channel, 1).await;
    let mut calls = JoinSet::new();
    for _ in 0..30 * LIMIT {
        let channel = setup.channel.clone();
        calls.spawn(async move { call(&channel, ADD).await.unwrap() });
    }
    let answers = timeout(GUARD, calls.join_all()).await.unwrap();
    assert_eq!(answers.len(), 30 * LIMIT);
    assert_eq!(server.connections(), 1);
    assert_eq!(peak.load(Ordering::SeqCst), LIMIT);
    idle(&setup.channel).await;
}

#[tokio::test]
async fn a_call_that_gets_no_stream_until_its_deadline_says_so() {
    let server = Server::limited(1, |_| async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        reply("late")
    })
    .await;
    let settings = ClientSettings::default().max_connections(1);
    let setup = Setup::with(settings);
    let _registration = setup.register(server.address).await;
    warm(&setup.channel, 1).await;
    let channel = setup.channel.clone();
    let first = tokio::spawn(async move { call(&channel, GET).await });
    while server.hits() == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let status = call(&setup.channel, QUICK).await.unwrap_err();
    let address = server.address.to_string();
    let says = ["/test.Echo/Quick", &address, "all streams are taken"];
    assert_failed(&status, Code::DeadlineExceeded, GantryReason::DeadlineExceeded, &says);
    first.await.unwrap().unwrap();
}

#[tokio::test]
async fn queued_calls_wait_for_an_endpoint_if_all_are_lost() {
    let server = Server::limited(1, |_| std::future::pending()).await;
    let setup = Setup::with(patient().max_connections(1).endpoint_wait(Duration::from_millis(300)));
    let _registration = setup.register(server.address).await;
    warm(&setup.channel, 1).await;
    let mut calls = JoinSet::new();
    for _ in 0..10 {
        let channel = setup.channel.clone();
        calls.spawn(async move { call(&channel, ADD).await.unwrap_err() });
    }
    within("call", || (server.hits() == 1).then_some(()).ok_or(server.hits())).await;
    drop(server);
    let failed = timeout(GUARD, calls.join_all()).await.expect("callers hang");
    let waited = failed.iter().filter(|status| GantryReason::NoEndpoint.is_given_by(status));
    assert_eq!(waited.count(), 9, "{failed:?}");
}
