//! Calls that are dropped while their responses are on the way.

use std::time::Duration;

use gantry_client::ClientSettings;
use tokio::{task::JoinSet, time::timeout};

use crate::{
    caller::{ADD, Setup, call, idle, warm},
    raw::{self, HEADERS, RST_STREAM},
};

const ROUNDS: usize = 30;
const CALLS: usize = 100;

#[tokio::test]
async fn responses_to_cancelled_calls_keep_the_connection() {
    // Answers every dropped call, as if response and reset had crossed on the way. Answers the last
    // call normally.
    let peer = raw::peer(|mut wire| async move {
        wire.greet(&[]).await;
        let mut calls = 0;
        while let Some(frame) = wire.read().await {
            calls += usize::from(frame.kind == HEADERS);
            let is_last = frame.kind == HEADERS && calls > ROUNDS * CALLS;
            if frame.kind == RST_STREAM || is_last {
                wire.answer(frame.stream).await;
            }
        }
    })
    .await;
    let setup = Setup::with(ClientSettings::default().max_connections(1));
    let _registration = setup.register(peer.address).await;
    warm(&setup.channel, 1).await;
    for _ in 0..ROUNDS {
        let mut calls = JoinSet::new();
        for _ in 0..CALLS {
            let channel = setup.channel.clone();
            let given_up = Duration::from_millis(10);
            calls.spawn(async move { timeout(given_up, call(&channel, ADD)).await.is_err() });
        }
        assert!(!calls.join_all().await.contains(&false), "a call was lost");
    }
    call(&setup.channel, ADD).await.unwrap();
    assert_eq!(peer.connections(), 1);
    idle(&setup.channel).await;
}
