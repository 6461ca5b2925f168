//! Tests of the list with a fake name server, in paused time.

use std::{io, sync::Mutex};

use super::*;
use crate::{
    names::{Addresses, LOOKUP_TIMEOUT},
    resolver::Status,
};

const REFRESH: Duration = Duration::from_secs(10);

/// Answer of the name server: addresses, a failure, or no answer.
#[derive(Clone)]
enum Record {
    Addresses(&'static [&'static str]),
    Failure(&'static str),
    Silence,
}

use Record::{Addresses as Leads, Failure, Silence};

#[derive(Clone, Default)]
struct Zone(Arc<Mutex<Records>>);

#[derive(Default)]
struct Records {
    by_name: BTreeMap<&'static str, Record>,
    /// Names that were looked up, with the times.
    looked_up: Vec<(String, Instant)>,
}

impl Zone {
    fn with<const N: usize>(records: [(&'static str, Record); N]) -> Self {
        let zone = Self::default();
        records.into_iter().for_each(|(name, record)| zone.set(name, record));
        zone
    }

    fn set(&self, name: &'static str, record: Record) {
        self.0.lock().unwrap().by_name.insert(name, record);
    }

    fn lookup(&self) -> Lookup {
        let zone = self.clone();
        Lookup(Arc::new(move |name: String, port: u16| -> Addresses {
            let mut zone = zone.0.lock().unwrap();
            let record = zone.by_name.get(name.as_str()).cloned();
            zone.looked_up.push((name, Instant::now()));
            Box::pin(async move {
                match record.unwrap_or(Failure("no such name")) {
                    Leads(ips) => Ok(ips
                        .iter()
                        .map(|ip| SocketAddr::new(ip.parse().unwrap(), port))
                        .collect()),
                    Failure(why) => Err(io::Error::other(why)),
                    Silence => std::future::pending().await,
                }
            })
        }))
    }

    /// Returns the times between the look-ups of a name.
    fn pauses(&self, name: &str) -> Vec<Duration> {
        let looked_up = &self.0.lock().unwrap().looked_up;
        let times: Vec<_> =
            looked_up.iter().filter(|(of, _)| of == name).map(|(_, at)| *at).collect();
        times.windows(2).map(|pair| pair[1] - pair[0]).collect()
    }

    fn list(&self, entries: &[&str]) -> StaticList {
        let entries = entries.iter().map(ToString::to_string).collect();
        let services = BTreeMap::from([("user".to_owned(), entries)]);
        StaticList::with_lookup(&services, REFRESH, self.lookup()).unwrap()
    }
}

fn addresses(watch: &mut Watch) -> Vec<String> {
    watch.current().endpoints().iter().map(|endpoint| endpoint.address.to_string()).collect()
}

fn why(watch: &Watch) -> String {
    match watch.status() {
        Status::Stale { why, .. } | Status::Pending { why: Some(why) } => why,
        other => panic!("expected a failure, got {other:?}"),
    }
}

async fn next_look_up() {
    sleep(REFRESH + Duration::from_millis(1)).await;
}

#[tokio::test(start_paused = true)]
async fn each_address_of_a_name_is_an_endpoint() {
    let zone = Zone::with([("users.internal", Leads(&["10.0.0.2", "10.0.0.1", "fd00::1"]))]);
    let list = zone.list(&["users.internal:80", "users.internal:81", "10.0.0.9:82"]);
    let mut watch = list.watch("user");
    watch.changed().await;
    assert!(matches!(watch.status(), Status::Live { .. }), "{:?}", watch.status());
    assert_eq!(
        addresses(&mut watch),
        [
            "10.0.0.1:80",
            "10.0.0.1:81",
            "10.0.0.2:80",
            "10.0.0.2:81",
            "10.0.0.9:82",
            "[fd00::1]:80",
            "[fd00::1]:81",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_name_is_looked_up_at_once_and_then_at_the_interval() {
    let zone = Zone::with([("a", Leads(&["10.0.0.1"]))]);
    let list = zone.list(&["a:80"]);
    let began = Instant::now();
    let mut watch = list.watch("user");
    watch.changed().await;
    assert_eq!(began.elapsed(), Duration::ZERO);
    zone.set("a", Leads(&["10.0.0.2"]));
    watch.changed().await;
    assert!(began.elapsed() >= REFRESH && began.elapsed() < REFRESH + Duration::from_millis(5));
    assert_eq!(addresses(&mut watch), ["10.0.0.2:80"]);
    sleep(3 * REFRESH).await;
    let pauses = zone.pauses("a");
    assert!(pauses.len() >= 3 && pauses.iter().all(|pause| *pause >= REFRESH), "{pauses:?}");
}

#[tokio::test(start_paused = true)]
async fn a_failure_keeps_addresses_and_is_reported() {
    let zone = Zone::with([("a", Leads(&["10.0.0.1"]))]);
    let mut watch = zone.list(&["a:80", "10.0.0.9:80"]).watch("user");
    watch.changed().await;
    for (record, expected) in [
        (Failure("no such name"), "a: no such name"),
        (Leads(&[]), "a: has no address"),
        (Silence, "a: no answer within 5s"),
    ] {
        zone.set("a", record);
        next_look_up().await;
        sleep(LOOKUP_TIMEOUT).await;
        assert_eq!(why(&watch), expected);
        assert_eq!(addresses(&mut watch), ["10.0.0.1:80", "10.0.0.9:80"]);
    }
    zone.set("a", Leads(&["10.0.0.2"]));
    watch.changed().await;
    assert_eq!(addresses(&mut watch), ["10.0.0.2:80", "10.0.0.9:80"]);
    assert!(matches!(watch.status(), Status::Live { .. }));
}

#[tokio::test(start_paused = true)]
async fn a_failing_name_does_not_delay_others() {
    for failure in [Failure("no such name"), Silence] {
        let zone = Zone::with([("a", failure), ("b", Leads(&["10.0.0.1"]))]);
        let mut watch = zone.list(&["a:80", "b:80"]).watch("user");
        watch.changed().await;
        assert_eq!(addresses(&mut watch), ["10.0.0.1:80"]);
        zone.set("b", Leads(&["10.0.0.2"]));
        watch.changed().await;
        assert_eq!(addresses(&mut watch), ["10.0.0.2:80"]);
        assert!(why(&watch).starts_with("a: no "), "{}", why(&watch));
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_without_results_is_pending() {
    let zone = Zone::with([("a", Failure("no such name"))]);
    let mut watch = zone.list(&["a:80"]).watch("user");
    next_look_up().await;
    assert!(matches!(watch.status(), Status::Pending { .. }));
    assert_eq!(why(&watch), "a: no such name");
    zone.set("a", Leads(&["10.0.0.1"]));
    watch.changed().await;
    assert_eq!(addresses(&mut watch), ["10.0.0.1:80"]);
}

#[tokio::test(start_paused = true)]
async fn look_ups_end_with_the_last_watch() {
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let zone = Zone::with([("a", Leads(&["10.0.0.1"]))]);
    let list = zone.list(&["a:80"]);
    let (first, second) = (list.watch("user"), list.watch("user"));
    sleep(Duration::from_secs(1)).await;
    assert_eq!(tasks(), 1, "the second watch shares the source");
    drop(first);
    next_look_up().await;
    assert_eq!(tasks(), 1);
    drop(second);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(tasks(), 0);
}

#[test]
fn an_invalid_entry_is_named() {
    for wrong in [
        "",
        "users",
        "users:",
        "users:0",
        ":80",
        "10.0.0:80",
        "a b:80",
        "[::]:80",
        "0.0.0.0:80",
        "[::ffff:0.0.0.0]:80",
        "users:65536",
    ] {
        let services = BTreeMap::from([("user".to_owned(), vec![wrong.to_owned()])]);
        let error = StaticList::new(&services, Duration::from_secs(1)).unwrap_err();
        let (service, entry) = ("user".to_owned(), wrong.to_owned());
        assert_eq!(error, InvalidList::Entry { service, entry });
    }
    assert_eq!(Target::parse("[::1]:80"), Some(Target::Address("[::1]:80".parse().unwrap())));
    assert_eq!(Target::parse("db-1:80"), Some(Target::Name("db-1".to_owned(), 80)));
}

#[test]
fn a_refresh_of_zero_is_rejected() {
    let error = StaticList::new(&BTreeMap::new(), Duration::ZERO).unwrap_err();
    assert_eq!(error.to_string(), "expected at least 1s, got 0ns");
}
