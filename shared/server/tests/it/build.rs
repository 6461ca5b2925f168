//! Errors of building or starting a server. Each names the invalid part.

use std::sync::Arc;

use gantry_contract::Contract;
use gantry_discovery::Registry;
use gantry_identity::Verifier;
use gantry_probe::{CONTRACT, Probe, probe::v1::probe_service_server::ProbeServiceServer};
use gantry_server::{BuildProblem, ServeError, Server, ServerBuilder, Settings};
use tokio::net::TcpListener;

use crate::world::World;

static EMPTY: Contract = Contract {
    services: &[],
    permissions: &[],
    roles: &[],
    rate_classes: &[],
    descriptor_set: CONTRACT_DESCRIPTORS,
};
const CONTRACT_DESCRIPTORS: &[u8] = &[];

fn probe(contract: &'static Contract) -> ServerBuilder {
    Server::builder("probe", contract).service(ProbeServiceServer::new(Probe::default()))
}

fn verifier() -> Arc<Verifier> {
    Arc::new(Verifier::new("probe", vec![]))
}

#[test]
fn a_service_that_is_not_in_the_contract_is_refused() {
    let error = probe(&EMPTY).build().unwrap_err();
    assert!(
        matches!(error.problems(), [BuildProblem::UnknownService("probe.v1.ProbeService")]),
        "{error}"
    );
}

#[test]
fn a_service_is_added_once() {
    let twice = probe(&CONTRACT).service(ProbeServiceServer::new(Probe::default()));
    let error = twice.verifier(verifier()).build().unwrap_err();
    assert!(
        matches!(error.problems(), [BuildProblem::DuplicateService("probe.v1.ProbeService")]),
        "{error}"
    );
}

#[test]
fn methods_that_need_credentials_need_a_verifier() {
    let error = probe(&CONTRACT).build().unwrap_err();
    assert!(
        matches!(error.problems(), [BuildProblem::NoVerifier("probe.v1.ProbeService/Guarded")]),
        "{error}"
    );
    probe(&CONTRACT).verifier(verifier()).build().unwrap();
}

#[test]
fn an_unknown_permission_in_a_grant_is_named() {
    let grants = [("order".to_owned(), vec!["bananas:peel".to_owned()])];
    let error = probe(&CONTRACT).verifier(verifier()).grants(grants.into()).build().unwrap_err();
    assert_eq!(
        error.to_string(),
        "the permission bananas:peel that order is granted is not in the contract"
    );
}

#[test]
fn an_invalid_setting_is_named() {
    let settings = Settings::default().max_message_bytes(0);
    let error = probe(&CONTRACT).verifier(verifier()).settings(settings).build().unwrap_err();
    assert_eq!(error.to_string(), "the setting max_message_bytes must be from 1 to 4194304");
}

#[test]
fn every_problem_is_reported_at_once() {
    let settings = Settings::default().weight(0).max_message_bytes(0);
    let grants = [("order".to_owned(), vec!["bananas:peel".to_owned()])];
    let twice = probe(&CONTRACT).service(ProbeServiceServer::new(Probe::default()));
    let error = twice.settings(settings).grants(grants.into()).build().unwrap_err();
    assert_eq!(
        error.to_string(),
        "the service probe.v1.ProbeService was added twice; \
         the method probe.v1.ProbeService/Guarded needs credentials: the server needs a verifier; \
         the permission bananas:peel that order is granted is not in the contract; \
         the setting max_message_bytes must be from 1 to 4194304; \
         the setting weight must be at least 1"
    );
}

#[tokio::test]
async fn a_server_is_registered_while_it_serves() {
    let registry = Registry::memory();
    let settings = Settings::default().zone("z1").weight(3);
    let mut world = World::with(|builder| {
        builder.registry(registry.clone()).settings(settings).version("1.2.3")
    })
    .await;
    let mut watch = registry.resolver.watch("probe");
    while watch.current().is_empty() {
        watch.changed().await;
    }
    let found = watch.current();
    let [endpoint] = found.endpoints() else { panic!("{found:?}") };
    assert_eq!(endpoint.address, world.address);
    assert_eq!((endpoint.weight, endpoint.zone.as_deref()), (3, Some("z1")));
    assert_eq!(endpoint.version, "1.2.3");
    assert!(endpoint.is_gantry());
    world.shut_down();
    world.ended().await.unwrap();
    assert!(watch.current().is_empty());
}

#[tokio::test]
async fn an_unreachable_address_is_not_registered() {
    let server =
        probe(&CONTRACT).verifier(verifier()).registry(Registry::memory()).build().unwrap();
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let error = server.serve(listener, std::future::pending()).await.unwrap_err();
    assert!(matches!(error, ServeError::Register(_)), "{error}");
    assert!(error.to_string().contains("advertise a real address"), "{error}");
}
