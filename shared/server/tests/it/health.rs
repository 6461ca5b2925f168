//! `grpc.health.v1.Health` as clients see it.

use std::collections::BTreeMap;

use bytes::Bytes;
use prost::Message;
use tonic::Code;
use tonic_health::pb::{HealthCheckResponse, health_check_response::ServingStatus};

use crate::{
    raw::{framed, request, send},
    world::{World, reason},
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
