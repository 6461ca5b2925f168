//! Caller's side: a contract, a registry, and tonic's client over the channel.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use gantry_client::{Channel, ClientSettings, MethodSettings};
use gantry_contract::{
    Access, Contract, GantryReason, HedgingPolicy, Idempotency, MethodKind, MethodPolicy, Reason,
    Repeats, RetryPolicy, ServicePolicy,
};
use gantry_discovery::{Instance, Registration, Registry};
use http::uri::PathAndQuery;
use tonic::{Code, Request, Response, Status, client::Grpc};
use tonic_prost::ProstCodec;

/// Unary, 5 s, must not be repeated.
pub(crate) const ADD: &str = "/test.Echo/Add";
/// Unary, 5 s, without side effects.
pub(crate) const GET: &str = "/test.Echo/Get";
/// Unary, 200 ms.
pub(crate) const QUICK: &str = "/test.Echo/Quick";
/// Bidirectional stream with an idle timeout of 300 ms.
pub(crate) const CHAT: &str = "/test.Echo/Chat";
/// Unary, 5 s, without side effects: three attempts.
pub(crate) const FIND: &str = "/test.Echo/Find";
/// Unary, 5 s, idempotent: three attempts.
pub(crate) const PUT: &str = "/test.Echo/Put";
/// Response stream without side effects: three attempts until it begins.
pub(crate) const LIST: &str = "/test.Echo/List";
/// Unary, 5 s, without side effects: three attempts, 50 ms apart.
pub(crate) const SEEK: &str = "/test.Echo/Seek";
/// Response stream without side effects: two attempts, 50 ms apart.
pub(crate) const FOLLOW: &str = "/test.Echo/Follow";
/// Not in the contract.
pub(crate) const UNLISTED: &str = "/test.Other/Anything";

const fn method(
    path: &'static str,
    kind: MethodKind,
    millis: u64,
    idempotency: Idempotency,
) -> MethodPolicy {
    MethodPolicy {
        path,
        kind,
        timeout: Duration::from_millis(millis),
        access: Access::Public,
        idempotency,
        repeats: Repeats::Never,
        rate_class: None,
        max_request_bytes: None,
    }
}

const fn retried(method: MethodPolicy) -> MethodPolicy {
    MethodPolicy { repeats: Repeats::Retry(RetryPolicy::DEFAULT), ..method }
}

const fn hedged(method: MethodPolicy, max_attempts: u32) -> MethodPolicy {
    let hedging = HedgingPolicy { max_attempts, delay: Duration::from_millis(50) };
    MethodPolicy { repeats: Repeats::Hedging(hedging), ..method }
}

pub(crate) static CONTRACT: Contract = Contract {
    services: &[ServicePolicy {
        name: "test.Echo",
        methods: &[
            method(ADD, MethodKind::Unary, 5_000, Idempotency::NotIdempotent),
            method(GET, MethodKind::Unary, 5_000, Idempotency::NoSideEffects),
            method(QUICK, MethodKind::Unary, 200, Idempotency::NoSideEffects),
            method(CHAT, MethodKind::Bidirectional, 300, Idempotency::NotIdempotent),
            retried(method(FIND, MethodKind::Unary, 5_000, Idempotency::NoSideEffects)),
            retried(method(PUT, MethodKind::Unary, 5_000, Idempotency::Idempotent)),
            retried(method(LIST, MethodKind::ServerStreaming, 1_000, Idempotency::NoSideEffects)),
            hedged(method(SEEK, MethodKind::Unary, 5_000, Idempotency::NoSideEffects), 3),
            hedged(
                method(FOLLOW, MethodKind::ServerStreaming, 1_000, Idempotency::NoSideEffects),
                2,
            ),
        ],
    }],
    roles: &[],
    permissions: &[],
    rate_classes: &[],
    descriptor_set: &[],
};

/// Returns settings with calls that may take an hour: for tests in which none may run out of time
/// on a busy machine.
pub(crate) fn patient() -> ClientSettings {
    let hour = Duration::from_secs(3_600);
    let patient = MethodSettings::default().timeout(hour);
    let methods = BTreeMap::from([("test.Echo".to_owned(), patient)]);
    ClientSettings::default().methods(methods)
}

/// Channel to the service `echo`, and its registry.
pub(crate) struct Setup {
    pub(crate) registry: Registry,
    pub(crate) channel: Channel,
}

impl Setup {
    pub(crate) fn new() -> Self {
        Self::with(ClientSettings::default())
    }

    pub(crate) fn with(settings: ClientSettings) -> Self {
        let registry = Registry::memory();
        let channel = builder(&registry).settings(settings).build().unwrap();
        Self { registry, channel }
    }

    pub(crate) async fn register(&self, address: SocketAddr) -> Registration {
        self.register_as(address, "", &[]).await
    }

    pub(crate) async fn register_as(
        &self,
        address: SocketAddr,
        version: &str,
        tags: &[&str],
    ) -> Registration {
        let mut instance = Instance::new("echo", address);
        instance.version = version.to_owned();
        instance.tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
        self.registry.registrar.register(instance).await.unwrap()
    }
}

pub(crate) type EchoBuilder = gantry_client::Builder<&'static Contract, Registry>;

pub(crate) fn builder(registry: &Registry) -> EchoBuilder {
    Channel::builder("echo").contract(&CONTRACT).registry(registry.clone())
}

/// Makes a unary call.
pub(crate) async fn call(channel: &Channel, path: &'static str) -> Result<String, Status> {
    send(channel, path, Request::new("hello".to_owned())).await.map(Response::into_inner)
}

pub(crate) async fn send(
    channel: &Channel,
    path: &'static str,
    request: Request<String>,
) -> Result<Response<String>, Status> {
    let codec = ProstCodec::<String, String>::default();
    Grpc::new(channel.clone()).unary(request, PathAndQuery::from_static(path), codec).await
}

/// Waits until this many endpoints are connected.
pub(crate) async fn warm(channel: &Channel, endpoints: usize) {
    within("connections", || {
        let snapshot = channel.snapshot();
        let connected = snapshot.endpoints.iter().filter(|e| e.connections > 0).count();
        (connected == endpoints).then_some(()).ok_or(snapshot.endpoints)
    })
    .await;
}

/// Guard of a test against hanging: long enough for any busy machine.
pub(crate) const GUARD: Duration = Duration::from_secs(60);

/// Waits for a state. Panics with the last other state if it does not come.
pub(crate) async fn within<T, E: std::fmt::Debug>(
    what: &str,
    mut holds: impl FnMut() -> Result<T, E>,
) -> T {
    let until = tokio::time::Instant::now() + GUARD;
    loop {
        match holds() {
            Ok(value) => return value,
            Err(instead) if tokio::time::Instant::now() > until => {
                panic!("no {what} within {GUARD:?}: {instead:?}");
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(2)).await,
        }
    }
}

/// Waits until no call is in flight.
pub(crate) async fn idle(channel: &Channel) {
    within("idle counters", || {
        let snapshot = channel.snapshot();
        let in_flight: u32 = snapshot.endpoints.iter().map(|e| e.in_flight).sum();
        (in_flight == 0).then_some(()).ok_or(snapshot.endpoints)
    })
    .await;
}

pub(crate) fn assert_failed(status: &Status, code: Code, reason: GantryReason, says: &[&str]) {
    assert_eq!(status.code(), code, "{status:?}");
    assert!(reason.is_given_by(status), "expected {reason:?}: {status:?}");
    for part in says {
        assert!(status.message().contains(part), "expected {part:?} in: {}", status.message());
    }
}
