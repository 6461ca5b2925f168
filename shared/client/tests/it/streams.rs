//! Streaming calls: passed through, limited in their silences and in their age.

use std::time::Duration;

use gantry_client::ClientSettings;
use gantry_contract::GantryReason;
use http::{Response, uri::PathAndQuery};
use http_body_util::BodyExt;
use tokio::sync::mpsc;
use tokio_stream::{StreamExt, wrappers::UnboundedReceiverStream};
use tonic::{Code, Request, Status, Streaming, body::Body, client::Grpc};
use tonic_prost::ProstCodec;

use crate::{
    caller::{CHAT, Setup, UNLISTED, assert_failed, idle},
    server::{Hit, Server, reply},
};

/// A server that sends back every frame it gets.
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
async fn a_stream_lives_longer_than_its_timeout_as_long_as_it_is_not_silent() {
    let server = echoing().await;
    let setup = Setup::new();
    let _registration = setup.register(server.address).await;
    let (sender, mut answers) = open(&setup, CHAT).await.unwrap();
    for _ in 0..8 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        sender.send("still here".to_owned()).unwrap();
        answers.message().await.unwrap().unwrap();
    }
    let silent = std::time::Instant::now();
    let status = answers.message().await.unwrap_err();
    let took = silent.elapsed();
    assert!((290..600).contains(&took.as_millis()), "{took:?}");
    assert_failed(&status, Code::DeadlineExceeded, GantryReason::DeadlineExceeded, &["echo at"]);
    idle(&setup.channel).await;
}

#[tokio::test]
async fn a_stream_outside_the_contract_ends_at_the_maximum_age() {
    let server = echoing().await;
    let settings =
        ClientSettings { stream_max_age: Duration::from_millis(500), ..ClientSettings::default() };
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
async fn a_stream_opened_while_nothing_is_connected_waits_like_any_call() {
    let setup = Setup::with(ClientSettings {
        endpoint_wait: Duration::from_millis(100),
        ..ClientSettings::default()
    });
    let status = open(&setup, UNLISTED).await.unwrap_err();
    assert_failed(&status, Code::Unavailable, GantryReason::NoEndpoint, &["echo"]);
}

#[tokio::test]
async fn an_upload_is_not_silent_as_long_as_messages_are_sent() {
    // Nothing is answered before the upload is over.
    let server = Server::answering(|hit: Hit| async {
        hit.request.into_body().collect().await.map_or_else(|_| reply("cut"), |_| reply("whole"))
    })
    .await;
    let setup = Setup::new();
    let _registration = setup.register(server.address).await;
    let (sender, receiver) = mpsc::unbounded_channel();
    let uploading = tokio::spawn(async move {
        for _ in 0..8 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            sender.send("a part".to_owned()).unwrap();
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
