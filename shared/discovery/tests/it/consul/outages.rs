//! Outages of the agent.

use std::time::Duration;

use gantry_consul_agent::{Agent, KEPT};
use gantry_discovery::{Registration, RegistrationState};
use serde_json::json;
use tokio::time::{sleep, timeout};

use super::{
    NeverEmpty, TEST_TIMEOUT, agent::Reached, eventually, is_live, is_pending, is_stale, registry,
    serving::Serving,
};
use crate::contract::{ports, sees};

/// Waits until a deregistration has given up on an agent that does not respond.
async fn gives_up(registration: Registration) {
    timeout(TEST_TIMEOUT, registration.deregister()).await.unwrap();
}

#[tokio::test]
async fn an_agent_that_loses_its_data_costs_no_endpoint() {
    let mut agent = Agent::start().await;
    let registry = registry(agent.settings());
    let server = Serving::start().await;
    let mut watch = registry.resolver.watch("user");
    let registration = registry.registrar.register(server.instance("user")).await.unwrap();
    sees(&mut watch, &[server.port()]).await;
    let never_empty = NeverEmpty::from_now_on(&watch);

    agent.kill();
    let why = is_stale(&watch).await;
    assert!(why.contains("unreachable") && why.contains("127.0.0.1"), "{why}");
    assert_eq!(ports(&watch.current()), [server.port()]);
    let unregistered = async || match registration.state() {
        RegistrationState::Retrying { why } => Some(why),
        RegistrationState::Registered => None,
    };
    let why = eventually("the registration is known to be lost", unregistered).await;
    assert!(why.contains("unreachable"), "{why}");

    agent.restart().await;
    let known = async || (agent.services().await.len() == 1).then_some(());
    eventually("it is registered again", known).await;
    is_live(&watch).await;
    assert_eq!(ports(&watch.current()), [server.port()]);
    never_empty.end().await;
    assert_eq!(registration.state(), RegistrationState::Registered);
}

/// The agent considers every instance critical until it has checked it again.
#[tokio::test]
async fn an_agent_that_keeps_its_data_needs_no_registration() {
    let mut agent = Agent::start_with(KEPT).await;
    let registry = registry(agent.settings());
    let server = Serving::start().await;
    let mut watch = registry.resolver.watch("user");
    let registration = registry.registrar.register(server.instance("user")).await.unwrap();
    sees(&mut watch, &[server.port()]).await;
    let never_empty = NeverEmpty::from_now_on(&watch);

    agent.kill();
    is_stale(&watch).await;
    agent.restart().await;
    let passes = async || {
        let entries = agent.send("GET", "/v1/health/service/user?passing", None).await;
        let known = registration.state() == RegistrationState::Registered;
        (known && entries.as_array().unwrap().len() == 1).then_some(())
    };
    eventually("the check passes again", passes).await;
    is_live(&watch).await;
    // The earlier answers may date from before the agent checked its instances.
    sleep(Duration::from_secs(3)).await;
    eventually("the check passes again", passes).await;
    never_empty.end().await;
    assert_eq!(agent.registrations(), 0, "it was registered again");
}

#[tokio::test]
async fn an_agent_that_is_down_at_the_start_is_retried() {
    let mut agent = Agent::prepared("");
    let registry = registry(agent.settings());
    let server = Serving::start().await;
    let mut watch = registry.resolver.watch("user");
    let why = is_pending(&watch).await;
    assert!(why.contains("unreachable"), "{why}");
    let registration = registry.registrar.register(server.instance("user")).await.unwrap();
    assert!(matches!(registration.state(), RegistrationState::Retrying { .. }));

    agent.restart().await;
    sees(&mut watch, &[server.port()]).await;
    assert_eq!(registration.state(), RegistrationState::Registered);
}

#[tokio::test]
async fn an_empty_agent_is_accepted_after_the_hold() {
    let mut agent = Agent::start().await;
    let mut settings = agent.settings();
    settings.hold_empty = Duration::from_secs(3);
    let registry = registry(settings);
    // No process registers this instance again.
    let body = json!({"ID": "a", "Name": "user", "Address": "127.0.0.1", "Port": 1001});
    agent.send("PUT", "/v1/agent/service/register", Some(body)).await;
    let mut watch = registry.resolver.watch("user");
    sees(&mut watch, &[1001]).await;

    agent.kill();
    is_stale(&watch).await;
    agent.restart().await;
    let doubted = async || match is_stale(&watch).await {
        why if why.contains("lost its data") => Some(()),
        _ => None,
    };
    eventually("the empty answer is doubted", doubted).await;
    assert_eq!(ports(&watch.current()), [1001]);
    sees(&mut watch, &[]).await;
    is_live(&watch).await;
}

#[tokio::test]
async fn a_hanging_agent_is_noticed_and_costs_no_endpoint() {
    let agent = Agent::start().await;
    let mut settings = agent.settings();
    settings.wait = Duration::from_secs(1);
    settings.timeout = Duration::from_millis(500);
    let registry = registry(settings);
    let server = Serving::start().await;
    let mut watch = registry.resolver.watch("user");
    let registration = registry.registrar.register(server.instance("user")).await.unwrap();
    sees(&mut watch, &[server.port()]).await;

    agent.signal("STOP");
    let why = is_stale(&watch).await;
    assert!(why.contains("did not answer within"), "{why}");
    assert_eq!(ports(&watch.current()), [server.port()]);
    agent.signal("CONT");
    is_live(&watch).await;
    assert_eq!(ports(&watch.current()), [server.port()]);

    // The agent stays stopped until the deregistration has given up.
    agent.signal("STOP");
    gives_up(registration).await;
    agent.signal("CONT");
}

#[tokio::test]
async fn a_deregistration_does_not_wait_for_a_dead_agent() {
    let mut agent = Agent::start().await;
    let registry = registry(agent.settings());
    let server = Serving::start().await;
    let registration = registry.registrar.register(server.instance("user")).await.unwrap();
    agent.kill();
    gives_up(registration).await;
}
