//! Servers that leave: no call is lost if they drain, and no call is repeated that may have been
//! executed.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use gantry_client::Channel;
use gantry_contract::GantryReason;
use tonic::Code;

use crate::{
    caller::{ADD, GUARD, Setup, assert_failed, call, idle, warm},
    load::Load,
    raw,
    server::{Server, reply},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_that_drain_in_turn_lose_and_repeat_no_call() {
    let executed = Arc::<AtomicUsize>::default();
    let start = || {
        let executed = Arc::clone(&executed);
        Server::answering(move |hit| {
            let executed = Arc::clone(&executed);
            async move {
                // A call counts as executed once its message has arrived.
                let Some(_message) = hit.message().await else { return reply("") };
                executed.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(2)).await;
                reply("done")
            }
        })
    };
    let setup = Setup::new();
    let mut replicas = Vec::new();
    for _ in 0..3 {
        let server = start().await;
        let registration = setup.register(server.address).await;
        replicas.push((server, registration));
    }
    warm(&setup.channel, 3).await;
    let load = Load::start(&setup, 32);
    for turn in 0..9 {
        load.pass(200).await;
        let (server, registration) = replicas.remove(0);
        if turn % 3 == 0 {
            // The worst order: the endpoint is delisted after its GOAWAY.
            server.drain().await;
            registration.deregister().await;
        } else {
            registration.deregister().await;
            server.drain().await;
        }
        let server = start().await;
        let registration = setup.register(server.address).await;
        replicas.push((server, registration));
    }
    let (good, failed) = load.stop().await;
    assert!(failed.is_empty(), "{} of {good}: {:?}", failed.len(), failed.first());
    assert_eq!(executed.load(Ordering::SeqCst), good);
    idle(&setup.channel).await;
}

#[tokio::test]
async fn a_removed_endpoint_finishes_the_calls_it_has() {
    let server = Server::slow(Duration::from_millis(300)).await;
    let setup = Setup::new();
    let registration = setup.register(server.address).await;
    warm(&setup.channel, 1).await;
    let channel = setup.channel.clone();
    let under_way = tokio::spawn(async move { call(&channel, ADD).await });
    while server.hits() == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    registration.deregister().await;
    assert_eq!(under_way.await.unwrap().unwrap(), server.address.to_string());
}

#[tokio::test]
async fn a_dropped_channel_finishes_calls_and_closes_connections() {
    let server = Server::slow(Duration::from_millis(300)).await;
    let setup = Setup::new();
    let _registration = setup.register(server.address).await;
    warm(&setup.channel, 1).await;
    let channel = setup.channel.clone();
    let under_way = tokio::spawn(async move { call(&channel, ADD).await });
    while server.hits() == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    drop(setup.channel);
    assert_eq!(under_way.await.unwrap().unwrap(), server.address.to_string());
    // It ends only when no connection is left open.
    tokio::time::timeout(GUARD, server.drain()).await.unwrap();
}

#[tokio::test]
async fn a_connection_lost_in_mid_call_is_an_unknown_outcome() {
    let dying = Server::slow(Duration::from_secs(60)).await;
    let setup = Setup::new();
    let _dying = setup.register(dying.address).await;
    warm(&setup.channel, 1).await;
    let channel = setup.channel.clone();
    let under_way = tokio::spawn(async move { call(&channel, ADD).await });
    while dying.hits() == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let other = Server::start().await;
    let _other = setup.register(other.address).await;
    let address = dying.address.to_string();
    drop(dying);
    let status = under_way.await.unwrap().unwrap_err();
    let says = ["echo at", &address, "/test.Echo/Add", "may have been executed"];
    assert_failed(&status, Code::Unavailable, GantryReason::OutcomeUnknown, &says);
    assert_eq!(other.hits(), 0);
}

#[tokio::test]
async fn a_refused_stream_is_sent_once_more_elsewhere() {
    for refusal in [raw::Refusal::RefusedStream, raw::Refusal::GoAway] {
        let refusing = raw::refusing(refusal).await;
        let setup = Setup::new();
        let _refusing = setup.register(refusing.address).await;
        warm(&setup.channel, 1).await;
        let server = Server::start().await;
        let _server = setup.register(server.address).await;
        warm(&setup.channel, 2).await;
        for _ in 0..10 {
            let answer = call(&setup.channel, ADD).await.unwrap();
            assert_eq!(answer, server.address.to_string());
        }
        assert_eq!(server.hits(), 10);
        assert!(refusing.streams() > 0, "the refusing one was never tried");
    }
}

#[tokio::test]
async fn a_refused_call_goes_elsewhere_even_where_that_looks_worse() {
    let refusing = raw::refusing(raw::Refusal::RefusedStream).await;
    let slow = Server::slow(Duration::from_millis(500)).await;
    let setup = Setup::new();
    let _slow = setup.register(slow.address).await;
    call(&setup.channel, ADD).await.unwrap();
    let calls = |count: usize| -> Vec<_> {
        let call = |channel: Channel| async move { call(&channel, ADD).await };
        (0..count).map(|_| tokio::spawn(call(setup.channel.clone()))).collect()
    };
    // With this many calls in flight another one costs more than a failure.
    let busy = calls(60);
    let _refusing = setup.register(refusing.address).await;
    warm(&setup.channel, 2).await;
    for answer in busy.into_iter().chain(calls(5)) {
        assert_eq!(answer.await.unwrap().unwrap(), slow.address.to_string());
    }
    assert!(refusing.streams() > 0, "the refusing one was never tried");
}

#[tokio::test]
async fn a_second_refusal_is_an_error() {
    let refusing = raw::refusing(raw::Refusal::RefusedStream).await;
    let setup = Setup::new();
    let _refusing = setup.register(refusing.address).await;
    let status = call(&setup.channel, ADD).await.unwrap_err();
    let says = ["echo at", "took no further calls"];
    assert_failed(&status, Code::Unavailable, GantryReason::NoEndpoint, &says);
    assert_eq!(refusing.streams(), 2);
}

#[tokio::test]
async fn a_call_queued_on_a_closed_connection_goes_elsewhere() {
    // The server sends GOAWAY while nothing is in flight: a call that crosses it is not sent.
    let leaving = Server::start().await;
    let setup = Setup::new();
    let _leaving = setup.register(leaving.address).await;
    call(&setup.channel, ADD).await.unwrap();
    let other = Server::start().await;
    let _other = setup.register(other.address).await;
    let leaving_address = leaving.address.to_string();
    let draining = tokio::spawn(leaving.drain());
    let mut answered = Vec::new();
    for _ in 0..20 {
        answered.push(call(&setup.channel, ADD).await.unwrap());
    }
    draining.await.unwrap();
    let by_leaving = answered.iter().filter(|by| **by == leaving_address).count();
    assert_eq!(other.hits() + by_leaving, 20);
    assert_eq!(answered.last().unwrap(), &other.address.to_string());
}
