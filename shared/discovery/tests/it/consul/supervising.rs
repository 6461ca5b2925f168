//! Requests of a registration, and their timing.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use gantry_discovery::{RegistrationState, consul::Check};
use tokio::time::sleep;

use super::{
    eventually, registry,
    scripted::{Answer, Received, Scripted},
};
use crate::{contract::described, output::Output};

const REGISTER: &str = "PUT /v1/agent/service/register";
const DEREGISTER: &str = "PUT /v1/agent/service/deregister/";
const BEAT: &str = "PUT /v1/agent/check/pass/";
const SWEEP: &str = "GET /v1/agent/services";

/// The answer of an agent that accepts every registration and knows it.
fn good(_: &Received) -> Answer {
    Answer::new(1, "{}")
}

fn is(request: &Received, what: &str) -> bool {
    format!("{} {}", request.method, request.path).starts_with(what)
}

fn count(agent: &Scripted, what: &str) -> usize {
    agent.all().iter().filter(|request| is(request, what)).count()
}

async fn receives(agent: &Scripted, what: &str, times: usize) {
    eventually(what, async || (count(agent, what) >= times).then_some(())).await;
}

/// The deregistration waits for the response to the registration. Consul might otherwise execute
/// the registration last.
#[tokio::test]
async fn a_cancelled_registration_is_deregistered_once_made() {
    let agent = Scripted::answering(|request| {
        if is(request, REGISTER) {
            good(request).after(Duration::from_secs(2))
        } else {
            good(request)
        }
    })
    .await;
    let registry = registry(agent.settings());
    let registrar = Arc::clone(&registry.registrar);
    let registering = tokio::spawn(async move { registrar.register(described(1001)).await });
    receives(&agent, REGISTER, 1).await;
    let since = Instant::now();
    registering.abort();
    assert!(registering.await.unwrap_err().is_cancelled());
    receives(&agent, DEREGISTER, 1).await;
    assert!(
        since.elapsed() > Duration::from_secs(1),
        "deregistered before the registration was made"
    );
    sleep(Duration::from_millis(300)).await;
    assert_eq!((count(&agent, REGISTER), count(&agent, DEREGISTER)), (1, 1));
}

#[tokio::test]
async fn a_failing_agent_is_retried_and_warned_about_once() {
    let output = Output::of_this_thread();
    let agent =
        Scripted::answering(|_| Answer { status: 500, ..Answer::new(1, "No cluster leader") })
            .await;
    let registry = registry(agent.settings());
    let registration = registry.registrar.register(described(1001)).await.unwrap();
    let why = "consul answered 500: No cluster leader".to_owned();
    assert_eq!(registration.state(), RegistrationState::Retrying { why });
    receives(&agent, "GET /v1/agent/health/service/id/", 4).await;
    assert_eq!(output.count("WARN", "not registered at consul, will retry"), 1);
}

#[tokio::test]
async fn a_ttl_check_is_passed_while_the_registration_lives() {
    let agent = Scripted::answering(good).await;
    let (check, check_ttl) = (Check::Ttl, Duration::from_secs(3));
    let registry = registry(agent.settings().check(check).check_ttl(check_ttl));
    let registration = registry.registrar.register(described(1001)).await.unwrap();
    let since = Instant::now();
    receives(&agent, BEAT, 5).await;
    // The first beat is part of the registration. The others come at a third of the TTL.
    assert!(since.elapsed() >= Duration::from_millis(3500), "took {:?}", since.elapsed());
    registration.deregister().await;
    let beats = count(&agent, BEAT);
    sleep(Duration::from_millis(1500)).await;
    assert_eq!(count(&agent, BEAT), beats, "the check is passed after the end");
    assert_eq!((count(&agent, REGISTER), count(&agent, DEREGISTER)), (1, 1));
}

#[tokio::test]
async fn a_drain_does_not_wait_for_the_removal_of_earlier_ones() {
    let agent =
        Scripted::answering(
            |request| {
                if is(request, SWEEP) { good(request).never() } else { good(request) }
            },
        )
        .await;
    // Longer than the limit of a deregistration: one that waited for the sweep would send nothing.
    let registry = registry(agent.settings().timeout(Duration::from_secs(60)));
    let registration = registry.registrar.register(described(1001)).await.unwrap();
    receives(&agent, SWEEP, 1).await;
    registration.deregister().await;
    assert_eq!(count(&agent, DEREGISTER), 1);
}

#[tokio::test]
async fn a_registration_outlives_its_registry() {
    let agent = Scripted::answering(good).await;
    let verify_interval = Duration::from_millis(100);
    let registry = registry(agent.settings().verify_interval(verify_interval));
    let registration = registry.registrar.register(described(1001)).await.unwrap();
    drop(registry);
    receives(&agent, "GET /v1/agent/health/service/id/", 3).await;
    assert_eq!(count(&agent, DEREGISTER), 0);
    assert_eq!(registration.state(), RegistrationState::Registered);
    drop(registration);
    receives(&agent, DEREGISTER, 1).await;
}

/// Each start has its own ids, so the same instance never has one id twice.
#[tokio::test]
async fn each_registration_has_an_id_of_its_own() {
    let agent = Scripted::answering(good).await;
    let starts = [registry(agent.settings()), registry(agent.settings())];
    let mut held = Vec::new();
    for start in starts.iter().chain(&starts) {
        held.push(start.registrar.register(described(1001)).await.unwrap());
    }
    drop(held);
    receives(&agent, DEREGISTER, 4).await;
    let mut ids: Vec<_> = agent.all().into_iter().filter(|one| is(one, DEREGISTER)).collect();
    ids.sort_by(|one, other| one.path.cmp(&other.path));
    ids.dedup_by(|one, other| one.path == other.path);
    assert_eq!(ids.len(), 4, "{ids:?}");
}
