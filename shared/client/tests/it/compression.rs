//! Compressed responses within their limit, and requests that a setting compresses.

use bytes::Bytes;
use gantry_client::ClientSettings;
use gantry_contract::{GantryReason, gzip::Recoder};
use http::{HeaderValue, Response};
use http_body_util::BodyExt;
use tonic::{Code, Request, Status, body::Body};

use crate::{
    caller::{ADD, Setup, assert_failed, call, idle, send, warm},
    server::{Server, answer, decode, encode, reply},
};

/// Returns the text compressed and framed.
fn gzip(text: &str) -> Bytes {
    Recoder::deflating().pass(&encode(text)).unwrap()
}

/// Returns a response with this message and this declared encoding.
fn claiming(encoding: &'static str, message: Bytes) -> Response<Body> {
    let mut response = answer([message], &[("grpc-status", "0")]);
    response.headers_mut().insert("grpc-encoding", HeaderValue::from_static(encoding));
    response
}

/// Returns the result of a call with this response.
async fn called(encoding: &'static str, message: Bytes) -> (Setup, Result<String, Status>) {
    let server = Server::answering(move |hit| {
        assert_eq!(hit.header("grpc-accept-encoding").as_deref(), Some("gzip"));
        assert_eq!(hit.header("grpc-encoding"), None);
        let response = claiming(encoding, message.clone());
        async move { response }
    })
    .await;
    let settings = ClientSettings::default().max_response_bytes(100_000);
    let setup = Setup::with(settings);
    let _registration = setup.register(server.address).await;
    warm(&setup.channel, 1).await;
    let answer = call(&setup.channel, ADD).await;
    idle(&setup.channel).await;
    (setup, answer)
}

#[tokio::test]
async fn compressed_answers_are_decompressed() {
    let text = "a".repeat(50_000);
    assert_eq!(called("gzip", gzip(&text)).await.1.unwrap(), text);
    // The flag of each message decides, not the head.
    assert_eq!(called("gzip", encode("short")).await.1.unwrap(), "short");
    assert_eq!(called("identity", encode("short")).await.1.unwrap(), "short");
    assert_eq!(called("snappy", encode("short")).await.1.unwrap(), "short");
}

#[tokio::test]
async fn a_decompression_bomb_is_rejected_and_its_endpoint_named() {
    let (_setup, answer) = called("gzip", gzip(&"a".repeat(5_000_000))).await;
    let says = ["127.0.0.1:", "more than 100000 bytes"];
    let reason = GantryReason::MessageTooLarge;
    assert_failed(&answer.unwrap_err(), Code::ResourceExhausted, reason, &says);
}

#[tokio::test]
async fn a_message_that_cannot_be_decompressed_is_internal() {
    let good = gzip(&"a".repeat(5_000));
    let mut damaged = good.to_vec();
    damaged[20] ^= 1;
    for (encoding, message) in
        [("gzip", Bytes::from(damaged)), ("snappy", good.clone()), ("identity", good)]
    {
        let (_setup, answer) = called(encoding, message).await;
        let status = answer.unwrap_err();
        let reason = GantryReason::MalformedMessage;
        assert_failed(&status, Code::Internal, reason, &["127.0.0.1:", "compressed"]);
    }
}

#[tokio::test]
async fn requests_are_compressed_if_the_settings_say_so() {
    let server = Server::answering(|hit| async move {
        let encoding = hit.header("grpc-encoding");
        let body = hit.request.into_body().collect().await.unwrap().to_bytes();
        let message = Recoder::inflating(1_000_000).pass(&body).unwrap();
        let text = decode(&message);
        reply(&format!("{encoding:?} {} {} {}", body[0], body.len() < 1_000, text.len()))
    })
    .await;
    for (compression, length, expected) in [
        (false, 100_000, "None 0 false 100000"),
        (true, 100_000, "Some(\"gzip\") 1 true 100000"),
        (true, 10, "Some(\"gzip\") 0 true 10"),
    ] {
        let setup = Setup::with(ClientSettings::default().compression(compression));
        let _registration = setup.register(server.address).await;
        warm(&setup.channel, 1).await;
        let answer = send(&setup.channel, ADD, Request::new("a".repeat(length))).await;
        assert_eq!(answer.unwrap().into_inner(), expected);
    }
}

#[tokio::test]
async fn a_caller_that_sets_encodings_decodes_the_response() {
    let text = "a".repeat(5_000);
    let message = gzip(&text);
    let sent = message.clone();
    let server = Server::answering(move |_| {
        let response = claiming("gzip", sent.clone());
        async move { response }
    })
    .await;
    let setup = Setup::new();
    let _registration = setup.register(server.address).await;
    warm(&setup.channel, 1).await;
    let request = http::Request::post(format!("http://echo{ADD}"))
        .header("content-type", "application/grpc")
        .header("grpc-accept-encoding", "identity,gzip")
        .body(Body::new(http_body_util::Full::new(encode("hello"))))
        .unwrap();
    let answer = tower::Service::call(&mut setup.channel.clone(), request).await.unwrap();
    assert_eq!(answer.headers()["grpc-encoding"], "gzip");
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), message);
}
