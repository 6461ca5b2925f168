//! Tests that every adapter must pass.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use gantry_discovery::{
    EndpointSet, Instance, InvalidInstance, RegisterError, Registry, Status, Watch, Watched,
};
use tokio::time::timeout;

fn address(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

pub(crate) fn ports(set: &EndpointSet) -> Vec<u16> {
    set.endpoints().iter().map(|endpoint| endpoint.address.port()).collect()
}

/// Waits until the watch has exactly these ports.
pub(crate) async fn sees(watch: &mut Watch, expected: &[u16]) {
    let seen = timeout(Duration::from_secs(60), async {
        while ports(&watch.current()) != expected {
            watch.changed().await;
        }
    });
    assert!(seen.await.is_ok(), "expected {expected:?}, found {:?}", ports(&watch.current()));
}

/// Tests registries in which a registration adds an endpoint.
pub(crate) async fn registering(
    registry: &Registry,
    instance: impl Fn(u16) -> Instance,
    at: [u16; 2],
) {
    let service = instance(at[0]).service;
    let mut watch = registry.resolver.watch(&service);
    sees(&mut watch, &[]).await;

    let first = registry.registrar.register(instance(at[0])).await.unwrap();
    sees(&mut watch, &[at[0]]).await;
    assert!(matches!(watch.status(), Status::Live { .. }));
    let second = registry.registrar.register(instance(at[1])).await.unwrap();
    sees(&mut watch, &at).await;

    // A later watch has the same set at once.
    let mut late = registry.resolver.watch(&service);
    assert_eq!(ports(&late.current()), at);

    // All properties of the instance arrive.
    let expected = instance(at[0]).endpoint();
    assert_eq!(watch.current().endpoints()[0], expected);

    first.deregister().await;
    sees(&mut watch, &[at[1]]).await;
    sees(&mut late, &[at[1]]).await;
    drop(second);
    sees(&mut watch, &[]).await;
}

/// Tests that every registry rejects invalid instances.
pub(crate) async fn refusing(registry: &Registry) {
    let invalid = [
        (Instance::new("", address(1)), "name"),
        (Instance::new("a/b", address(1)), "name"),
        (Instance::new("user", "0.0.0.0:1".parse().unwrap()), "address"),
        (Instance::new("user", "[::]:1".parse().unwrap()), "address"),
        (Instance::new("user", "[::ffff:0.0.0.0]:1".parse().unwrap()), "address"),
        (Instance::new("user", address(0)), "address"),
        (Instance { weight: 0, ..Instance::new("user", address(1)) }, "weight"),
    ];
    for (instance, what) in invalid {
        let error = registry.registrar.register(instance).await.unwrap_err();
        let RegisterError::Invalid(invalid) = error else {
            panic!("{what}: expected an invalid instance, got {error}");
        };
        let kind = match invalid {
            InvalidInstance::Name(_) => "name",
            InvalidInstance::Address { .. } => "address",
            InvalidInstance::Weight(_) => "weight",
        };
        assert_eq!(kind, what);
    }
}

/// Tests that an unknown service has an empty, live set in every registry.
pub(crate) async fn unknown(registry: &Registry) {
    let mut watch = registry.resolver.watch("unknown-service");
    let answered = timeout(Duration::from_secs(60), async {
        while !matches!(watch.status(), Status::Live { .. }) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    assert!(answered.await.is_ok(), "{:?}", watch.status());
    assert!(watch.current().is_empty());

    // The resolver reports the state for as long as the service is watched.
    let state = registry.resolver.watched().remove("unknown-service");
    assert!(
        matches!(
            &state,
            Some(Watched { status: Status::Live { .. }, endpoints: 0, unusable: None })
        ),
        "{state:?}"
    );
    drop(watch);
    assert!(!registry.resolver.watched().contains_key("unknown-service"));
}

/// Returns an instance with all properties set.
pub(crate) fn described(port: u16) -> Instance {
    Instance {
        weight: 3,
        zone: Some("west".to_owned()),
        version: "1.2.3".to_owned(),
        tags: vec!["canary".to_owned()],
        meta: BTreeMap::from([("shard".to_owned(), "7".to_owned())]),
        ..Instance::new("user", address(port))
    }
}

#[tokio::test]
async fn memory_keeps_the_contract() {
    let registry = Registry::memory();
    registering(&registry, described, [1001, 1002]).await;
    refusing(&registry).await;
    unknown(&registry).await;
}

#[tokio::test]
async fn a_later_instance_replaces_one_at_its_address() {
    let registry = Registry::memory();
    let mut watch = registry.resolver.watch("user");
    let old = Instance { version: "1".to_owned(), ..described(1001) };
    let new = Instance { version: "2".to_owned(), ..described(1001) };
    let old = registry.registrar.register(old).await.unwrap();
    let _new = registry.registrar.register(new).await.unwrap();
    assert_eq!(watch.current().endpoints()[0].version, "2");
    old.deregister().await;
    assert_eq!(watch.current().endpoints()[0].version, "2");
}

#[tokio::test]
async fn an_update_without_changes_is_not_published() {
    let registry = Registry::memory();
    let _first = registry.registrar.register(described(1001)).await.unwrap();
    let mut watch = registry.resolver.watch("user");
    watch.current();
    let _same = registry.registrar.register(described(1001)).await.unwrap();
    assert!(timeout(Duration::from_millis(50), watch.changed()).await.is_err());
}
