//! Requirements of HTTP/2 for a client, seen by its peer frame by frame.

use std::time::Duration;

use gantry_client::Channel;
use http::uri::PathAndQuery;
use tokio::{
    sync::mpsc::{self, Sender, UnboundedReceiver, UnboundedSender},
    time::timeout,
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Status, Streaming, client::Grpc};
use tonic_prost::ProstCodec;

use crate::{
    caller::{ADD, CHAT, GUARD, Setup, UNLISTED, call, idle, patient, send, warm, within},
    raw::{
        CANCEL, DATA, END_STREAM, ENHANCE_YOUR_CALM, GOAWAY, HEAD, INITIAL_WINDOW, NO_ERROR, Peer,
        RST_STREAM, WINDOW_UPDATE, Wire, peer, serving,
    },
    server::{Hit, Server, reply},
};

/// Channel for the observations of a peer.
fn seen<T>() -> (UnboundedSender<T>, UnboundedReceiver<T>) {
    mpsc::unbounded_channel()
}

async fn soon<T>(seen: &mut UnboundedReceiver<T>) -> T {
    timeout(GUARD, seen.recv()).await.expect("it never came").expect("the peer has gone")
}

/// Returns a channel to the peer, with calls that may take an hour.
async fn setup(peer: &Peer) -> (Setup, gantry_discovery::Registration) {
    let setup = Setup::with(patient());
    let registration = setup.register(peer.address).await;
    warm(&setup.channel, 1).await;
    (setup, registration)
}

fn requests() -> (Sender<String>, Request<ReceiverStream<String>>) {
    let (sender, receiver) = mpsc::channel(1);
    (sender, Request::new(ReceiverStream::new(receiver)))
}

/// Opens a bidirectional stream.
async fn chat(channel: &Channel) -> Result<(Sender<String>, Streaming<String>), Status> {
    let (sender, requests) = requests();
    let codec = ProstCodec::<String, String>::default();
    let path = PathAndQuery::from_static(UNLISTED);
    let response = Grpc::new(channel.clone()).streaming(requests, path, codec).await?;
    Ok((sender, response.into_inner()))
}

/// Uploads messages for one response.
async fn upload(channel: Channel, requests: Request<ReceiverStream<String>>) -> Result<(), Status> {
    let codec = ProstCodec::<String, String>::default();
    let path = PathAndQuery::from_static(CHAT);
    Grpc::new(channel).client_streaming(requests, path, codec).await.map(|_| ())
}

/// Reports the code of each reset stream.
async fn told_of_resets(head_first: bool) -> (Peer, UnboundedReceiver<u32>) {
    let (tell, resets) = seen();
    let peer = serving(move |mut wire: Wire, stream| {
        let tell = tell.clone();
        async move {
            if head_first {
                wire.headers(stream, &HEAD, 0).await;
            }
            if let Some(reset) = wire.next(RST_STREAM).await {
                assert_eq!(reset.stream, stream);
                let _ = tell.send(u32::from_be_bytes(reset.payload.try_into().unwrap()));
            }
            wire
        }
    })
    .await;
    (peer, resets)
}

#[tokio::test]
async fn a_cancelled_call_resets_its_stream() {
    let (peer, mut resets) = told_of_resets(false).await;
    let (setup, _registration) = setup(&peer).await;
    let calling = tokio::spawn({
        let channel = setup.channel.clone();
        async move { call(&channel, ADD).await }
    });
    within("stream", || (peer.streams() == 1).then_some(()).ok_or(())).await;
    calling.abort();
    assert_eq!(soon(&mut resets).await, CANCEL);

    let (peer, mut resets) = told_of_resets(true).await;
    let (setup, _registration) = self::setup(&peer).await;
    let (requests, answers) = chat(&setup.channel).await.unwrap();
    drop(answers);
    assert_eq!(soon(&mut resets).await, CANCEL);
    // The upload ends too.
    timeout(GUARD, requests.closed()).await.expect("the upload goes on");
    idle(&setup.channel).await;
    assert_eq!(peer.connections(), 1);
}

#[tokio::test]
async fn an_informational_head_is_skipped() {
    let peer = serving(|mut wire: Wire, stream| async move {
        for status in ["100", "103"] {
            wire.headers(stream, &[(":status", status), ("grpc-status", "13")], 0).await;
        }
        wire.answer(stream).await;
        wire
    })
    .await;
    let (setup, _registration) = setup(&peer).await;
    assert_eq!(call(&setup.channel, ADD).await.unwrap(), "");
}

#[tokio::test]
async fn an_early_response_ends_the_upload() {
    for resets in [false, true] {
        let peer = serving(move |mut wire: Wire, stream| async move {
            wire.answer(stream).await;
            if resets {
                wire.reset(stream, NO_ERROR).await;
            } else {
                let reset = wire.next(RST_STREAM).await;
                assert_eq!(reset.map(|reset| reset.stream), Some(stream));
            }
            wire
        })
        .await;
        let (setup, _registration) = setup(&peer).await;
        for _ in 0..3 {
            let (sender, requests) = requests();
            let upload = upload(setup.channel.clone(), requests);
            timeout(GUARD, upload).await.expect("the answer is not heard").unwrap();
            timeout(GUARD, sender.closed()).await.expect("the upload goes on");
        }
        idle(&setup.channel).await;
        assert_eq!(peer.connections(), 1);
    }
}

#[tokio::test]
async fn an_upload_waits_for_room_and_holds_its_caller_back() {
    const MESSAGES: usize = 20;
    let (tell, mut data) = seen();
    let (make_room, room) = seen::<u32>();
    let room_of = std::sync::Mutex::new(Some(room));
    let peer = peer(move |mut wire: Wire| {
        let (tell, mut room) = (tell.clone(), room_of.lock().unwrap().take().unwrap());
        async move {
            wire.greet(&[(INITIAL_WINDOW, 0)]).await;
            let stream = wire.request().await.unwrap();
            let more = room.recv().await.unwrap();
            wire.write(WINDOW_UPDATE, 0, stream, &more.to_be_bytes()).await;
            loop {
                let frame = wire.next(DATA).await.unwrap();
                let _ = tell.send(frame.payload.len());
                if frame.flags & END_STREAM > 0 {
                    break;
                }
            }
            wire.answer(stream).await;
            wire.wait().await;
        }
    })
    .await;
    let (setup, _registration) = setup(&peer).await;
    let (sender, requests) = requests();
    let uploading = tokio::spawn(upload(setup.channel.clone(), requests));
    let mut taken = 0;
    // Until a message is not accepted for a long time.
    while let Ok(sent) = timeout(Duration::from_millis(300), sender.send("x".repeat(100))).await {
        sent.unwrap();
        taken += 1;
        assert!(taken < MESSAGES, "it takes all that there is");
    }
    assert!(data.try_recv().is_err(), "it is sent where there is no room");
    make_room.send(1 << 20).unwrap();
    for _ in taken..MESSAGES {
        sender.send("x".repeat(100)).await.unwrap();
    }
    drop(sender);
    uploading.await.unwrap().unwrap();
    let mut received = 0;
    while let Ok(length) = data.try_recv() {
        received += length;
    }
    // Each is framed by gRPC (5 bytes) and by protobuf (2 bytes).
    assert_eq!(received, MESSAGES * 107);
}

#[tokio::test]
async fn only_read_data_makes_room_for_more() {
    const CHUNK: usize = 16_000;
    /// Window of a stream, in chunks.
    const ROOM: usize = (2 << 20) / CHUNK;
    let (tell, mut updates) = seen();
    let peer = serving(move |mut wire: Wire, stream| {
        let tell = tell.clone();
        async move {
            wire.headers(stream, &HEAD, 0).await;
            // One message with one string in each.
            let length = CHUNK - 5;
            let mut message = vec![0];
            message.extend(u32::try_from(length).unwrap().to_be_bytes());
            message.extend([0x0a, 0xf8, 0x7c]);
            message.resize(CHUNK, b'x');
            for _ in 0..ROOM {
                wire.write(DATA, 0, stream, &message).await;
            }
            while let Some(frame) = wire.read().await {
                if frame.kind == WINDOW_UPDATE && frame.stream == stream {
                    let _ = tell.send(());
                }
            }
            wire
        }
    })
    .await;
    let (setup, _registration) = setup(&peer).await;
    let (_requests, mut answers) = chat(&setup.channel).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(updates.try_recv().is_err(), "nothing was read yet");
    for _ in 0..ROOM {
        assert_eq!(answers.message().await.unwrap().unwrap().len(), CHUNK - 8);
    }
    soon(&mut updates).await;
}

#[tokio::test]
async fn a_goaway_under_calls_opens_another_connection_at_once() {
    let (tell, mut went) = seen();
    let peer = peer(move |mut wire: Wire| {
        let tell = tell.clone();
        async move {
            wire.greet(&[]).await;
            let Some(stream) = wire.request().await else { return };
            wire.go_away(stream, NO_ERROR).await;
            // Answers on request.
            let (go_on, mut told) = mpsc::channel::<()>(1);
            let _ = tell.send(go_on);
            told.recv().await;
            wire.answer(stream).await;
            wire.wait().await;
        }
    })
    .await;
    let (setup, _registration) = setup(&peer).await;
    let channel = setup.channel.clone();
    let calling = tokio::spawn(async move { call(&channel, ADD).await });
    let go_on = soon(&mut went).await;
    // No other call fails first.
    within("second connection", || (peer.connections() == 2).then_some(()).ok_or(())).await;
    warm(&setup.channel, 1).await;
    assert_eq!(setup.channel.snapshot().endpoints[0].in_flight, 1);
    go_on.send(()).await.unwrap();
    assert_eq!(calling.await.unwrap().unwrap(), "");
    idle(&setup.channel).await;
}

#[tokio::test]
async fn fields_that_http2_forbids_are_not_sent() {
    const FORBIDDEN: [&str; 5] =
        ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"];
    let server = Server::answering(|hit: Hit| async move {
        let headers = hit.request.headers();
        let sent = FORBIDDEN.iter().filter(|name| headers.contains_key(**name)).count();
        reply(&format!("{sent} and {:?}", headers.get("te")))
    })
    .await;
    let setup = Setup::new();
    let _registration = setup.register(server.address).await;
    let mut request = Request::new("hello".to_owned());
    for name in FORBIDDEN {
        request.metadata_mut().insert(name, "close".parse().unwrap());
    }
    let answer = send(&setup.channel, ADD, request).await.unwrap().into_inner();
    assert_eq!(answer, "0 and Some(\"trailers\")");
}

#[tokio::test]
async fn a_peer_that_ends_answers_as_jetty_does_keeps_its_connection() {
    let peer = serving(|mut wire: Wire, stream| async move {
        wire.headers(stream, &HEAD, 0).await;
        wire.write(DATA, 0, stream, &[0; 5]).await;
        wire.write(DATA, 0, stream, &[]).await;
        wire.write(DATA, 0, stream, &[]).await;
        wire.headers(stream, &[("grpc-status", "0")], END_STREAM).await;
        wire
    })
    .await;
    let (setup, _registration) = setup(&peer).await;
    for _ in 0..500 {
        assert_eq!(call(&setup.channel, ADD).await.unwrap(), "");
    }
    assert_eq!(peer.connections(), 1);
}

#[tokio::test]
async fn a_flood_of_empty_data_ends_its_connection() {
    let (tell, mut told) = seen();
    let peer = serving(move |mut wire: Wire, stream| {
        let tell = tell.clone();
        async move {
            wire.headers(stream, &HEAD, 0).await;
            for _ in 0..2000 {
                wire.write(DATA, 0, stream, &[]).await;
            }
            let _ = tell.send(wire.next(GOAWAY).await.map(|frame| frame.payload));
            wire
        }
    })
    .await;
    let (setup, _registration) = setup(&peer).await;
    let status = call(&setup.channel, ADD).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::Unavailable, "{status:?}");
    let payload = soon(&mut told).await.expect("a GOAWAY");
    assert_eq!(payload[4..8], ENHANCE_YOUR_CALM.to_be_bytes());
}
