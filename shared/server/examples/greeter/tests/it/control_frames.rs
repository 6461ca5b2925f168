//! Floods of control frames, and normal numbers of them.

use std::time::Duration;

use tokio::time::{sleep, timeout};

use crate::{
    TEST_TIMEOUT,
    floods::{Flooded, odd},
    frames::{
        DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, HEADERS, INITIAL_WINDOW_SIZE, PING,
        PRIORITY, Peer, WINDOW_UPDATE, call, frame, settings,
    },
};

/// Returns each kind of frame, and the debug data of the GOAWAY for a flood of it.
fn control_frames() -> [(Vec<u8>, &'static str); 7] {
    [
        (frame(PING, 0, 0, &[7; 8]), "too_many_pings"),
        (settings(&[(INITIAL_WINDOW_SIZE, 1)]), "too_many_settings"),
        (settings(&[]), "too_many_settings"),
        (frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]), "too_many_window_updates"),
        (frame(PING, END_STREAM, 0, &[7; 8]), "too_many_control_frames"),
        (frame(PRIORITY, 0, 1, &[0, 0, 0, 3, 7]), "too_many_control_frames"),
        // Unknown type.
        (frame(0x42, 0, 0, &[7; 100]), "too_many_control_frames"),
    ]
}

#[tokio::test]
async fn floods_of_control_frames_end_their_connection() {
    let flooded = Flooded::start().await;
    for (frame, debug_data) in control_frames() {
        let mut peer = Peer::connect(flooded.address).await;
        let goaway = timeout(TEST_TIMEOUT, peer.flood(&frame, 100_000)).await.expect("an end");
        // A reset of the connection may overtake the GOAWAY.
        let calm = (ENHANCE_YOUR_CALM, debug_data.to_owned());
        assert!(goaway.as_ref().is_none_or(|goaway| *goaway == calm), "{goaway:?}: not {calm:?}");
    }
    flooded.survived().await;
}

#[tokio::test]
async fn too_many_pings_have_the_debug_data_of_grpc() {
    let flooded = Flooded::start().await;
    let mut peer = Peer::connect(flooded.address).await;
    // Few enough for the server to read all of them. Unread data would reset the connection and
    // lose the GOAWAY.
    peer.send(&frame(PING, 0, 0, &[7; 8]).repeat(11)).await;
    let goaway = timeout(TEST_TIMEOUT, peer.last_goaway()).await.expect("an end");
    assert_eq!(goaway, Some((ENHANCE_YOUR_CALM, "too_many_pings".to_owned())));
    flooded.survived().await;
}

#[tokio::test]
async fn pings_per_answer_and_per_second_are_no_flood() {
    let flooded = Flooded::start().await;
    let mut peer = Peer::connect(flooded.address).await;
    let ping = frame(PING, 0, 0, &[7; 8]);
    for n in 0..200 {
        let mut call = frame(HEADERS, END_HEADERS, odd(n), &call("/grpc.health.v1.Health/Check"));
        call.extend(frame(DATA, END_STREAM, odd(n), &[0; 5]));
        assert!(peer.send(&call).await);
        // Trailers of the response.
        let answered = async { while peer.next().await.unwrap().0 != DATA {} };
        timeout(TEST_TIMEOUT, answered).await.unwrap();
        assert!(peer.send(&ping).await);
        let pong = async { while peer.next().await.expect("the connection stays").0 != PING {} };
        timeout(TEST_TIMEOUT, pong).await.unwrap();
    }
    for _ in 0..15 {
        sleep(Duration::from_millis(500)).await;
        assert!(peer.send(&ping).await);
        let pong = async { while peer.next().await.expect("the connection stays").0 != PING {} };
        timeout(TEST_TIMEOUT, pong).await.unwrap();
    }
    flooded.survived().await;
}
