//! Peers with misbehaving connections: calls are made if possible, and no dial loop starts.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use gantry_client::ClientSettings;
use gantry_contract::GantryReason;
use tokio::time::timeout;
use tonic::Code;

use crate::{
    caller::{ADD, GUARD, QUICK, Setup, assert_failed, call, idle, patient, warm, within},
    load::Load,
    raw::{ACK, HEADERS, LAST_STREAM, NO_ERROR, Peer, SETTINGS, Wire, peer},
};

const MAX_STREAMS: u16 = 3;
const ENHANCE_YOUR_CALM: u32 = 11;

#[tokio::test]
async fn an_immediate_goaway_is_redialled_with_growing_pauses() {
    for (last, code) in [(0, NO_ERROR), (LAST_STREAM, NO_ERROR), (0, ENHANCE_YOUR_CALM)] {
        let peer = peer(move |mut wire: Wire| async move {
            wire.greet(&[]).await;
            wire.go_away(last, code).await;
            wire.wait().await;
        })
        .await;
        let settings = ClientSettings::default().endpoint_wait(Duration::from_millis(1_500));
        let setup = Setup::with(settings);
        let _registration = setup.register(peer.address).await;
        let mut calls = tokio::task::JoinSet::new();
        for _ in 0..20 {
            let channel = setup.channel.clone();
            calls.spawn(async move { timeout(GUARD, call(&channel, ADD)).await });
        }
        for result in calls.join_all().await {
            let status = result.expect("a caller hangs").unwrap_err();
            assert_eq!(status.code(), Code::Unavailable, "{status:?}");
            assert!(status.message().contains(&peer.address.to_string()), "{status:?}");
        }
        // 100 ms, 160 ms, 256 ms and so on: 6 dials in 1.5 s, each shortened by a fifth at most.
        assert!(peer.connections() <= 10, "{} dials", peer.connections());
        idle(&setup.channel).await;
    }
}

#[tokio::test]
async fn a_goaway_after_every_few_streams_loses_no_call() {
    // A proxy that closes connections after a number of requests.
    for (streams, clients) in [(1, 1), (3, 1), (50, 4)] {
        let peer = peer(move |mut wire: Wire| async move {
            wire.greet(&[]).await;
            for turn in 1..=streams {
                let Some(stream) = wire.request().await else { return };
                if turn == streams {
                    wire.go_away(stream, NO_ERROR).await;
                }
                wire.answer(stream).await;
            }
            wire.wait().await;
        })
        .await;
        let setup = Setup::with(patient());
        let _registration = setup.register(peer.address).await;
        let load = Load::start(&setup, clients);
        load.pass(200).await;
        let (good, failed) = load.stop().await;
        assert!(failed.is_empty(), "{} of {good}: {:?}", failed.len(), failed.first());
        // Each dial serves calls: the connections are bounded by the streams, plus some in passing.
        let most = 2 * (peer.streams() / streams) + 8;
        assert!(peer.connections() <= most, "{} dials for {good} calls", peer.connections());
        idle(&setup.channel).await;
    }
}

#[tokio::test]
async fn a_raised_limit_of_streams_wakes_waiting_calls() {
    for initial in [0, 1] {
        let raised = Arc::<AtomicBool>::default();
        let raise = Arc::clone(&raised);
        let peer = peer(move |mut wire: Wire| {
            let raise = Arc::clone(&raise);
            async move {
                wire.greet(&[(MAX_STREAMS, initial)]).await;
                let mut open = Vec::new();
                if initial > 0 {
                    open.extend(wire.request().await);
                }
                while !raise.load(Ordering::SeqCst) {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                wire.settings(&[(MAX_STREAMS, 10)]).await;
                // All ten at once, or none is answered.
                while open.len() < 10 {
                    let Some(stream) = wire.request().await else { return };
                    open.push(stream);
                }
                for stream in open {
                    wire.answer(stream).await;
                }
                wire.wait().await;
            }
        })
        .await;
        let setup = Setup::with(patient().max_connections(1));
        let _registration = setup.register(peer.address).await;
        warm(&setup.channel, 1).await;
        let mut calls = tokio::task::JoinSet::new();
        for _ in 0..10 {
            let channel = setup.channel.clone();
            calls.spawn(async move { call(&channel, ADD).await.unwrap() });
        }
        within("streams", || {
            let streams = u32::try_from(peer.streams()).unwrap();
            (streams == initial).then_some(()).ok_or(streams)
        })
        .await;
        raised.store(true, Ordering::SeqCst);
        timeout(GUARD, calls.join_all()).await.expect("nobody heard of it");
        idle(&setup.channel).await;
        assert_eq!(peer.connections(), 1);
    }
}

#[tokio::test]
async fn a_limit_that_falls_to_0_and_rises_again_is_no_end() {
    let (limit, heard) = (Arc::new(AtomicU32::new(100)), Arc::<AtomicU32>::default());
    let (wanted, acknowledged) = (Arc::clone(&limit), Arc::clone(&heard));
    let peer = peer(move |mut wire: Wire| {
        let (wanted, acknowledged) = (Arc::clone(&wanted), Arc::clone(&acknowledged));
        async move {
            let mut said = wanted.load(Ordering::SeqCst);
            wire.greet(&[(MAX_STREAMS, said)]).await;
            loop {
                let now = wanted.load(Ordering::SeqCst);
                if now != said {
                    wire.settings(&[(MAX_STREAMS, now)]).await;
                    said = now;
                }
                if !wire.has_more(Duration::from_millis(2)).await {
                    continue;
                }
                let Some(frame) = wire.read().await else { return };
                match (frame.kind, frame.flags) {
                    (HEADERS, _) => wire.answer(frame.stream).await,
                    (SETTINGS, ACK) => acknowledged.store(said, Ordering::SeqCst),
                    _ => {}
                }
            }
        }
    })
    .await;
    let setup = Setup::new();
    let _registration = setup.register(peer.address).await;
    let change = async |to: u32| {
        limit.store(to, Ordering::SeqCst);
        within("acknowledgement", || {
            let heard = heard.load(Ordering::SeqCst);
            (heard == to).then_some(()).ok_or(heard)
        })
        .await;
    };
    for _ in 0..3 {
        call(&setup.channel, ADD).await.unwrap();
        change(0).await;
        // The first call is sent before the new limit applies, the second finds no stream.
        for _ in 0..2 {
            let status = timeout(GUARD, call(&setup.channel, QUICK)).await;
            let status = status.unwrap().unwrap_err();
            let says = [&*peer.address.to_string()];
            assert_failed(&status, Code::DeadlineExceeded, GantryReason::DeadlineExceeded, &says);
        }
        change(100).await;
        let again = timeout(GUARD, call(&setup.channel, ADD)).await;
        again.expect("it never recovers").unwrap();
    }
    idle(&setup.channel).await;
    assert_eq!(peer.connections(), 1);
}

/// Peer with a first connection that accepts everything and answers nothing, not even pings.
async fn dead_at_first() -> Peer {
    let is_first = AtomicBool::new(true);
    peer(move |mut wire: Wire| {
        let is_dead = is_first.swap(false, Ordering::SeqCst);
        async move {
            wire.greet(&[]).await;
            if is_dead {
                return wire.swallow().await;
            }
            while let Some(stream) = wire.request().await {
                wire.answer(stream).await;
            }
        }
    })
    .await
}

fn pinging() -> Setup {
    Setup::with(
        patient()
            .keep_alive_interval(Duration::from_millis(50))
            // Longer than a stall of the other connection on a busy machine.
            .keep_alive_timeout(Duration::from_secs(1)),
    )
}

#[tokio::test]
async fn a_connection_that_died_silently_is_noticed_without_a_call() {
    let peer = dead_at_first().await;
    let setup = pinging();
    let _registration = setup.register(peer.address).await;
    within("second connection", || {
        (peer.connections() == 2).then_some(()).ok_or(peer.connections())
    })
    .await;
    call(&setup.channel, ADD).await.unwrap();
}

#[tokio::test]
async fn a_call_on_a_silently_dead_connection_fails_early() {
    let peer = dead_at_first().await;
    let setup = pinging();
    let _registration = setup.register(peer.address).await;
    warm(&setup.channel, 1).await;
    let status = timeout(GUARD, call(&setup.channel, ADD)).await.unwrap();
    let (status, says) = (status.unwrap_err(), [&*peer.address.to_string()]);
    assert_failed(&status, Code::Unavailable, GantryReason::OutcomeUnknown, &says);
    call(&setup.channel, ADD).await.unwrap();
    assert_eq!(peer.connections(), 2);
}
