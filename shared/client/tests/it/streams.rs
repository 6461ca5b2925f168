//! Streaming calls: passed through, bounded by idle timeout and maximum age.

use std::time::Duration;

use gantry_client::{ClientSettings, MethodSettings};
use gantry_contract::GantryReason;
use http::{Response, uri::PathAndQuery};
use http_body_util::BodyExt;
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::{StreamExt, wrappers::UnboundedReceiverStream};
use tonic::{Code, Request, Status, Streaming, body::Body, client::Grpc};
use tonic_prost::ProstCodec;

use crate::{
    caller::{CHAT, GUARD, Setup, UNLISTED, assert_failed, idle, warm},
    server::{Hit, Server, encode, reply},
};

/// Returns a server that returns every frame.
async fn echoing() -> Server {
    Server::answering(|hit: Hit| async {
        let body = hit.request.into_body();
        let trailers = Ok(http_body::Frame::trailers(
            [(http::HeaderName::from_static("grpc-status"), "0".parse().unwrap())]
                .into_iter()
                .collect(),
        ));
        let frames =
            http_body_util::BodyStream::new(body.map_err(|e| Status::internal(e.to_string())));
        let frames = frames.chain(tokio_stream::once(trailers));
        let mut response: Response<Body> = reply("");
        *response.body_mut() = Body::new(http_body_util::StreamBody::new(frames));
        response
    })
    .await
}

async fn open(
    setup: &Setup,
    path: &'static str,
) -> Result<(mpsc::UnboundedSender<String>, Streaming<String>), Status> {
    let (sender, receiver) = mpsc::unbounded_channel();
    let request = Request::new(UnboundedReceiverStream::new(receiver));
    let codec = ProstCodec::<String, String>::default();
    let response = Grpc::new(setup.channel.clone())
        .streaming(request, PathAndQuery::from_static(path), codec)
        .await?;
    Ok((sender, response.into_inner()))
}

/// Returns a channel with an idle timeout of 30 s for CHAT and no pings.
fn silent_for_30_s() -> Setup {
    let silent = MethodSettings::default().timeout(Duration::from_secs(30));
    Setup::with(
        ClientSettings::default()
            .methods([("test.Echo/Chat".to_owned(), silent)].into())
            .keep_alive_interval(Duration::from_secs(3_600)),
    )
}

/// Skips this time, without the events within it.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

#[tokio::test]
async fn messages_go_both_ways_as_they_come() {
    let server = echoing().await;
    let setup = Setup::new();
    let _registration = setup.register(server.address).await;
    let (sender, mut answers) = open(&setup, CHAT).await.unwrap();
    for turn in 0..10 {
        sender.send(format!("message {turn}")).unwrap();
        assert_eq!(answers.message().await.unwrap().unwrap(), format!("message {turn}"));
        assert_eq!(setup.channel.snapshot().endpoints[0].in_flight, 1);
    }
    drop(sender);
    assert_eq!(answers.message().await.unwrap(), None);
    idle(&setup.channel).await;
}

#[tokio::test]
async fn a_stream_with_messages_outlives_its_timeout() {
    let server = echoing().await;
    let setup = silent_for_30_s();
    let _registration = setup.register(server.address).await;
    let (sender, mut answers) = open(&setup, CHAT).await.unwrap();
    for _ in 0..8 {
        pass(Duration::from_secs(10)).await;
        sender.send("still here".to_owned()).unwrap();
        answers.message().await.unwrap().unwrap();
    }
    tokio::time::pause();
    let silent = tokio::time::Instant::now();
    let status = answers.message().await.unwrap_err();
    let took = silent.elapsed();
    tokio::time::resume();
    assert!((20.0..30.1).contains(&took.as_secs_f64()), "{took:?}");
    assert_failed(&status, Code::DeadlineExceeded, GantryReason::DeadlineExceeded, &["echo at"]);
    idle(&setup.channel).await;
}

#[tokio::test]
async fn a_stream_outside_the_contract_ends_at_the_maximum_age() {
    let server = echoing().await;
    let settings = ClientSettings::default().stream_max_age(Duration::from_millis(500));
    let setup = Setup::with(settings);
    let _registration = setup.register(server.address).await;
    let (sender, mut answers) = open(&setup, UNLISTED).await.unwrap();
    sender.send("hello".to_owned()).unwrap();
    answers.message().await.unwrap().unwrap();
    let status = answers.message().await.unwrap_err();
    assert_failed(&status, Code::DeadlineExceeded, GantryReason::DeadlineExceeded, &["echo at"]);
    idle(&setup.channel).await;
}

#[tokio::test]
async fn a_stream_that_is_dropped_frees_its_place() {
    let server = echoing().await;
    let setup = Setup::new();
    let _registration = setup.register(server.address).await;
    let (sender, answers) = open(&setup, CHAT).await.unwrap();
    drop(answers);
    idle(&setup.channel).await;
    drop(sender);
}

#[tokio::test]
async fn a_stream_whose_server_dies_is_an_unknown_outcome() {
    let server = echoing().await;
    let setup = Setup::new();
    let _registration = setup.register(server.address).await;
    let (sender, mut answers) = open(&setup, CHAT).await.unwrap();
    sender.send("hello".to_owned()).unwrap();
    answers.message().await.unwrap().unwrap();
    let address = server.address.to_string();
    drop(server);
    let status = answers.message().await.unwrap_err();
    assert_failed(&status, Code::Unavailable, GantryReason::OutcomeUnknown, &[&address]);
}

#[tokio::test]
async fn a_stream_waits_for_an_endpoint_like_any_call() {
    let setup = Setup::with(ClientSettings::default().endpoint_wait(Duration::from_millis(100)));
    let status = open(&setup, UNLISTED).await.unwrap_err();
    assert_failed(&status, Code::Unavailable, GantryReason::NoEndpoint, &["echo"]);
}

#[tokio::test]
async fn an_upload_is_not_silent_as_long_as_messages_are_sent() {
    // No response before the end of the upload.
    let server = Server::answering(|hit: Hit| async {
        hit.request.into_body().collect().await.map_or_else(|_| reply("cut"), |_| reply("whole"))
    })
    .await;
    let setup = silent_for_30_s();
    let _registration = setup.register(server.address).await;
    warm(&setup.channel, 1).await;
    let (sender, receiver) = mpsc::unbounded_channel();
    let uploading = tokio::spawn(async move {
        for _ in 0..8 {
            pass(Duration::from_secs(10)).await;
            sender.send("a part".to_owned()).unwrap();
            // Not the idle time of the next turn.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    let request = Request::new(UnboundedReceiverStream::new(receiver));
    let codec = ProstCodec::<String, String>::default();
    let answer = Grpc::new(setup.channel.clone())
        .client_streaming(request, PathAndQuery::from_static(CHAT), codec)
        .await
        .unwrap();
    assert_eq!(answer.into_inner(), "whole");
    uploading.await.unwrap();
}

#[tokio::test]
async fn a_busy_stream_ends_at_its_deadline() {
    let server = Server::answering(|_| async {
        let frames = tokio_stream::iter(std::iter::repeat_with(|| {
            Ok::<_, Status>(http_body::Frame::data(encode("more")))
        }));
        let mut response = reply("");
        *response.body_mut() = Body::new(http_body_util::StreamBody::new(frames));
        response
    })
    .await;
    let settings = ClientSettings::default().stream_max_age(Duration::from_secs(1));
    let setup = Setup::with(settings);
    let _registration = setup.register(server.address).await;
    warm(&setup.channel, 1).await;
    let reading = async {
        let (_sender, mut answers) = match open(&setup, UNLISTED).await {
            Ok(opened) => opened,
            // Reached on a very busy machine only.
            Err(status) => return status,
        };
        loop {
            // Slower than the stream: there is always a message to read.
            tokio::time::sleep(Duration::from_millis(1)).await;
            match answers.message().await {
                Ok(message) => assert_eq!(message.unwrap(), "more"),
                Err(status) => return status,
            }
        }
    };
    let status = timeout(GUARD, reading).await.expect("it goes on");
    assert_failed(&status, Code::DeadlineExceeded, GantryReason::DeadlineExceeded, &["echo at"]);
    idle(&setup.channel).await;
}

#[tokio::test]
async fn a_message_that_cannot_be_sent_is_the_callers_failure() {
    let server = echoing().await;
    let setup = Setup::new();
    let _registrations = [
        setup.register(server.address).await,
        // Beside another replica, so that it might be ejected.
        setup.register("127.0.0.1:1".parse().unwrap()).await,
    ];
    for late in [false, true].repeat(5) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let request = Request::new(UnboundedReceiverStream::new(receiver));
        let codec = ProstCodec::<String, String>::default();
        let mut client = Grpc::new(setup.channel.clone()).max_encoding_message_size(100);
        let path = PathAndQuery::from_static(UNLISTED);
        let long = "x".repeat(1000);
        let status = if late {
            let answers = client.streaming(request, path, codec).await;
            sender.send(long).unwrap();
            answers.unwrap().into_inner().message().await.unwrap_err()
        } else {
            sender.send(long).unwrap();
            let answered = client.streaming(request, path, codec).await;
            match answered {
                Ok(answers) => answers.into_inner().message().await.unwrap_err(),
                Err(status) => status,
            }
        };
        assert_eq!(status.code(), Code::OutOfRange, "{status:?}");
    }
    let snapshot = setup.channel.snapshot();
    assert_eq!(snapshot.breaker.counts.calls, 0, "{snapshot:?}");
    assert!(snapshot.endpoints.iter().all(|endpoint| endpoint.ejections == 0), "{snapshot:?}");
    idle(&setup.channel).await;
}
