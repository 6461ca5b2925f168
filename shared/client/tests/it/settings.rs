//! Configuration over the contract's policies.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use gantry_client::{
    BalanceSettings, BuildProblem, Channel, ClientSettings, ClientTls, HedgingSettings,
    MethodSettings, SubsetSettings,
};
use gantry_discovery::Registry;
use tonic::Code;

use crate::{
    caller::{ADD, CONTRACT, FIND, PUT, SEEK, Setup, UNLISTED, builder, call, warm, within},
    server::{Server, trailers_only},
};

fn methods<const N: usize>(methods: [(&str, MethodSettings); N]) -> ClientSettings {
    let methods = methods.map(|(name, settings)| (name.to_owned(), settings));
    ClientSettings::default().methods(BTreeMap::from(methods))
}

fn attempts(most: u32) -> MethodSettings {
    MethodSettings::default().max_attempts(most)
}

#[tokio::test]
async fn method_settings_override_service_settings_and_contract() {
    let server = Server::answering(|_| async { trailers_only(&[("grpc-status", "14")]) }).await;
    let setup = Setup::with(methods([("test.Echo", attempts(2)), ("test.Echo/Find", attempts(4))]));
    let _registration = setup.register(server.address).await;
    warm(&setup.channel, 1).await;
    for (path, hits) in [(PUT, 2), (FIND, 6), (ADD, 7)] {
        call(&setup.channel, path).await.unwrap_err();
        assert_eq!(server.hits(), hits, "{path}");
    }
}

fn hedging(max_attempts: Option<u32>, millis: Option<u64>) -> MethodSettings {
    let mut hedging = HedgingSettings::default();
    hedging.max_attempts = max_attempts;
    hedging.delay = millis.map(Duration::from_millis);
    MethodSettings::default().hedging(hedging)
}

#[tokio::test]
async fn hedging_settings_skip_methods_that_must_not_be_hedged() {
    let server = Server::answering(|_| std::future::pending()).await;
    let setup = Setup::with(methods([
        ("test.Echo", hedging(None, Some(10))),
        // The narrower name turns it into a retried method.
        ("test.Echo/Find", attempts(2)),
        // The contract's delay remains.
        ("test.Echo/Seek", hedging(Some(2), None)),
    ]));
    let _registration = setup.register(server.address).await;
    warm(&setup.channel, 1).await;
    for (path, hits) in [(PUT, 2), (ADD, 1), (FIND, 1), (SEEK, 2)] {
        let before = server.hits();
        let channel = setup.channel.clone();
        let calling = tokio::spawn(async move { call(&channel, path).await });
        let hit = || server.hits() - before;
        within(path, || (hit() == hits).then_some(()).ok_or(hit())).await;
        // Longer than the delays.
        tokio::time::sleep(Duration::from_millis(150)).await;
        assert_eq!(hit(), hits, "{path}");
        calling.abort();
    }
}

#[tokio::test]
async fn a_methods_time_can_be_configured() {
    let server = Server::slow(Duration::from_secs(60)).await;
    let quick = MethodSettings::default().timeout(Duration::from_millis(50));
    let setup = Setup::with(methods([("test.Echo/Add", quick)]));
    let _registration = setup.register(server.address).await;
    warm(&setup.channel, 1).await;
    tokio::time::pause();
    let started = tokio::time::Instant::now();
    assert_eq!(call(&setup.channel, ADD).await.unwrap_err().code(), Code::DeadlineExceeded);
    let took = started.elapsed();
    assert!((50..=51).contains(&took.as_millis()), "{took:?}");
}

#[tokio::test]
async fn invalid_settings_fail_the_build() {
    let zero = ClientSettings::default().max_connections(0);
    let longest = Duration::from_secs(1);
    let backoff = MethodSettings::default().initial_backoff(2 * longest).max_backoff(longest);
    let both = hedging(None, Some(1)).max_attempts(2);
    for (settings, says) in [
        (zero, "max_connections"),
        (methods([("test.Echo/Ad", attempts(2))]), "no such method"),
        (methods([("test.Ecko", attempts(2))]), "no such method"),
        (methods([("test.Echo/Add", attempts(2))]), "must not be executed twice"),
        (methods([("test.Echo/Find", backoff)]), "maximum backoff"),
        (methods([("test.Echo/Find", both)]), "retried or hedged, not both"),
        (methods([("test.Echo/Find", hedging(Some(2), None))]), "hedging.delay: must be given"),
        (methods([("test.Echo/Seek", hedging(Some(1), None))]), "hedging.max_attempts"),
        (methods([("test.Echo/Seek", hedging(Some(6), None))]), "hedging.max_attempts"),
        (methods([("test.Echo/Add", hedging(None, Some(1)))]), "must not be executed twice"),
        (methods([("test.Echo/Chat", hedging(None, Some(1)))]), "must not be executed twice"),
        (methods([("test.Echo/Find", hedging(None, Some(5_000)))]), "shorter than the timeout"),
    ] {
        let refused = builder(&Registry::memory()).settings(settings).build().unwrap_err();
        assert!(matches!(refused.problems(), [BuildProblem::Setting(_)]), "{refused}");
        assert!(refused.to_string().contains(says), "{refused}");
    }
}

#[tokio::test]
async fn another_teams_contract_is_refused_and_what_it_has_is_named() {
    let channel = |name: &str| Channel::builder(name).contract(&CONTRACT);
    let registry = Registry::memory();
    for name in ["echo", "echo-service", "shop-echo-2", "test"] {
        channel(name).registry(registry.clone()).build().unwrap();
    }
    for name in ["user", "payment-service", "service"] {
        let error = channel(name).registry(registry.clone()).build().unwrap_err();
        assert!(matches!(error.problems(), [BuildProblem::Contract { .. }]), "{error:?}");
        let says = format!("has no gRPC service of {name}: it has test.Echo");
        assert!(error.to_string().contains(&says), "{error}");
        // Unless the builder names the served contract.
        let named = channel(name).grpc_service("test.Echo").registry(registry.clone());
        named.build().unwrap();
    }
    let wrong = channel("echo").grpc_service("test.Other").registry(registry).build().unwrap_err();
    assert!(matches!(wrong.problems(), [BuildProblem::GrpcService(name)] if name == "test.Other"));
}

#[tokio::test]
async fn every_problem_is_reported() {
    let backoff = Duration::from_secs(9);
    let settings = methods([
        ("test.Ecko", attempts(2)),
        ("test.Echo/Add", attempts(2)),
        ("test.Echo/Find", MethodSettings::default().initial_backoff(backoff)),
    ]);
    let settings = settings
        .tls(ClientTls::trusting("/absent"))
        .balance(BalanceSettings::default().subset(SubsetSettings::default().version(" ")));
    let builder = Channel::builder("user").contract(&CONTRACT).registry(Registry::memory());
    let error = builder.settings(settings).build().unwrap_err();
    let told: Vec<_> = error.problems().iter().map(ToString::to_string).collect();
    for says in [
        "has no gRPC service of user",
        "no such method",
        "must not be executed twice",
        "maximum backoff",
        "balance.subset.version",
        "tls.ca_file",
    ] {
        assert!(told.iter().any(|one| one.contains(says)), "{says} is not in {told:#?}");
        assert!(error.to_string().contains(says), "{error}");
    }
    assert_eq!(told.len(), 6, "{told:#?}");
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn the_first_method_unknown_to_the_contract_is_warned_of() {
    let log = Log::default();
    let written = log.clone();
    let subscriber = tracing_subscriber::fmt().with_writer(move || written.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let server = Server::start().await;
    let setup = Setup::new();
    let _registration = setup.register(server.address).await;
    let warnings = || {
        let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        text.matches("contract does not have the method").count()
    };
    call(&setup.channel, ADD).await.unwrap();
    assert_eq!(warnings(), 0);
    for _ in 0..3 {
        call(&setup.channel, UNLISTED).await.unwrap();
    }
    assert_eq!(warnings(), 1);
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(text.contains(UNLISTED) && text.contains("echo"), "{text}");
}
