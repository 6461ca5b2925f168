//! Subsets of endpoints, and other balancing policies.

use std::time::Duration;

use gantry_client::{
    BalancePolicy, BalanceSettings, ClientSettings, EndpointSnapshot, Otherwise, SubsetSettings,
};
use gantry_contract::{GantryReason, Reason};
use tonic::Code;

use crate::{
    caller::{ADD, GET, Setup, assert_failed, call, idle, warm, within},
    server::{Server, reply},
};

fn subset(version: Option<&str>, tags: &[&str], otherwise: Otherwise) -> ClientSettings {
    let mut subset = SubsetSettings::default()
        .tags(tags.iter().map(|tag| (*tag).to_owned()).collect())
        .otherwise(otherwise);
    subset.version = version.map(str::to_owned);
    ClientSettings::default()
        .balance(BalanceSettings::default().subset(subset))
        .endpoint_wait(Duration::from_millis(100))
}

fn by(policy: BalancePolicy) -> ClientSettings {
    let balance = BalanceSettings::default().policy(policy);
    ClientSettings::default().balance(balance)
}

/// Waits until these are the called endpoints.
async fn called(setup: &Setup, servers: &[&Server]) -> Vec<EndpointSnapshot> {
    let mut expected: Vec<_> = servers.iter().map(|server| server.address).collect();
    expected.sort();
    within("set of endpoints", || {
        let endpoints = setup.channel.snapshot().endpoints;
        let called: Vec<_> = endpoints.iter().map(|endpoint| endpoint.address).collect();
        let connected = endpoints.iter().all(|endpoint| endpoint.connections > 0);
        if called == expected && connected { Ok(endpoints) } else { Err(endpoints) }
    })
    .await
}

#[tokio::test]
async fn only_the_endpoints_of_the_version_are_connected_and_called() {
    let (old, new) = (Server::start().await, Server::start().await);
    let patched = Server::start().await;
    let setup = Setup::with(subset(Some("2.1"), &[], Otherwise::Nobody));
    let _registrations = [
        setup.register_as(old.address, "2.10.0", &[]).await,
        setup.register_as(new.address, "2.1", &[]).await,
        setup.register_as(patched.address, "2.1.7", &[]).await,
    ];
    let endpoints = called(&setup, &[&new, &patched]).await;
    assert!(endpoints.iter().all(|endpoint| endpoint.in_subset && endpoint.listed));
    assert_eq!(setup.channel.snapshot().listed, 3);
    for _ in 0..40 {
        call(&setup.channel, ADD).await.unwrap();
    }
    assert!(new.hits() > 0 && patched.hits() > 0);
    assert_eq!((old.hits(), old.connections()), (0, 0));
}

#[tokio::test]
async fn all_the_tags_are_needed() {
    let (one, both) = (Server::start().await, Server::start().await);
    let setup = Setup::with(subset(None, &["canary", "eu"], Otherwise::Nobody));
    let _registrations = [
        setup.register_as(one.address, "1", &["canary"]).await,
        setup.register_as(both.address, "1", &["eu", "fast", "canary"]).await,
    ];
    let endpoints = called(&setup, &[&both]).await;
    assert_eq!(endpoints[0].tags, ["eu", "fast", "canary"]);
    for _ in 0..10 {
        call(&setup.channel, ADD).await.unwrap();
    }
    assert_eq!((one.hits(), both.hits()), (0, 10));
}

#[tokio::test]
async fn an_empty_subset_fails_the_call_and_is_named() {
    let servers = [Server::start().await, Server::start().await];
    let version = Setup::with(subset(Some("2.1"), &[], Otherwise::Nobody));
    let _registrations = [
        version.register_as(servers[0].address, "1.9", &[]).await,
        version.register_as(servers[1].address, "2.10", &[]).await,
    ];
    let status = call(&version.channel, GET).await.unwrap_err();
    let says = ["no endpoint of echo", "none of 2 endpoints has version 2.1"];
    assert_failed(&status, Code::Unavailable, GantryReason::NoEndpoint, &says);

    let both = Setup::with(subset(Some("2"), &["a", "b"], Otherwise::Nobody));
    let _registration = both.register_as(servers[0].address, "2.0", &["a"]).await;
    let status = call(&both.channel, GET).await.unwrap_err();
    assert!(status.message().contains("has version 2 and the tags a, b"), "{status:?}");
    assert_eq!(servers.each_ref().map(Server::hits), [0, 0]);
}

#[tokio::test]
async fn a_preference_matches_all_until_an_endpoint_fits() {
    let (other, preferred) = (Server::start().await, Server::start().await);
    let setup = Setup::with(subset(None, &["near"], Otherwise::Everybody));
    let _other = setup.register_as(other.address, "1", &[]).await;
    let endpoints = called(&setup, &[&other]).await;
    assert!(!endpoints[0].in_subset && endpoints[0].listed);
    call(&setup.channel, ADD).await.unwrap();

    let near = setup.register_as(preferred.address, "1", &["near"]).await;
    called(&setup, &[&preferred]).await;
    for _ in 0..20 {
        assert_eq!(call(&setup.channel, ADD).await.unwrap(), preferred.address.to_string());
    }
    assert_eq!(other.hits(), 1);

    near.deregister().await;
    drop(preferred);
    called(&setup, &[&other]).await;
    assert_eq!(call(&setup.channel, ADD).await.unwrap(), other.address.to_string());
}

#[tokio::test]
async fn an_endpoint_outside_the_subset_only_finishes_its_calls() {
    let server = Server::slow(Duration::from_millis(300)).await;
    let setup = Setup::with(subset(Some("1"), &[], Otherwise::Nobody));
    let registration = setup.register_as(server.address, "1.0", &[]).await;
    called(&setup, &[&server]).await;
    let channel = setup.channel.clone();
    let under_way = tokio::spawn(async move { call(&channel, ADD).await });
    within("call", || (server.hits() == 1).then_some(()).ok_or(server.hits())).await;
    // The same address is registered again with another version.
    let _replaced = setup.register_as(server.address, "2.0", &[]).await;
    called(&setup, &[]).await;
    assert_eq!(under_way.await.unwrap().unwrap(), server.address.to_string());
    let status = call(&setup.channel, GET).await.unwrap_err();
    assert!(GantryReason::NoEndpoint.is_given_by(&status), "{status:?}");
    assert_eq!(server.hits(), 1);
    drop(registration);
}

#[tokio::test]
async fn round_robin_gives_each_endpoint_the_same_whatever_it_costs() {
    let slow = Server::slow(Duration::from_millis(10)).await;
    let servers = [slow, Server::start().await, Server::start().await];
    let setup = Setup::with(by(BalancePolicy::RoundRobin));
    let mut registrations = Vec::new();
    for server in &servers {
        registrations.push(setup.register(server.address).await);
    }
    warm(&setup.channel, 3).await;
    for _ in 0..30 {
        call(&setup.channel, GET).await.unwrap();
    }
    assert_eq!(servers.each_ref().map(Server::hits), [10, 10, 10]);
}

#[tokio::test]
async fn least_request_avoids_busy_endpoints() {
    let busy = Server::answering(|_| std::future::pending()).await;
    let setup = Setup::with(by(BalancePolicy::LeastRequest));
    let _busy = setup.register(busy.address).await;
    warm(&setup.channel, 1).await;
    let channel = setup.channel.clone();
    let hanging = tokio::spawn(async move { call(&channel, GET).await });
    within("call", || (busy.hits() == 1).then_some(()).ok_or(busy.hits())).await;
    // Slow, but idle at each next call.
    let idle_one = Server::answering(|_| async {
        tokio::time::sleep(Duration::from_millis(5)).await;
        reply("idle")
    })
    .await;
    let _idle = setup.register(idle_one.address).await;
    warm(&setup.channel, 2).await;
    for _ in 0..20 {
        assert_eq!(call(&setup.channel, GET).await.unwrap(), "idle");
    }
    hanging.abort();
    idle(&setup.channel).await;
}
