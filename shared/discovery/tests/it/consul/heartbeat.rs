//! Instances that the agent cannot reach. They pass a TTL check themselves.

use std::time::Duration;

use gantry_consul_agent::Agent;
use gantry_discovery::consul::{Check, Settings};
use tokio::{runtime, time::sleep};

use super::{NeverEmpty, agent::Reached, eventually, registry};
use crate::contract::{self, described, sees};

fn beating(agent: &Agent) -> Settings {
    agent.settings().check(Check::Ttl).check_ttl(Duration::from_secs(3))
}

/// Nothing listens at the addresses of the instances.
#[tokio::test]
async fn the_contract_holds_for_unreachable_instances() {
    let agent = Agent::start().await;
    let registry = registry(beating(&agent));
    contract::registering(&registry, described, [1001, 1002]).await;
}

#[tokio::test]
async fn an_instance_is_found_only_while_it_lives() {
    let agent = Agent::start().await;
    let mut watch = registry(agent.settings()).resolver.watch("user");
    // This runtime is the process, so it can be killed.
    let process = runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let process = process.unwrap();
    let settings = beating(&agent);
    let registering = process.spawn(async move {
        let registry = registry(settings);
        // The registration comes first: if dropped, it would deregister.
        (registry.registrar.register(described(1001)).await.unwrap(), registry)
    });
    let held = registering.await.unwrap();
    sees(&mut watch, &[1001]).await;
    let never_empty = NeverEmpty::from_now_on(&watch);
    // Twice the time to live.
    sleep(Duration::from_secs(6)).await;
    never_empty.end().await;
    assert_eq!(agent.registrations(), 1);

    process.shutdown_background();
    sees(&mut watch, &[]).await;
    assert_eq!(agent.services().await.len(), 1, "it was killed, not deregistered");
    drop(held);
}

#[tokio::test]
async fn a_forgotten_check_is_registered_again() {
    let agent = Agent::start().await;
    let registry = registry(beating(&agent));
    let mut watch = registry.resolver.watch("user");
    let _registration = registry.registrar.register(described(1001)).await.unwrap();
    sees(&mut watch, &[1001]).await;
    let id = agent.services().await[0]["ID"].as_str().unwrap().to_owned();
    agent.send("PUT", &format!("/v1/agent/service/deregister/{id}"), None).await;
    sees(&mut watch, &[]).await;
    sees(&mut watch, &[1001]).await;

    // The same for the check alone: an instance without a check would always pass.
    agent.send("PUT", &format!("/v1/agent/check/deregister/{id}:heartbeat"), None).await;
    let again = async || (agent.registrations() == 3).then_some(());
    eventually("another registration", again).await;
    sees(&mut watch, &[1001]).await;
}
