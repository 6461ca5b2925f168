//! Health and reflection: access, and limits of open calls.

use futures_util::{StreamExt, stream};
use gantry_contract::GantryReason;
use gantry_probe::CONTRACT;
use gantry_server::{BuildProblem, InfrastructureSettings, ReflectionAccess, Settings};
use tokio::time::Instant;
use tonic::{Code, Request, Status};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest,
};
use tonic_types::StatusExt;

use crate::world::{TEST_TIMEOUT, World, lenient, reason};

async fn with_reflection(reflection: ReflectionAccess) -> World {
    let settings = lenient().reflection(reflection);
    World::with(|builder| builder.settings(settings)).await
}

/// Lists the services by reflection.
async fn list(world: &World, authorization: Option<&str>) -> Result<(), Status> {
    let query = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut request = Request::new(stream::iter([query]));
    if let Some(authorization) = authorization {
        request.metadata_mut().insert("authorization", authorization.parse().unwrap());
    }
    let mut client = ServerReflectionClient::new(world.channel().await);
    let answers = client.server_reflection_info(request).await?;
    answers.into_inner().next().await.expect("an answer").map(drop)
}

#[tokio::test]
async fn reflection_is_public_unless_it_is_off() {
    let public = with_reflection(ReflectionAccess::Public).await;
    list(&public, None).await.unwrap();
    let off = with_reflection(ReflectionAccess::Off).await;
    let refused = list(&off, Some(&off.keys.user("admin", 0))).await.unwrap_err();
    assert_eq!((refused.code(), &*reason(&refused)), (Code::Unimplemented, "METHOD_UNKNOWN"));
}

#[tokio::test]
async fn reflection_can_require_credentials() {
    let world = with_reflection(ReflectionAccess::Authenticated).await;
    for (authorization, expected) in
        [(None, GantryReason::TokenMissing), (Some("Bearer made-up"), GantryReason::TokenInvalid)]
    {
        let refused = list(&world, authorization).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unauthenticated, "{refused:?}");
        assert!(gantry_contract::Reason::is_given_by(&expected, &refused), "{refused:?}");
    }
    for token in [world.keys.user("nobody", 0), world.keys.service(None)] {
        list(&world, Some(&token)).await.unwrap();
    }
    // Without a verifier there are no credentials.
    let settings = Settings::default().reflection(ReflectionAccess::Authenticated);
    let built = gantry_server::Server::builder("probe", &CONTRACT).settings(settings).build();
    let error = built.unwrap_err();
    assert!(matches!(error.problems(), [BuildProblem::NoVerifier(_)]), "{error}");
}

#[tokio::test]
async fn open_watches_are_limited_except_the_first() {
    let infrastructure =
        InfrastructureSettings::default().max_calls(4).max_per_address(3).max_per_connection(2);
    let settings = lenient().infrastructure(infrastructure);
    let world = World::with(|builder| builder.settings(settings)).await;
    let watch = async |client: &mut HealthClient<_>| {
        client.watch(HealthCheckRequest::default()).await.map(tonic::Response::into_inner)
    };
    let mut first = HealthClient::new(world.channel().await);
    let mut second = HealthClient::new(world.channel().await);
    let mut watches = Vec::new();
    for _ in 0..2 {
        watches.push(watch(&mut first).await.unwrap());
    }
    let limit = |refused: Status| {
        assert_eq!((refused.code(), &*reason(&refused)), (Code::ResourceExhausted, "OVERLOADED"));
        assert!(refused.metadata().contains_key("grpc-retry-pushback-ms"));
        refused.get_details_error_info().unwrap().metadata["limit"].clone()
    };
    assert_eq!(limit(watch(&mut first).await.unwrap_err()), "connection");
    assert_eq!(limit(first.check(HealthCheckRequest::default()).await.unwrap_err()), "connection");
    watches.push(watch(&mut second).await.unwrap());
    assert_eq!(limit(watch(&mut second).await.unwrap_err()), "address");
    // A probe has its own connection.
    for _ in 0..3 {
        let mut probe = HealthClient::new(world.channel().await);
        probe.check(HealthCheckRequest::default()).await.unwrap();
    }
    watches.clear();
    let started = Instant::now();
    // A call is admitted once the server has noticed the cancellations.
    while watch(&mut first).await.is_err() {
        assert!(started.elapsed() < TEST_TIMEOUT, "a call is admitted again");
    }
}
