//! Methods of all four kinds, and request streams that are slow, invalid or interrupted.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use gantry_probe::probe::v1::{
    ActRequest, AddRequest, AddResponse, CountRequest, RepeatRequest, RepeatResponse,
};
use prost::Message;
use tokio::{
    sync::mpsc,
    time::{Instant, timeout},
};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::{
    log::Log,
    raw::{Uploading, framed, upload},
    world::{TEST_TIMEOUT, World, eventually, lenient, reason},
};

const ADD: &str = "/probe.v1.ProbeService/Add";
const REPEAT: &str = "/probe.v1.ProbeService/Repeat";

fn add(number: u32) -> AddRequest {
    AddRequest { number, ..AddRequest::default() }
}

fn repeat(number: u32) -> RepeatRequest {
    RepeatRequest { number, last: false }
}

/// Returns a stream and its sender. The stream ends when the sender is dropped.
fn said<T: Send + 'static>() -> (mpsc::UnboundedSender<T>, UnboundedReceiverStream<T>) {
    let (say, said) = mpsc::unbounded_channel();
    (say, UnboundedReceiverStream::new(said))
}

#[tokio::test]
async fn a_stock_client_calls_methods_of_all_four_kinds() {
    let world = World::start().await;
    let mut client = world.client().await;
    client.act(ActRequest::default()).await.unwrap();
    let numbers = client.count(CountRequest { to: 3, ..CountRequest::default() }).await.unwrap();
    assert_eq!(numbers.into_inner().map(|number| number.unwrap().number).count().await, 3);
    let sum = client.add(stream::iter((1..=100).map(add))).await.unwrap();
    assert_eq!(sum.into_inner().sum, 5050);
    let nothing = client.add(stream::iter([])).await.unwrap();
    assert_eq!(nothing.into_inner().sum, 0);
    // Each number is echoed before the next one is sent.
    let (say, requests) = said();
    let mut answers = client.repeat(requests).await.unwrap().into_inner();
    for number in 1..=3 {
        say.send(repeat(number)).unwrap();
        assert_eq!(answers.next().await.unwrap().unwrap(), RepeatResponse { number });
    }
    drop(say);
    assert!(answers.next().await.is_none());
    assert_eq!((world.seen.started(), world.seen.finished()), (5, 5));
}

#[tokio::test]
async fn a_peer_stays_within_its_window_until_data_is_read() {
    let settings = lenient();
    let window = settings.connections.stream_window_bytes as usize;
    let world = World::with(|builder| builder.settings(settings)).await;
    let Uploading { answer, mut body, .. } = upload(&world, ADD, None).await;
    // The handler pauses at the first message, and the rest waits at the peer.
    let first = framed(&AddRequest { nap_ms: 3000, ..add(1) });
    let read = first.len();
    let mut sent = read;
    body.send_data(first, false).unwrap();
    eventually("the call runs", || world.seen.started() == 1).await;
    let second = framed(&AddRequest { ballast: vec![0; 1_000_000], ..add(2) });
    let mut rest = second;
    let started = Instant::now();
    while !rest.is_empty() {
        body.reserve_capacity(rest.len());
        let granted = timeout(TEST_TIMEOUT, std::future::poll_fn(|cx| body.poll_capacity(cx)));
        let granted = granted.await.expect("the handler reads on").unwrap().unwrap();
        let part = rest.split_to(granted.min(rest.len()));
        sent += part.len();
        body.send_data(part, rest.is_empty()).unwrap();
        if started.elapsed() < Duration::from_secs(1) {
            assert!(sent <= window + read, "{sent} bytes are in flight");
        }
    }
    let answer = timeout(TEST_TIMEOUT, answer).await.unwrap().unwrap();
    let mut answer = answer.into_body();
    let data = answer.data().await.unwrap().unwrap();
    assert_eq!(AddResponse::decode(&data[5..]).unwrap().sum, 3);
    assert_eq!(answer.trailers().await.unwrap().unwrap()["grpc-status"], "0");
    assert!(sent > 1_000_000);
}

#[tokio::test]
async fn an_invalid_message_ends_its_stream_and_names_the_field() {
    let world = World::start().await;
    let mut client = world.client().await;
    let invalid = |status: &Status| {
        assert_eq!((status.code(), &*reason(status)), (Code::InvalidArgument, "VALIDATION_FAILED"));
        assert_eq!(status.get_details_bad_request().unwrap().field_violations[0].field, "number");
    };
    let refused = client.add(stream::iter([add(1), add(1000), add(2)])).await.unwrap_err();
    invalid(&refused);
    let (say, requests) = said();
    let mut answers = client.repeat(requests).await.unwrap().into_inner();
    say.send(repeat(1)).unwrap();
    say.send(repeat(1000)).unwrap();
    assert_eq!(answers.next().await.unwrap().unwrap().number, 1);
    invalid(&answers.next().await.unwrap().unwrap_err());
    eventually("both are dropped", || world.seen.dropped() == 2).await;
}

#[tokio::test]
async fn a_broken_or_oversized_stream_is_a_client_error() {
    let settings = lenient().max_message_bytes(1000);
    let world = World::with(|builder| builder.settings(settings)).await;
    let long = AddRequest { ballast: vec![0; 2000], ..add(1) };
    let refused = world.client().await.add(stream::iter([add(1), long])).await.unwrap_err();
    assert_eq!(
        (refused.code(), &*reason(&refused)),
        (Code::ResourceExhausted, "MESSAGE_TOO_LARGE")
    );
    let whole = framed(&add(1));
    let Uploading { answer, mut body, .. } = upload(&world, ADD, None).await;
    body.send_data([&whole[..], &whole[..3]].concat().into(), true).unwrap();
    let refused = timeout(TEST_TIMEOUT, answer).await.unwrap().unwrap();
    let refused = Status::from_header_map(refused.headers()).unwrap();
    assert_eq!((refused.code(), &*reason(&refused)), (Code::InvalidArgument, "MALFORMED_MESSAGE"));
}

#[tokio::test]
async fn an_endless_stream_ends_at_its_deadline() {
    let world = World::start().await;
    for (path, say) in [(ADD, framed(&add(1))), (REPEAT, framed(&repeat(1)))] {
        let Uploading { answer, mut body, .. } = upload(&world, path, Some("1S")).await;
        body.send_data(say, false).unwrap();
        let mut late = timeout(TEST_TIMEOUT, answer).await.unwrap().unwrap();
        while let Some(data) = timeout(TEST_TIMEOUT, late.body_mut().data()).await.unwrap() {
            data.unwrap();
        }
        let trailers = late.body_mut().trailers().await.unwrap();
        assert_eq!(trailers.as_ref().unwrap_or(late.headers())["grpc-status"], "4");
    }
    assert_eq!(world.seen.dropped(), 2);
}

/// Sends a message, then breaks the stream.
async fn interrupted(path: &str, breaks: impl FnOnce(Uploading)) {
    let log = Log::catch();
    let world = World::start().await;
    let mut uploading = upload(&world, path, None).await;
    let message = if path == ADD { framed(&add(1)) } else { framed(&repeat(1)) };
    uploading.body.send_data(message, false).unwrap();
    eventually("it runs", || world.seen.started() == 1).await;
    breaks(uploading);
    let line = log.line("call ended").await;
    assert_eq!(line["code"], "CANCELLED", "{path}");
    assert_eq!((world.seen.finished(), world.seen.dropped()), (0, 1), "{path}");
}

#[tokio::test]
async fn an_interrupted_stream_does_not_look_complete() {
    for path in [ADD, REPEAT] {
        interrupted(path, |mut uploading| uploading.body.send_reset(h2::Reason::CANCEL)).await;
        interrupted(path, |mut uploading| uploading.body.send_reset(h2::Reason::NO_ERROR)).await;
        interrupted(path, |uploading| uploading.connection.abort()).await;
    }
}

#[tokio::test]
async fn an_interrupted_message_is_no_server_error() {
    let log = Log::catch();
    let world = World::start().await;
    let mut uploading = upload(&world, "/probe.v1.ProbeService/Act", None).await;
    let whole = framed(&ActRequest { nap_ms: 1, ..ActRequest::default() });
    uploading.body.send_data(whole.slice(..whole.len() - 1), false).unwrap();
    // Leave the server time to read it.
    tokio::time::sleep(Duration::from_millis(100)).await;
    uploading.body.send_reset(h2::Reason::CANCEL);
    assert_eq!(log.line("call ended").await["code"], "CANCELLED");
    assert_eq!(world.seen.started(), 0);
}

#[tokio::test]
async fn a_handler_may_answer_before_the_stream_ends() {
    let world = World::start().await;
    let mut client = world.client().await;
    let requests = stream::iter([repeat(1), RepeatRequest { number: 2, last: true }]);
    let requests = requests.chain(stream::pending());
    let answers = client.repeat(requests).await.unwrap().into_inner();
    let answers: Vec<_> = answers.map(|answer| answer.unwrap().number).collect().await;
    assert_eq!(answers, [1, 2]);
    client.act(ActRequest::default()).await.unwrap();
    assert_eq!(world.seen.finished(), 2);
}

#[tokio::test]
async fn open_request_streams_are_cut_at_the_end_of_a_drain() {
    let settings = lenient().drain_timeout(Duration::from_millis(300));
    let mut world = World::with(|builder| builder.settings(settings)).await;
    let mut client = world.client().await;
    let (_say, requests) = said::<RepeatRequest>();
    let mut answers = client.repeat(requests).await.unwrap().into_inner();
    let added = tokio::spawn(async move { client.add(stream::pending()).await });
    eventually("both run", || world.seen.started() == 2).await;
    world.shut_down();
    for ended in [answers.next().await.unwrap().unwrap_err(), added.await.unwrap().unwrap_err()] {
        assert_eq!((ended.code(), &*reason(&ended)), (Code::Unavailable, "DRAINING"));
    }
    world.ended().await.unwrap();
}

#[tokio::test]
async fn unread_messages_do_not_exhaust_the_connection_window() {
    let world = World::start().await;
    let mut client = world.client().await;
    let long = || ActRequest { ballast: vec![0; 100_000], ..ActRequest::default() };
    let invalid = [add(1000), AddRequest { ballast: vec![0; 200_000], ..add(1) }];
    // More than ten times the window: refused unread, or read in part.
    let calls = async {
        for _ in 0..50 {
            let refused = client.guarded(long()).await.unwrap_err();
            assert_eq!(refused.code(), Code::Unauthenticated);
            let refused = client.add(stream::iter(invalid.clone())).await.unwrap_err();
            assert_eq!(refused.code(), Code::InvalidArgument);
        }
        client.act(long()).await.unwrap();
    };
    timeout(TEST_TIMEOUT, calls).await.expect("the connection window is open");
}
