//! Registrations and their lifetime.

use std::time::Duration;

use gantry_consul_agent::Agent;
use gantry_discovery::{Instance, Registration, RegistrationState};
use serde_json::json;
use tokio::time::sleep;
use tonic_health::ServingStatus;

use super::{agent::Reached, eventually, is_live, registry, serving::Serving};
use crate::contract::{self, described, sees};

async fn is_registered(registration: &Registration) {
    let registered = async || (registration.state() == RegistrationState::Registered).then_some(());
    eventually("the instance is registered", registered).await;
}

#[tokio::test]
async fn consul_keeps_the_contract() {
    let agent = Agent::start().await;
    let registry = registry(agent.settings());
    let servers = (Serving::start().await, Serving::start().await);
    let mut ports = [servers.0.port(), servers.1.port()];
    ports.sort_unstable();
    contract::registering(&registry, described, ports).await;
    contract::refusing(&registry).await;
    contract::unknown(&registry).await;
}

#[tokio::test]
async fn an_instance_is_found_only_while_it_serves() {
    let agent = Agent::start().await;
    let registry = registry(agent.settings());
    let server = Serving::start().await;
    let name = "shop.user.v1.UserService";
    let instance = Instance { checks: vec![name.to_owned()], ..server.instance("user") };
    let mut watch = registry.resolver.watch("user");
    let _registration = registry.registrar.register(instance).await.unwrap();

    // The check names the service, which the server does not know yet.
    sleep(Duration::from_millis(1500)).await;
    sees(&mut watch, &[]).await;
    server.health.set_service_status(name, ServingStatus::Serving).await;
    sees(&mut watch, &[server.port()]).await;
    server.health.set_service_status(name, ServingStatus::NotServing).await;
    sees(&mut watch, &[]).await;
}

#[tokio::test]
async fn a_killed_instance_is_removed() {
    let agent = Agent::start().await;
    let registry = registry(agent.settings());
    let (mut killed, stays) = (Serving::start().await, Serving::start().await);
    let mut watch = registry.resolver.watch("user");
    let _killed = registry.registrar.register(killed.instance("user")).await.unwrap();
    let _stays = registry.registrar.register(stays.instance("user")).await.unwrap();
    eventually("both are found", async || (watch.current().len() == 2).then_some(())).await;

    killed.kill();
    sees(&mut watch, &[stays.port()]).await;
}

#[tokio::test]
async fn an_instance_in_maintenance_is_not_found() {
    let agent = Agent::start().await;
    let registry = registry(agent.settings());
    let server = Serving::start().await;
    let mut watch = registry.resolver.watch("user");
    let _registration = registry.registrar.register(server.instance("user")).await.unwrap();
    sees(&mut watch, &[server.port()]).await;

    let id = agent.services().await[0]["ID"].as_str().unwrap().to_owned();
    let maintenance = format!("/v1/agent/service/maintenance/{id}?enable=");
    agent.send("PUT", &format!("{maintenance}true"), None).await;
    sees(&mut watch, &[]).await;
    agent.send("PUT", &format!("{maintenance}false"), None).await;
    sees(&mut watch, &[server.port()]).await;

    // The whole node of the agent.
    agent.send("PUT", "/v1/agent/maintenance?enable=true", None).await;
    sees(&mut watch, &[]).await;
    agent.send("PUT", "/v1/agent/maintenance?enable=false", None).await;
    sees(&mut watch, &[server.port()]).await;
}

#[tokio::test]
async fn an_instance_can_have_an_ipv6_address() {
    let agent = Agent::start().await;
    let registry = registry(agent.settings());
    let server = Serving::at("[::1]:0").await;
    let mut watch = registry.resolver.watch("user");
    let registration = registry.registrar.register(server.instance("user")).await.unwrap();
    sees(&mut watch, &[server.port()]).await;
    assert_eq!(watch.current().endpoints()[0].address, server.address);
    registration.deregister().await;
    sees(&mut watch, &[]).await;
    assert!(agent.services().await.is_empty());
}

#[tokio::test]
async fn a_known_registration_is_not_repeated() {
    let agent = Agent::start().await;
    let mut settings = agent.settings();
    settings.verify_interval = Duration::from_millis(100);
    let registry = registry(settings);
    let server = Serving::start().await;
    let mut watch = registry.resolver.watch("user");
    let registration = registry.registrar.register(server.instance("user")).await.unwrap();
    sees(&mut watch, &[server.port()]).await;

    sleep(Duration::from_secs(1)).await;
    assert_eq!(agent.registrations(), 1);
    assert_eq!(watch.current().len(), 1);
    assert_eq!(registration.state(), RegistrationState::Registered);
}

#[tokio::test]
async fn a_forgotten_registration_is_made_again() {
    let agent = Agent::start().await;
    let registry = registry(agent.settings());
    let server = Serving::start().await;
    let mut watch = registry.resolver.watch("user");
    let _registration = registry.registrar.register(server.instance("user")).await.unwrap();
    sees(&mut watch, &[server.port()]).await;

    let id = agent.services().await[0]["ID"].as_str().unwrap().to_owned();
    agent.send("PUT", &format!("/v1/agent/service/deregister/{id}"), None).await;
    sees(&mut watch, &[]).await;
    sees(&mut watch, &[server.port()]).await;
}

#[tokio::test]
async fn the_registration_of_a_killed_process_is_removed() {
    let agent = Agent::start().await;
    let server = Serving::start().await;
    let port = server.port();
    for (id, port) in [
        (format!("user-127.0.0.1-{port}-0123abcd.0"), port),
        ("user-by-another-program".to_owned(), port),
        (format!("user-127.0.0.1-{}-0123abcd.0", port - 1), port - 1),
    ] {
        let body = json!({"ID": id, "Name": "user", "Address": "127.0.0.1", "Port": port});
        agent.send("PUT", "/v1/agent/service/register", Some(body)).await;
    }
    let registry = registry(agent.settings());
    let registration = registry.registrar.register(server.instance("user")).await.unwrap();
    is_registered(&registration).await;
    let former = format!("user-127.0.0.1-{port}-0123abcd.0");
    let gone = async || {
        let services = agent.services().await;
        services.iter().all(|service| service["ID"] != former.as_str()).then_some(services.len())
    };
    assert_eq!(eventually("the earlier registration is gone", gone).await, 3);

    // Two registrations of one start at one address do not affect each other.
    let second = registry.registrar.register(server.instance("user")).await.unwrap();
    is_registered(&second).await;
    assert_eq!(agent.services().await.len(), 4);
}

#[tokio::test]
async fn a_registration_that_consul_rejects_is_an_error() {
    let agent = Agent::start().await;
    let registry = registry(agent.settings());
    let heavy = Instance { weight: 70_000, ..described(50_051) };
    let error = registry.registrar.register(heavy).await.unwrap_err();
    let expected = "the registry refuses service user: consul answered 400: \
                    Invalid Weights: DNS Weight must be between 0 and 65535";
    assert_eq!(error.to_string(), expected);
    assert!(agent.services().await.is_empty());
}

#[tokio::test]
async fn a_cancelled_registration_leaves_nothing_behind() {
    let agent = Agent::start().await;
    let registry = registry(agent.settings());
    let registering = registry.registrar.register(described(50_051));
    assert!(tokio::time::timeout(Duration::ZERO, registering).await.is_err());
    let mut watch = registry.resolver.watch("user");
    is_live(&watch).await;
    eventually("it is gone", async || agent.services().await.is_empty().then_some(())).await;
    sleep(Duration::from_millis(300)).await;
    assert!(agent.services().await.is_empty());
    assert!(watch.current().is_empty());
}
