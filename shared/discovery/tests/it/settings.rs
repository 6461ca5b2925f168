//! Registries from settings.

use gantry_discovery::{Registry, Settings};

use crate::contract;

fn settings(text: &str) -> Settings {
    toml::from_str(text).unwrap()
}

#[tokio::test]
async fn a_static_list_keeps_the_contract() {
    let list = settings(
        r#"
        kind = "static"
        static_refresh = "1m"
        static.user = ["127.0.0.1:50051", "localhost:50151"]
        "#,
    );
    let registry = Registry::from_settings(&list).unwrap();
    let mut watch = registry.resolver.watch("user");
    while watch.current().is_empty() {
        watch.changed().await;
    }
    let set = watch.current();
    let ports: Vec<_> = set.endpoints().iter().map(|e| e.address.port()).collect();
    assert!(ports.contains(&50051) && ports.contains(&50151), "{ports:?}");
    contract::refusing(&registry).await;
    contract::unknown(&registry).await;
}

#[test]
fn the_default_registry_is_in_memory() {
    let registry = Registry::from_settings(&settings("")).unwrap();
    assert_eq!(format!("{registry:?}"), format!("{:?}", Registry::memory()));
    assert!(registry.propagation.is_zero() && registry.ready_unregistered);
    let strict = settings("ready_unregistered = false");
    assert!(!Registry::from_settings(&strict).unwrap().ready_unregistered);
}

#[test]
fn an_invalid_entry_is_named_with_its_service() {
    let error = Registry::from_settings(&settings("kind = \"static\"\nstatic.user = [\"50051\"]"))
        .unwrap_err();
    assert_eq!(error.to_string(), "discovery.static.user: expected HOST:PORT, got \"50051\"");
}

#[test]
fn all_problems_are_reported() {
    let wrong = settings(
        "kind = \"consul\"\nconsul.url = \"nonsense\"\nconsul.wait = \"1h\"\nconsul.timeout = \"0s\"",
    );
    let problems: Vec<_> = wrong.problems().iter().map(ToString::to_string).collect();
    assert_eq!(
        problems,
        [
            "discovery.consul.wait: expected at most 600s, got 3600s",
            "discovery.consul.timeout: expected at least 1ms, got 0ns",
            "discovery.consul.url: expected http://HOST:PORT or https://HOST:PORT",
        ]
    );
    let unused = "consul.url = \"nonsense\"";
    assert!(
        settings(unused).problems().is_empty(),
        "settings of an unused adapter are not checked"
    );
}

#[test]
fn an_unknown_key_is_rejected() {
    assert!(toml::from_str::<Settings>("knd = \"memory\"").is_err());
}
