//! Tests of instances with host names, in paused time.

use std::{collections::HashMap, io, net::SocketAddr, sync::Mutex, time::Duration};

use super::*;
use crate::{
    names::Addresses,
    resolver::{Status, Watch},
};

/// Addresses by name. A name without an entry does not exist.
#[derive(Clone, Default)]
struct Zone(Arc<Mutex<HashMap<&'static str, Vec<&'static str>>>>);

impl Zone {
    fn set(&self, name: &'static str, addresses: &[&'static str]) {
        self.0.lock().unwrap().insert(name, addresses.to_vec());
    }

    fn forget(&self, name: &str) {
        self.0.lock().unwrap().remove(name);
    }

    fn lookup(&self) -> Lookup {
        let zone = self.clone();
        Lookup(Arc::new(move |name: String, port| -> Addresses {
            let found = zone.0.lock().unwrap().get(name.as_str()).cloned();
            let found = found.ok_or_else(|| io::Error::other("no such name"));
            Box::pin(async move {
                let at = |ip: &str| SocketAddr::new(ip.parse().unwrap(), port);
                Ok(found?.into_iter().map(at).collect())
            })
        }))
    }
}

struct World {
    zone: Zone,
    watching: Watching,
    watch: Watch,
    index: u64,
}

impl World {
    fn new() -> Self {
        let (zone, settings) = (Zone::default(), Settings::default());
        let publisher = Arc::new(Publisher::new());
        let watch = publisher.watch(Arc::new(()));
        let client = Arc::new(settings.client().unwrap());
        let watching = Watching::new(client, "user", publisher, &settings, zone.lookup());
        Self { zone, watching, watch, index: 0 }
    }

    /// Feeds an answer of Consul that lists instances with these hosts and ports. Returns true if
    /// the answer is news.
    async fn lists(&mut self, hosts: &[(&str, i64)]) -> bool {
        self.index += 1;
        let entry = |(number, (host, port)): (usize, &(&str, i64))| {
            let service = format!(r#"{{"ID":"user-{number}","Address":{host:?},"Port":{port}}}"#);
            let text = format!(r#"{{"Node":{{"Address":"10.9.9.9"}},"Service":{service}}}"#);
            serde_json::from_str(&text).unwrap()
        };
        let entries = hosts.iter().enumerate().map(entry).collect();
        let answer = Passing { index: self.index, entries, led: true, age: Duration::ZERO };
        self.watching.take(Ok(answer)).await.unwrap()
    }

    /// Lets `time` pass, so that look-ups complete.
    async fn pass(&mut self, time: Duration) {
        self.watching.meanwhile(sleep(time)).await;
    }

    async fn look_up(&mut self) {
        self.pass(Duration::from_millis(1)).await;
    }

    fn sees(&mut self) -> Vec<String> {
        let set = self.watch.current();
        set.endpoints().iter().map(|endpoint| endpoint.address.to_string()).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn a_host_name_is_resolved_and_resolved_again() {
    let mut world = World::new();
    world.zone.set("users.internal", &["10.0.0.2", "10.0.0.1", "fd00::1"]);
    world.lists(&[("Users.internal", 80), ("10.0.0.9", 81)]).await;
    assert_eq!(world.sees(), ["10.0.0.9:81"], "an address does not wait for a name");
    world.look_up().await;
    assert_eq!(world.sees(), ["10.0.0.1:80", "10.0.0.2:80", "10.0.0.9:81", "[fd00::1]:80"]);
    assert_eq!(world.watch.unusable(), None);

    world.zone.set("users.internal", &["10.0.0.3"]);
    world.pass(Duration::from_secs(11)).await;
    assert_eq!(world.sees(), ["10.0.0.3:80", "10.0.0.9:81"]);

    world.lists(&[("10.0.0.9", 81)]).await;
    assert_eq!(world.sees(), ["10.0.0.9:81"]);
    world.pass(Duration::from_secs(60)).await;
    assert_eq!(world.watching.names.iter().count(), 0, "the name is no longer followed");
}

#[tokio::test(start_paused = true)]
async fn a_newer_index_is_news_even_with_the_same_endpoints() {
    let mut world = World::new();
    let hosts = [("10.0.0.1", 80)];
    assert!(world.lists(&hosts).await);
    assert!(world.lists(&hosts).await);
    world.index -= 1;
    assert!(!world.lists(&hosts).await, "the index is the same");
    assert!(world.lists(&[("10.0.0.2", 80)]).await);
}

#[tokio::test(start_paused = true)]
async fn a_running_look_up_publishes_no_empty_set() {
    let mut world = World::new();
    world.zone.set("users.internal", &["10.0.0.1"]);
    world.lists(&[("users.internal", 80)]).await;
    assert!(matches!(world.watch.status(), Status::Pending { .. }), "no set is published yet");
    world.look_up().await;
    assert_eq!(world.sees(), ["10.0.0.1:80"]);
    assert!(matches!(world.watch.status(), Status::Live { .. }));
}

#[tokio::test(start_paused = true)]
async fn an_address_and_its_name_are_one_endpoint() {
    let mut world = World::new();
    world.zone.set("users.internal", &["10.0.0.1", "::ffff:10.0.0.1"]);
    let hosts = [("users.internal", 80), ("10.0.0.1", 80), ("::ffff:10.0.0.1", 80)];
    world.lists(&hosts).await;
    world.look_up().await;
    assert_eq!(world.sees(), ["10.0.0.1:80"]);
}

#[tokio::test(start_paused = true)]
async fn registrations_without_an_endpoint_are_reported() {
    let mut world = World::new();
    let hosts = [("gone.internal", 80), ("10.0.0.1", 0), ("10.0.0.9", 80)];
    world.lists(&hosts).await;
    world.look_up().await;
    assert_eq!(world.sees(), ["10.0.0.9:80"]);
    let report = world.watch.unusable().unwrap();
    assert_eq!(
        &*report,
        "\"user-1\": 0 is not a port; \"user-0\": the host name \"gone.internal\": no such name"
    );
    assert!(matches!(world.watch.status(), Status::Live { .. }), "consul answers");

    let hosts: Vec<_> = (0..1_000).map(|_| ("10.0.0.1", 0)).collect();
    world.lists(&hosts).await;
    let report = world.watch.unusable().unwrap();
    assert!(report.ends_with("; and 997 more") && report.len() < 200, "{report}");
    assert_eq!(world.sees(), [""; 0]);

    world.lists(&[("10.0.0.9", 80)]).await;
    assert_eq!(world.watch.unusable(), None);
}

#[tokio::test(start_paused = true)]
async fn a_failed_look_up_keeps_the_last_addresses() {
    let mut world = World::new();
    world.zone.set("users.internal", &["10.0.0.1"]);
    world.lists(&[("users.internal", 80)]).await;
    world.look_up().await;
    world.zone.forget("users.internal");
    world.pass(Duration::from_secs(60)).await;
    assert_eq!(world.sees(), ["10.0.0.1:80"]);
    // The same if Consul lists it again.
    world.lists(&[("users.internal", 80)]).await;
    assert_eq!(world.sees(), ["10.0.0.1:80"]);
}

#[tokio::test(start_paused = true)]
async fn names_are_looked_up_while_consul_fails() {
    let mut world = World::new();
    world.zone.set("users.internal", &["10.0.0.1"]);
    world.lists(&[("users.internal", 80)]).await;
    world.look_up().await;
    world.watching.query_failed("consul has no leader".to_owned());
    world.zone.set("users.internal", &["10.0.0.2"]);
    world.pass(Duration::from_secs(11)).await;
    assert_eq!(world.sees(), ["10.0.0.2:80"]);
    assert!(matches!(world.watch.status(), Status::Stale { .. }), "{:?}", world.watch.status());
}
