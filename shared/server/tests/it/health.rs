//! `grpc.health.v1.Health` as clients see it.

use std::collections::BTreeMap;

use bytes::Bytes;
use gantry_server::{ServerTls, Unhealthy, check_health};
use gantry_test_authority::Authority;
use prost::Message;
use tokio::{io::AsyncWriteExt, net::TcpListener};
use tonic::{Code, transport::server::TcpIncoming};
use tonic_health::{
    pb::{HealthCheckResponse, health_check_response::ServingStatus},
    server::health_reporter,
};

use crate::{
    raw::{framed, request, send},
    world::{World, lenient, reason},
};

const LIST: &str = "/grpc.health.v1.Health/List";

/// Response of `List`, declared as in health.proto. Decodes it independently of the server's own
/// types.
#[derive(Clone, PartialEq, Message)]
struct HealthListResponse {
    #[prost(btree_map = "string, message", tag = "1")]
    statuses: BTreeMap<String, HealthCheckResponse>,
}

#[tokio::test]
async fn every_caller_may_list_the_health_of_all_services() {
    let world = World::start().await;
    let mut request = request(LIST, framed(&()));
    // Health ignores credentials, so a probe with invalid ones is answered.
    request.headers_mut().insert("authorization", "Bearer nonsense".parse().unwrap());
    let answer = send(&world, request).await;
    assert_eq!(answer.grpc().code(), Code::Ok);
    let list = HealthListResponse::decode(&answer.body[5..]).unwrap();
    let statuses: Vec<_> =
        list.statuses.iter().map(|(name, answer)| (name.as_str(), answer.status())).collect();
    assert_eq!(
        statuses,
        [("", ServingStatus::Serving), ("probe.v1.ProbeService", ServingStatus::Serving)]
    );
}

#[tokio::test]
async fn a_malformed_health_request_is_a_client_error() {
    let world = World::start().await;
    let nonsense = Bytes::from_static(b"\0\0\0\0\x02\x0a\xff");
    for method in ["Check", "Watch"] {
        let path = format!("/grpc.health.v1.Health/{method}");
        let status = send(&world, request(&path, nonsense.clone())).await.grpc();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(reason(&status), "MALFORMED_MESSAGE");
    }
}

#[tokio::test]
async fn a_server_checks_its_own_health() {
    let world = World::start().await;
    check_health(world.address, None).await.unwrap();

    let authority = Authority::new();
    let issued = authority.issue("server", &["probe"]);
    let mut tls = ServerTls::new(issued.cert_file, issued.key_file);
    tls.client_ca_file = Some(authority.ca_file());
    let settings = lenient().tls(tls.clone());
    let secured = World::with(|builder| builder.settings(settings)).await;
    check_health(secured.address, Some(&tls)).await.unwrap();
    let missing = ServerTls::new(authority.file("missing.pem"), tls.key_file);
    let missing = check_health(secured.address, Some(&missing)).await.unwrap_err();
    assert!(missing.to_string().starts_with("server.tls.cert_file: "), "{missing}");
    // A certificate of another authority is rejected, so the server does require one.
    let other = Authority::new();
    let issued = other.issue("server", &["probe"]);
    let stranger = ServerTls::new(issued.cert_file, issued.key_file);
    let refused = check_health(secured.address, Some(&stranger)).await.unwrap_err();
    assert!(refused.to_string().contains("UnknownCA"), "{refused}");
}

/// Another implementation of the protocol, which says what the test wants.
#[tokio::test]
async fn only_serving_is_healthy() {
    let (mut reporter, service) = health_reporter();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tonic::transport::Server::builder().add_service(service);
    let server = tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
    for (status, healthy) in [
        (tonic_health::ServingStatus::Serving, true),
        (tonic_health::ServingStatus::NotServing, false),
        (tonic_health::ServingStatus::Unknown, false),
    ] {
        reporter.set_service_status("", status).await;
        let checked = check_health(address, None).await;
        assert_eq!(checked.is_ok(), healthy, "{status:?}: {checked:?}");
    }
    reporter.clear_service_status("").await;
    let refused = check_health(address, None).await.unwrap_err();
    assert!(matches!(refused, Unhealthy::Refused { code: Code::NotFound, .. }), "{refused}");
    server.abort();
}

#[tokio::test]
async fn a_peer_without_the_protocol_is_not_healthy() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    for answer in [&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], b"", b"\x15\x03\x01\0\x02\x02\x46"] {
        let answer_once = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(answer).await.unwrap();
        };
        let (checked, ()) = tokio::join!(check_health(address, None), answer_once);
        assert!(matches!(checked, Err(Unhealthy::Lost(_))), "{checked:?}");
    }
    drop(listener);
    let checked = check_health(address, None).await;
    assert!(matches!(checked, Err(Unhealthy::Connect(_))), "{checked:?}");
}
