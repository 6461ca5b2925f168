//! Metrics of relay and consumer, as Prometheus reads them.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use gantry_events::{
    Consumer, Relay, Scope,
    testing::{Fault, aggregate},
};
use gantry_telemetry::Metrics;
use tokio::time::sleep;

use crate::world::{Running, World, consumer_settings, orders, relay_settings, until};

/// Returns the values of our metrics, without the labels that are always the same.
fn values(metrics: &Metrics) -> BTreeMap<String, f64> {
    let text = metrics.text();
    let lines = text.lines().filter_map(|line| line.strip_prefix("gantry_events_"));
    lines
        .filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            let series = series.replace("gantry_consumer=\"reader\",", "");
            let series = series.replace(",gantry_service=\"shop\"", "");
            let series = series.replace("gantry_service=\"shop\"", "").replace("{}", "");
            Some((series, value.parse().ok()?))
        })
        .collect()
}

#[tokio::test(start_paused = true)]
async fn lag_confirms_and_outcomes_are_measured() {
    let metrics = Metrics::new("test").unwrap();
    let world = World::new();
    let (outbox, bus) = (Arc::new(world.outbox.clone()), Arc::new(world.bus.clone()));
    let relay = Relay::new(outbox, bus.clone(), relay_settings());
    let relay = relay.measured(&metrics.meter(), "shop");
    let inbox = Arc::new(world.inbox.clone());
    let settings = consumer_settings();
    let consumer = Consumer::new(bus, "reader", Scope::Service, &["order"], inbox, settings);
    let consumer = consumer.measured(&metrics.meter(), "shop");
    let found = values(&metrics);
    for series in [
        "outbox",
        "outbox_age_seconds",
        "relay",
        "blocked",
        "published_total",
        "publish_failures_total{gantry_cause=\"refused\"}",
        "consumed_total{gantry_outcome=\"unreadable\"}",
        "retries_total{gantry_cause=\"store\"}",
    ] {
        assert_eq!(found.get(series), Some(&0.0), "{series} in {found:#?}");
    }

    let orders = orders(3);
    world.inbox.poison(&orders[2], 2);
    world.inbox.faults.add([Fault::Before]);
    world.bus.publishing.add([Fault::After, Fault::Refused(0)]);
    world.write(&orders, 2);
    world.outbox.write(&aggregate("user", 1));
    let consumer = Running::start(|stop| consumer.run(stop));
    until("queue", || world.inbox.subscriptions() == 1).await;
    let relay = Running::start(|stop| relay.run(stop));
    until("events", || world.outbox.waiting() == 0).await;
    sleep(Duration::from_secs(6)).await;
    let found = values(&metrics);
    for (series, value) in [
        ("outbox", 0.0),
        ("outbox_age_seconds", 0.0),
        ("relay", 1.0),
        ("blocked", 0.0),
        ("published_total", 7.0),
        ("publish_failures_total{gantry_cause=\"unavailable\"}", 1.0),
        ("publish_failures_total{gantry_cause=\"refused\"}", 1.0),
        ("consumed_total{gantry_outcome=\"applied\"}", 5.0),
        ("consumed_total{gantry_outcome=\"parked\"}", 1.0),
        ("consumed_age_seconds_count", 5.0),
        ("retries_total{gantry_cause=\"store\"}", 1.0),
        ("retries_total{gantry_cause=\"failed\"}", 8.0),
        ("reconnects_total", 0.0),
    ] {
        assert_eq!(found.get(series), Some(&value), "{series} in {found:#?}");
    }
    assert!(found["consumed_total{gantry_outcome=\"duplicate\"}"] > 0.0);
    relay.stop().await;
    consumer.stop().await;
    assert_ne!(values(&metrics).get("relay"), Some(&1.0), "it ends with the relay");
}
