//! State of the registry in readiness.

use std::{
    any::Any,
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use gantry_discovery::{
    Endpoint, EndpointSet, Instance, Publisher, RegisterError, Registrar, Registration,
    RegistrationState, Registry, Resolver, Watch, Watched,
};
use gantry_server::{Endpoints, RegistryReport};
use tokio::time::{sleep, timeout};

use crate::world::{TEST_TIMEOUT, World};

/// Registry that is unreachable until a test changes it.
#[derive(Clone, Debug)]
struct Doubtful {
    state: Arc<Mutex<RegistrationState>>,
    publisher: Arc<Publisher>,
}

impl Doubtful {
    fn new() -> Self {
        let why = "consul is unreachable".to_owned();
        let state = Arc::new(Mutex::new(RegistrationState::Retrying { why }));
        Self { state, publisher: Arc::new(Publisher::new()) }
    }

    fn registry(&self, ready_unregistered: bool) -> Registry {
        let registry = Registry::of(Arc::new(self.clone()), Duration::ZERO);
        Registry { ready_unregistered, ..registry }
    }

    fn answers(&self) {
        *self.state.lock().unwrap() = RegistrationState::Registered;
    }
}

#[async_trait::async_trait]
impl Registrar for Doubtful {
    async fn register(&self, _: Instance) -> Result<Registration, RegisterError> {
        let state = Arc::clone(&self.state);
        let stating = move || state.lock().unwrap().clone();
        Ok(Registration::new(stating, || std::future::ready(())))
    }
}

impl Resolver for Doubtful {
    fn watch(&self, _: &str) -> Watch {
        let owner: Arc<dyn Any + Send + Sync> = Arc::<Publisher>::clone(&self.publisher);
        self.publisher.watch(owner)
    }

    fn watched(&self) -> BTreeMap<String, Watched> {
        BTreeMap::from([("user".to_owned(), self.publisher.watched())])
    }
}

async fn asked(world: &World) -> RegistryReport {
    world.status.report().await.registry.unwrap()
}

async fn says(world: &World, expected: impl Fn(&RegistryReport) -> bool) {
    let saying = async {
        while !expected(&asked(world).await) {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(TEST_TIMEOUT, saying).await.unwrap();
}

#[tokio::test]
async fn an_unregistered_server_is_ready_unless_configured_otherwise() {
    for ready_unregistered in [true, false] {
        let doubtful = Doubtful::new();
        let registry = doubtful.registry(ready_unregistered);
        let world = World::with(|builder| builder.registry(registry)).await;
        let expected = Some("consul is unreachable".to_owned());
        says(&world, |registry| registry.error == expected).await;
        let report = world.status.report().await;
        assert_eq!(report.ready, ready_unregistered);
        let registry = report.registry.unwrap();
        assert!(!registry.registered);
        assert_eq!(registry.error, expected);

        doubtful.answers();
        let report = world.status.report().await;
        assert!(report.ready && report.registry.unwrap().registered);
    }
}

#[tokio::test]
async fn a_stale_watch_is_reported_and_does_not_affect_readiness() {
    let doubtful = Doubtful::new();
    doubtful.answers();
    let registry = doubtful.registry(false);
    let world = World::with(|builder| builder.registry(registry)).await;
    says(&world, |registry| registry.registered).await;
    let user = async || asked(&world).await.watched.remove("user").unwrap();
    assert_eq!(user().await.state, "pending");

    let set: EndpointSet = [Endpoint::at("127.0.0.1:1".parse().unwrap())].into_iter().collect();
    doubtful.publisher.publish(set);
    let live = user().await;
    assert_eq!((live.state, live.known, live.error), ("live", 1, None));
    assert!(live.age_millis.is_some());

    doubtful.publisher.failed("consul has no leader");
    let stale = user().await;
    assert_eq!(stale.state, "stale");
    assert_eq!(stale.error.as_deref(), Some("consul has no leader"));
    assert!(world.status.report().await.ready);
}

#[tokio::test]
async fn a_registration_without_an_endpoint_degrades() {
    let doubtful = Doubtful::new();
    doubtful.answers();
    doubtful.publisher.publish(EndpointSet::default());
    doubtful.publisher.unusable(Some("user-1: \"users.internal\": no such name".to_owned()));
    let registry = doubtful.registry(false);
    let world = World::with(|builder| builder.registry(registry)).await;
    says(&world, |registry| registry.registered).await;
    let report = world.status.report().await;
    let user = &report.registry.as_ref().unwrap().watched["user"];
    assert_eq!((user.state, user.known), ("live", 0));
    assert!(user.unusable.as_deref().unwrap().contains("users.internal"));
    assert!(report.ready && report.degraded, "{report:?}");
}

#[tokio::test]
async fn a_called_service_without_a_connection_degrades() {
    for (known, connected, degraded) in [(0, 0, true), (2, 0, true), (2, 1, false)] {
        let error = (connected == 0).then(|| "10.0.0.7:50051: refused".to_owned());
        let needed = Endpoints { known, connected, error: error.clone() };
        let world = World::serving(
            |builder| builder,
            move |server| server.needs("user", move || needed.clone()),
        )
        .await;
        let report = world.status.report().await;
        assert_eq!((report.ready, report.degraded), (true, degraded));
        let user = &report.needs["user"];
        assert_eq!((user.known, user.connected), (known, connected));
        assert_eq!(user.error, error);
    }
}
