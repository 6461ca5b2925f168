//! Metrics and snapshot of a channel.

use std::time::Duration;

use gantry_client::ClientSettings;
use gantry_discovery::{Kind, Registry, Settings, consul};
use gantry_telemetry::Metrics;
use tonic::Request;

use crate::{
    caller::{ADD, FIND, Setup, UNLISTED, builder, call, send, warm},
    server::{Server, reply, trailers_only},
};

/// Returns true if a line begins and ends like this.
fn has(text: &str, series: &str, labels: &[&str], value: &str) -> bool {
    text.lines().any(|line| {
        line.starts_with(series)
            && labels.iter().all(|label| line.contains(label))
            && line.ends_with(&format!("}} {value}"))
    })
}

#[tokio::test]
async fn measurements_have_the_names_that_grpc_defines() {
    let failing = std::sync::atomic::AtomicBool::new(true);
    let server = Server::answering(move |_| {
        let fails = failing.swap(false, std::sync::atomic::Ordering::SeqCst);
        async move { if fails { trailers_only(&[("grpc-status", "14")]) } else { reply("fine") } }
    })
    .await;
    let metrics = Metrics::new("test").unwrap();
    let setup = Setup::new();
    let measured = builder(&setup.registry).meter(metrics.meter()).build().unwrap();
    let other = builder(&setup.registry).meter(metrics.meter()).build().unwrap();
    let _registration = setup.register(server.address).await;
    warm(&measured, 1).await;
    warm(&other, 1).await;
    call(&measured, FIND).await.unwrap();
    call(&measured, ADD).await.unwrap();
    send(&measured, UNLISTED, Request::new(String::new())).await.unwrap();

    let text = metrics.text();
    let find = ["grpc_method=\"test.Echo/Find\"", "grpc_target=\"echo\""];
    let count = |series: &str, status: &str, value| {
        let status = format!("grpc_status=\"{status}\"");
        has(&text, &format!("{series}_count{{"), &[&find[..], &[&status]].concat(), value)
    };
    assert!(count("grpc_client_call_duration_seconds", "OK", "1"), "{text}");
    assert!(count("grpc_client_attempt_duration_seconds", "UNAVAILABLE", "1"), "{text}");
    assert!(count("grpc_client_attempt_duration_seconds", "OK", "1"), "{text}");
    assert!(has(&text, "grpc_client_call_retries_sum{", &find, "1"), "{text}");
    assert!(has(&text, "grpc_client_call_duration_seconds_count{", &["\"other\""], "1"), "{text}");
    assert!(!text.contains("test.Other"), "{text}");
    let closed = ["gantry_state=\"closed\"", "grpc_target=\"echo\""];
    assert!(has(&text, "gantry_client_circuit_breaker_state{", &closed, "1"), "{text}");
    assert!(has(&text, "gantry_client_endpoints{", &["\"connected\""], "1"), "{text}");
    assert!(text.contains("grpc_subchannel_open_connections{grpc_target=\"echo\"}"), "{text}");

    // A dropped channel is no longer measured, and the measurement does not keep it alive.
    drop((measured, other));
    let text = metrics.text();
    assert!(!text.contains("grpc_subchannel_open_connections{"), "{text}");
}

#[tokio::test]
async fn open_breakers_and_ejections_are_measured_and_shown() {
    let server = Server::answering(|_| async { trailers_only(&[("grpc-status", "14")]) }).await;
    let metrics = Metrics::new("test").unwrap();
    let setup = Setup::new();
    let settings = ClientSettings::default().endpoint_wait(Duration::from_millis(200));
    let channel =
        builder(&setup.registry).settings(settings).meter(metrics.meter()).build().unwrap();
    let _registration = setup.register(server.address).await;
    warm(&channel, 1).await;
    for _ in 0..10 {
        call(&channel, ADD).await.unwrap_err();
    }
    let text = metrics.text();
    let open = ["gantry_state=\"open\""];
    assert!(has(&text, "gantry_client_circuit_breaker_transitions_total{", &open, "1"), "{text}");
    assert!(has(&text, "gantry_client_circuit_breaker_state{", &open, "1"), "{text}");

    let page = serde_json::to_value(channel.snapshot()).unwrap();
    assert_eq!(page["service"], "echo");
    assert_eq!(page["registry"]["state"], "live");
    assert_eq!(page["breaker"]["state"], "open");
    let endpoint = &page["endpoints"][0];
    assert_eq!(endpoint["address"], server.address.to_string());
    assert_eq!(endpoint["weight"], 1);
    assert!(endpoint["ejected_for_ms"].is_number() || endpoint["ejections"] == 0, "{page}");
}

#[tokio::test]
async fn a_registry_that_fails_is_measured_by_its_state_and_its_age() {
    let metrics = Metrics::new("test").unwrap();
    // Without a listener.
    let url = "http://127.0.0.1:1".to_owned();
    let consul = consul::Settings::default().url(url);
    let settings = Settings::default().kind(Kind::Consul).consul(consul);
    let unreachable = Registry::from_settings(&settings).unwrap();
    let setup = Setup::new();
    let _fine = builder(&setup.registry).meter(metrics.meter()).build().unwrap();
    let state = |state: &str, value| {
        let text = metrics.text();
        let state = format!("gantry_state=\"{state}\"");
        assert!(has(&text, "gantry_client_registry_state{", &[&state], value), "{text}");
    };
    for (is, value) in [("live", "1"), ("stale", "0"), ("pending", "0")] {
        state(is, value);
    }
    assert!(metrics.text().contains("gantry_client_registry_age_seconds{grpc_target=\"echo\"} "));

    let metrics = Metrics::new("test").unwrap();
    let _unsure = builder(&unreachable).meter(metrics.meter()).build().unwrap();
    let text = metrics.text();
    assert!(has(&text, "gantry_client_registry_state{", &["\"pending\""], "1"), "{text}");
    assert!(!text.contains("gantry_client_registry_age_seconds{"), "{text}");
}
