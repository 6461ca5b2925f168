//! Responses of every kind: none makes the caller panic.

use std::time::Duration;

use gantry_contract::GantryReason;
use http::{Response, StatusCode};
use tonic::{Code, Request, body::Body};

use crate::{
    caller::{ADD, GET, GUARD, Setup, assert_failed, call, idle, send, warm},
    server::{Hit, Server, answer, encode, reply, trailers_only},
};

async fn answered<F>(make: F) -> Result<String, tonic::Status>
where
    F: Fn() -> Response<Body> + Send + Sync + 'static,
{
    let server = Server::answering(move |_: Hit| std::future::ready(make())).await;
    let setup = Setup::new();
    let _registration = setup.register(server.address).await;
    let result = call(&setup.channel, ADD).await;
    idle(&setup.channel).await;
    assert_eq!(server.hits(), 1, "what was answered is not repeated");
    result
}

#[tokio::test]
async fn the_message_arrives_and_so_does_the_answer() {
    let server = Server::answering(|hit| async {
        let message = hit.message().await.unwrap();
        reply(&format!("you said {message}"))
    })
    .await;
    let setup = Setup::new();
    let _registration = setup.register(server.address).await;
    assert_eq!(call(&setup.channel, ADD).await.unwrap(), "you said hello");
    let long = "x".repeat(1_000_000);
    let answer = send(&setup.channel, ADD, Request::new(long.clone())).await.unwrap();
    assert_eq!(answer.into_inner(), format!("you said {long}"));
}

#[tokio::test]
async fn malformed_details_are_left_out_in_headers_and_in_trailers() {
    let fields = [
        ("grpc-status", "9"),
        ("grpc-message", "not now"),
        ("grpc-status-details-bin", "%%% not base64 %%%"),
    ];
    for status in [
        answered(move || trailers_only(&fields)).await.unwrap_err(),
        answered(move || answer([], &fields)).await.unwrap_err(),
        answered(move || answer([encode("hi")], &fields)).await.unwrap_err(),
    ] {
        assert_eq!(status.code(), Code::FailedPrecondition);
        assert_eq!(status.message(), "not now");
        assert!(status.details().is_empty());
    }
}

#[tokio::test]
async fn well_formed_details_arrive() {
    let status =
        answered(|| trailers_only(&[("grpc-status", "5"), ("grpc-status-details-bin", "aGVsbG8")]))
            .await
            .unwrap_err();
    assert_eq!((status.code(), status.details()), (Code::NotFound, &b"hello"[..]));
}

#[tokio::test]
async fn a_plain_http_error_names_the_endpoint_and_the_status() {
    let status = answered(|| {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::BAD_GATEWAY;
        response
    })
    .await
    .unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().starts_with("echo at 127.0.0.1:"), "{}", status.message());
    assert!(status.message().contains("502"), "{}", status.message());
}

#[tokio::test]
async fn a_web_page_is_no_answer() {
    let status = answered(|| {
        let mut response = reply("<html>");
        response.headers_mut().insert("content-type", "text/html".parse().unwrap());
        response
    })
    .await
    .unwrap_err();
    assert_eq!(status.code(), Code::Unknown);
    assert!(status.message().contains("text/html"), "{}", status.message());
}

#[tokio::test]
async fn an_answer_without_trailers_is_unknown() {
    let status = answered(|| {
        let mut response = reply("");
        *response.body_mut() = Body::empty();
        response
    })
    .await
    .unwrap_err();
    assert_eq!(status.code(), Code::Unknown);
    let says = "echo at 127.0.0.1:";
    assert!(status.message().starts_with(says), "the endpoint is named: {status:?}");
}

#[tokio::test]
async fn garbage_in_every_field_makes_nothing_panic() {
    for code in ["", "17", "-1", "ok", "99999999999"] {
        let result = answered(move || trailers_only(&[("grpc-status", code)])).await;
        assert_eq!(result.unwrap_err().code(), Code::Unknown, "{code:?}");
    }
    let result =
        answered(|| trailers_only(&[("grpc-status", "3"), ("grpc-message", "%ff%zz%")])).await;
    assert!(result.is_err());
    let frame = bytes::Bytes::from_static(&[7, 0, 0, 0, 1, 9]);
    assert!(answered(move || answer([frame.clone()], &[("grpc-status", "0")])).await.is_err());
}

#[tokio::test]
async fn a_request_over_the_limit_is_refused_before_it_is_sent() {
    let server = Server::start().await;
    let setup = Setup::new();
    let _registration = setup.register(server.address).await;
    let request = Request::new("x".repeat(5 * 1024 * 1024));
    let status = send(&setup.channel, ADD, request).await.unwrap_err();
    let says = ["/test.Echo/Add", "4194304 bytes"];
    assert_failed(&status, Code::ResourceExhausted, GantryReason::MessageTooLarge, &says);
    assert_eq!(server.hits(), 0);
}

#[tokio::test]
async fn a_cancelled_call_frees_its_counters_and_reaches_the_server() {
    let (ended, mut told) = tokio::sync::mpsc::unbounded_channel();
    let server = Server::answering(move |_| {
        let ended = ended.clone();
        async move {
            let _told_when_dropped = OnDrop(ended);
            std::future::pending().await
        }
    })
    .await;
    let setup = Setup::new();
    let _registration = setup.register(server.address).await;
    warm(&setup.channel, 1).await;
    for _ in 0..3 {
        let cancelled =
            tokio::time::timeout(Duration::from_millis(50), call(&setup.channel, GET)).await;
        assert!(cancelled.is_err());
        tokio::time::timeout(GUARD, told.recv()).await.unwrap().unwrap();
    }
    idle(&setup.channel).await;
    assert_eq!(server.hits(), 3);
}

struct OnDrop(tokio::sync::mpsc::UnboundedSender<()>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}
