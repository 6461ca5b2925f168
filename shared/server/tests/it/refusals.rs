//! Every refusal: its code, its reason, and valid gRPC framing.

use bytes::Bytes;
use gantry_probe::probe::v1::ActRequest;
use http::StatusCode;
use tonic::Code;
use tonic_types::StatusExt;

use crate::{
    raw::{framed, request, send},
    world::{World, lenient, reason},
};

const ACT: &str = "/probe.v1.ProbeService/Act";

#[tokio::test]
async fn an_unknown_method_is_unimplemented() {
    let world = World::start().await;
    for path in [
        "/probe.v1.ProbeService/Absent",
        "/probe.v1.AbsentService/Act",
        "/absent.v1.Absent/Act",
        "/",
        "/grpc.health.v1.Health/Absent",
    ] {
        let answer = send(&world, request(path, framed(&ActRequest::default()))).await;
        assert_eq!(answer.grpc().code(), Code::Unimplemented, "{path}");
        assert_eq!(reason(&answer.grpc()), "METHOD_UNKNOWN");
    }
    let long = format!("/{}", "x".repeat(5000));
    let answer = send(&world, request(&long, Bytes::new())).await;
    assert!(answer.grpc().message().len() < 200, "a long path is truncated in the message");
}

#[tokio::test]
async fn a_refusal_is_a_response_of_headers_only() {
    let world = World::start().await;
    let answer =
        send(&world, request("/probe.v1.ProbeService/Guarded", framed(&ActRequest::default())))
            .await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.headers["content-type"], "application/grpc");
    assert_eq!(answer.headers["grpc-status"], "16");
    assert!(answer.headers.contains_key("grpc-message"));
    assert!(answer.headers.contains_key("x-request-id"));
    assert!(answer.body.is_empty() && answer.trailers.is_none());
}

#[tokio::test]
async fn a_malformed_timeout_is_an_invalid_argument() {
    let world = World::start().await;
    for value in ["", "1", "5s", "123456789S", "soon"] {
        let mut request = request(ACT, framed(&ActRequest::default()));
        request.headers_mut().insert("grpc-timeout", value.parse().unwrap());
        let status = send(&world, request).await.grpc();
        assert_eq!(status.code(), Code::InvalidArgument, "{value}");
        assert_eq!(reason(&status), "MALFORMED_METADATA");
    }
    assert_eq!(world.seen.started(), 0);
}

#[tokio::test]
async fn a_message_over_the_limit_is_refused_with_the_limit() {
    let settings = lenient().max_message_bytes(1000);
    let world = World::with(|builder| builder.settings(settings)).await;
    let mut client = world.client().await;
    let ballast = |bytes| ActRequest { ballast: vec![0; bytes], ..ActRequest::default() };
    // The tag and the length of the field take 3 bytes of the message.
    client.act(ballast(997)).await.unwrap();
    let status = client.act(ballast(998)).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert_eq!(reason(&status), "MESSAGE_TOO_LARGE");
    assert!(status.message().contains("1000"), "{}", status.message());
    assert_eq!(status.get_details_error_info().unwrap().metadata["limit_bytes"], "1000");
    assert_eq!(world.seen.started(), 1);
    client.act(ballast(0)).await.unwrap();
}

#[tokio::test]
async fn the_default_limit_is_four_mebibytes() {
    let world = World::start().await;
    let mut client = world.client().await.max_encoding_message_size(usize::MAX);
    let ballast = |bytes| ActRequest { ballast: vec![0; bytes], ..ActRequest::default() };
    client.act(ballast(4 * 1024 * 1024 - 16)).await.unwrap();
    let status = client.act(ballast(4 * 1024 * 1024)).await.unwrap_err();
    assert_eq!(reason(&status), "MESSAGE_TOO_LARGE");
}

#[tokio::test]
async fn a_request_without_a_valid_message_is_malformed() {
    let world = World::start().await;
    let whole = framed(&ActRequest { nap_ms: 1, word: "abc".into(), ..ActRequest::default() });
    let (not_one, broken) = (Code::Unimplemented, Code::InvalidArgument);
    for (what, body, code) in [
        ("nothing", Bytes::new(), not_one),
        ("a part of the prefix", whole.slice(..3), broken),
        ("a part of the message", whole.slice(..whole.len() - 1), broken),
        ("two messages", [&*whole, &*whole].concat().into(), not_one),
        ("another message", Bytes::from_static(&[0, 0, 0, 0, 2, 0xff, 0xff]), broken),
        ("words that are no UTF-8", Bytes::from_static(&[0, 0, 0, 0, 3, 0x22, 1, 0xff]), broken),
    ] {
        let status = send(&world, request(ACT, body)).await.grpc();
        assert_eq!(status.code(), code, "{what}");
        assert_eq!(reason(&status), "MALFORMED_MESSAGE", "{what}");
    }
    assert_eq!(world.seen.started(), 0);
}

#[tokio::test]
async fn a_message_that_breaks_a_rule_names_the_field() {
    let world = World::start().await;
    let message = ActRequest { word: "four".into(), ..ActRequest::default() };
    let status = world.client().await.act(message).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(reason(&status), "VALIDATION_FAILED");
    assert_eq!(status.get_details_bad_request().unwrap().field_violations[0].field, "word");
    assert_eq!(world.seen.started(), 0);
}

#[tokio::test]
async fn a_request_that_is_not_grpc_gets_an_http_status() {
    let world = World::start().await;
    for kind in ["application/json", "application/grpc-web", "text/plain"] {
        let mut request = request(ACT, Bytes::new());
        request.headers_mut().insert("content-type", kind.parse().unwrap());
        let answer = send(&world, request).await;
        assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{kind}");
        assert!(answer.headers.contains_key("x-request-id"));
    }
    let mut get = request(ACT, Bytes::new());
    *get.method_mut() = http::Method::GET;
    let answer = send(&world, get).await;
    assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(answer.headers["allow"], "POST");
}
