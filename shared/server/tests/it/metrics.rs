//! Metrics of a server, as Prometheus reads them from the admin page.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use futures_util::StreamExt;
use gantry_probe::probe::v1::{ActRequest, CountRequest};
use gantry_server::{Admin, ConcurrencySettings, RateSettings, ServerBuilder, ServerTls};
use gantry_telemetry::Metrics;
use gantry_test_authority::{Authority, Issued};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    admin::{get, start},
    raw::{framed, request, send},
    world::{World, eventually, lenient, with_token},
};

/// Line of the text format: name, labels and value.
type Sample = (String, BTreeMap<String, String>, f64);

/// Parses Prometheus's text format, version 0.0.4. Rejects everything that `promtool check metrics`
/// rejects: invalid names and labels, samples without a type, a family in two places, repeated
/// samples, counters without `_total`, inconsistent buckets.
pub(crate) fn read(text: &str) -> Vec<Sample> {
    let mut samples: Vec<Sample> = Vec::new();
    let (mut types, mut seen) = (BTreeMap::new(), BTreeSet::new());
    assert!(text.ends_with('\n'), "the last line ends");
    for line in text.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            let mut words = comment.splitn(3, ' ');
            if words.next() == Some("TYPE") {
                let (name, kind) = (words.next().unwrap(), words.next().unwrap());
                assert!(is_name(name), "{line}");
                assert!(types.insert(name.to_owned(), kind.to_owned()).is_none(), "{line}");
            }
            continue;
        }
        let (series, value) = line.rsplit_once(' ').unwrap();
        assert!(seen.insert(series.to_owned()), "twice: {line}");
        let (name, labels) = match series.split_once('{') {
            Some((name, labels)) => (name, labels.strip_suffix('}').unwrap()),
            None => (series, ""),
        };
        let suffixes = ["_bucket", "_sum", "_count"];
        let family = suffixes.iter().find_map(|suffix| name.strip_suffix(suffix));
        let family = family.filter(|family| types.contains_key(*family)).unwrap_or(name);
        let kind = types.get(family).unwrap_or_else(|| panic!("no type: {line}"));
        assert!(is_name(name), "{line}");
        if kind == "counter" {
            assert!(name.ends_with("_total"), "{line}");
        }
        samples.push((name.to_owned(), labels_of(labels), value.parse().unwrap()));
    }
    buckets_add_up(&samples);
    samples
}

fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':')
}

/// Parses `a="b",c="d"` without quotation marks in values.
fn labels_of(text: &str) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    for pair in text.split("\",").filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once("=\"").unwrap();
        assert!(is_name(name), "{text}");
        let value = value.trim_end_matches('"').to_owned();
        assert!(labels.insert(name.to_owned(), value).is_none(), "{text}");
    }
    labels
}

/// Checks that buckets never decrease, and that the last one equals the count.
fn buckets_add_up(samples: &[Sample]) {
    let mut last: BTreeMap<(String, Vec<(String, String)>), f64> = BTreeMap::new();
    for (name, labels, value) in samples {
        let mut others = labels.clone();
        let bound = others.remove("le");
        let others: Vec<_> = others.into_iter().collect();
        if let (Some(family), Some(_)) = (name.strip_suffix("_bucket"), bound) {
            let before = last.insert((family.to_owned(), others), *value).unwrap_or_default();
            assert!(*value >= before, "{name} {labels:?}");
        } else if let Some(family) = name.strip_suffix("_count") {
            assert_eq!(last.get(&(family.to_owned(), others)), Some(value), "{name} {labels:?}");
        }
    }
}

/// Returns the sum of the samples of this name with these labels.
pub(crate) fn sum(samples: &[Sample], name: &str, with: &[(&str, &str)]) -> f64 {
    let matching = samples.iter().filter(|(sample, labels, _)| {
        sample == name
            && with.iter().all(|(key, value)| labels.get(*key).is_some_and(|v| v == value))
    });
    matching.map(|(_, _, value)| value).sum()
}

/// Returns a server with a meter, and its metrics.
async fn measured(change: impl FnOnce(ServerBuilder) -> ServerBuilder) -> (World, Metrics) {
    let metrics = Metrics::new("probe").unwrap();
    let meter = metrics.meter();
    (World::with(|builder| change(builder.meter(meter))).await, metrics)
}

/// Returns the current sum of the samples of this name with these labels.
fn now(metrics: &Metrics, name: &str, with: &[(&str, &str)]) -> u64 {
    sum(&read(&metrics.text()), name, with) as u64
}

const ENDED: &str = "grpc_server_call_duration_seconds_count";

#[tokio::test]
async fn calls_are_measured_by_method_and_status_only() {
    let (world, metrics) = measured(|builder| builder).await;
    let page = metrics.clone();
    let admin = start(Admin::new().metrics(move || page.text())).await;
    let mut client = world.client().await;
    for _ in 0..3 {
        client.act(ActRequest::default()).await.unwrap();
    }
    client.guarded(with_token(ActRequest::default(), "Bearer nonsense")).await.unwrap_err();
    eventually("all have ended", || now(&metrics, ENDED, &[]) == 4).await;

    let (head, body) = get(admin.address, "/metrics").await;
    assert!(head.contains("content-type: text/plain; version=0.0.4"), "{head}");
    assert!(head.contains("x-content-type-options: nosniff"), "{head}");
    let samples = read(&body);
    let count = |with: &[(&str, &str)]| sum(&samples, ENDED, with) as u64;
    let method = ("grpc_method", "probe.v1.ProbeService/Act");
    assert_eq!(count(&[method, ("grpc_status", "OK")]), 3);
    assert_eq!(count(&[("grpc_status", "UNAUTHENTICATED")]), 1);
    assert_eq!(sum(&samples, "grpc_server_call_started_total", &[method]) as u64, 3);
    // Buckets resolve microseconds.
    assert!(body.contains("le=\"0.0001\""), "{body}");
    assert_eq!(sum(&samples, "gantry_build_info", &[]) as u64, 1);
}

#[tokio::test]
async fn invented_method_names_create_no_series() {
    let (world, metrics) = measured(|builder| builder).await;
    let series = || read(&metrics.text()).len();
    let odd = |n: u32| {
        let mut odd = request(&format!("/made.up{n}/Method{n}"), framed(&ActRequest::default()));
        let header = odd.headers_mut();
        header.insert("user-agent", format!("made-up/{n}").parse().unwrap());
        header.insert("authorization", format!("Bearer made-up{n}").parse().unwrap());
        header.insert("x-request-id", format!("made-up{n}").parse().unwrap());
        if n % 2 == 1 {
            *odd.method_mut() = format!("MADEUP{n}").parse().unwrap();
        }
        odd
    };
    send(&world, odd(0)).await;
    send(&world, odd(1)).await;
    eventually("both have ended", || now(&metrics, ENDED, &[]) == 2).await;
    let before = series();
    for n in 2..40 {
        send(&world, odd(n)).await;
    }
    eventually("all have ended", || now(&metrics, ENDED, &[]) == 40).await;
    assert_eq!(series(), before);
    let other = ("grpc_method", "other");
    assert_eq!(now(&metrics, ENDED, &[other, ("grpc_status", "UNIMPLEMENTED")]), 20);
    assert_eq!(now(&metrics, ENDED, &[other, ("grpc_status", "NOT_GRPC")]), 20);
    let text = metrics.text().to_lowercase();
    assert!(!text.contains("made.up") && !text.contains("madeup"), "{text}");
}

#[tokio::test]
async fn refusals_are_counted_by_method_reason_and_limit() {
    let mut settings = lenient();
    settings.limits.per_user = RateSettings::new(0.001, 2);
    settings.max_message_bytes = 1024;
    let (world, metrics) = measured(|builder| builder.settings(settings)).await;
    let mut client = world.client().await;
    let act = ActRequest::default();
    let owner = world.keys.user("nobody", 0);
    client.guarded(act.clone()).await.unwrap_err();
    client.guarded(with_token(act.clone(), "Bearer nonsense")).await.unwrap_err();
    client.guarded(with_token(act.clone(), &world.keys.user("admin", 3600))).await.unwrap_err();
    for _ in 0..3 {
        client.guarded(with_token(act.clone(), &owner)).await.unwrap_err();
    }
    for _ in 0..4 {
        let _ = client.scarce(act.clone()).await;
    }
    // A client that knows its own deadline cancels the call itself.
    let napping = ActRequest { nap_ms: 10_000, ..act.clone() };
    let mut late = request("/probe.v1.ProbeService/Act", framed(&napping));
    late.headers_mut().insert("grpc-timeout", "50m".parse().unwrap());
    send(&world, late).await;
    let long = ActRequest { ballast: vec![0; 2000], ..act.clone() };
    client.act(long).await.unwrap_err();
    client.act(ActRequest { word: "long".into(), ..act.clone() }).await.unwrap_err();
    send(
        &world,
        request("/probe.v1.ProbeService/Act", Bytes::from_static(b"\0\0\0\0\x02\xff\xff")),
    )
    .await;
    send(&world, request("/no/such", framed(&act))).await;

    const REFUSED: &str = "gantry_server_refusals_total";
    let refused = |method: &str, reason: &str| {
        let method = format!("probe.v1.ProbeService/{method}");
        now(&metrics, REFUSED, &[("grpc_method", &method), ("gantry_reason", reason)])
    };
    assert_eq!(refused("Guarded", "TOKEN_MISSING"), 1);
    assert_eq!(refused("Guarded", "TOKEN_INVALID"), 1);
    assert_eq!(refused("Guarded", "TOKEN_EXPIRED"), 1);
    assert_eq!(refused("Guarded", "PERMISSION_MISSING"), 2);
    assert_eq!(refused("Guarded", "RATE_LIMITED"), 1);
    assert_eq!(refused("Act", "DEADLINE_EXCEEDED"), 1);
    assert_eq!(refused("Act", "VALIDATION_FAILED"), 1);
    assert_eq!(refused("Act", "MESSAGE_TOO_LARGE"), 1);
    assert_eq!(refused("Act", "MALFORMED_MESSAGE"), 1);
    let limited = |limit| now(&metrics, REFUSED, &[("gantry_limit", limit)]);
    assert_eq!((limited("caller"), limited("scarce"), limited("address")), (1, 1, 0));
    let unknown = [("grpc_method", "other"), ("gantry_reason", "METHOD_UNKNOWN")];
    assert_eq!(now(&metrics, REFUSED, &unknown), 1);
    assert_eq!(now(&metrics, REFUSED, &[]), 12);
}

#[tokio::test]
async fn panics_are_counted() {
    let (world, metrics) = measured(|builder| builder).await;
    let mut client = world.client().await;
    // The series exists before the first panic: one that appears with 1 shows no increase.
    let before = read(&metrics.text());
    let of_act = ("grpc_method".to_owned(), "probe.v1.ProbeService/Act".to_owned());
    assert!(before.contains(&("gantry_server_panics_total".into(), [of_act].into(), 0.0)));
    let panicking = ActRequest { panic: true, ..ActRequest::default() };
    client.act(panicking).await.unwrap_err();
    let counting = CountRequest { to: 9, pause_ms: 1, panic_at: 3 };
    let numbers = client.count(counting).await.unwrap().into_inner();
    numbers.collect::<Vec<_>>().await;
    eventually("both were counted", || now(&metrics, "gantry_server_panics_total", &[]) == 2).await;
    let act = [("grpc_method", "probe.v1.ProbeService/Act")];
    assert_eq!(now(&metrics, "gantry_server_panics_total", &act), 1);
    assert_eq!(now(&metrics, ENDED, &[("grpc_status", "INTERNAL")]), 2);
}

#[tokio::test]
async fn the_concurrency_limit_and_its_refusals_are_exported() {
    let mut settings = lenient();
    settings.concurrency = ConcurrencySettings::default().min(2).initial(2).max(2);
    let (world, metrics) = measured(|builder| builder.settings(settings)).await;
    let port = world.address.port().to_string();
    let who = [("gantry_service", "probe"), ("server_port", &port)];
    let in_flight = || now(&metrics, "gantry_server_concurrency_in_flight", &who);
    assert_eq!((now(&metrics, "gantry_server_concurrency_limit", &who), in_flight()), (2, 0));
    let mut client = world.client().await;
    let napping: Vec<_> = (0..2)
        .map(|_| {
            let mut client = client.clone();
            let long = ActRequest { nap_ms: 60_000, ..ActRequest::default() };
            tokio::spawn(async move { client.act(long).await })
        })
        .collect();
    eventually("both are there", || in_flight() == 2).await;
    client.act(ActRequest::default()).await.unwrap_err();
    let shed = [("gantry_reason", "OVERLOADED")];
    eventually("it was counted", || now(&metrics, "gantry_server_refusals_total", &shed) == 1)
        .await;
    napping.iter().for_each(tokio::task::JoinHandle::abort);
    eventually("both are gone", || in_flight() == 0).await;
}

#[tokio::test]
async fn connections_are_counted_by_reason_of_their_end() {
    let mut settings = lenient();
    settings.connections.max = Some(2);
    let (mut world, metrics) = measured(|builder| builder.settings(settings)).await;
    let count = |name: &str, with: &[(&str, &str)]| {
        now(&metrics, &format!("gantry_server_connections_{name}"), with)
    };
    let state = |state| now(&metrics, "gantry_server_state", &[("gantry_state", state)]);
    assert_eq!((state("starting"), state("serving"), state("draining")), (0, 1, 0));
    let mut client = world.client().await;
    client.act(ActRequest::default()).await.unwrap();
    assert_eq!((count("open", &[]), count("accepted_total", &[])), (1, 1));
    let mut gone = world.client().await;
    gone.act(ActRequest::default()).await.unwrap();
    assert_eq!(count("open", &[]), 2);
    let mut refused = TcpStream::connect(world.address).await.unwrap();
    assert_eq!(refused.read(&mut [0]).await.unwrap_or_default(), 0);
    assert_eq!(count("refused_total", &[("gantry_reason", "full")]), 1);
    drop(gone);
    eventually("it is closed", || count("open", &[]) == 1).await;
    assert_eq!(count("closed_total", &[("gantry_reason", "drain")]), 0);

    let nap = tokio::spawn(async move {
        client.act(ActRequest { nap_ms: 300, ..ActRequest::default() }).await
    });
    eventually("the call runs", || world.seen.started() == 3).await;
    world.shut_down();
    eventually("it drains", || state("draining") == 1).await;
    nap.await.unwrap().unwrap();
    world.ended().await.unwrap();
    // After its end a server has no gauges. Its counters stay.
    assert!(!metrics.text().contains("gantry_server_state"));
    assert_eq!(count("closed_total", &[("gantry_reason", "drain")]), 1);
    assert_eq!((count("open", &[]), count("accepted_total", &[])), (0, 2));
}

#[tokio::test]
async fn certificate_expiry_and_failed_handshakes_are_exported() {
    let authority = Authority::new();
    let Issued { cert_file, key_file } = authority.issue("server", &["probe"]);
    let reload_interval = Duration::from_secs(10);
    let tls = ServerTls::new(cert_file, key_file).reload_interval(reload_interval);
    let settings = lenient().tls(tls);
    let (world, metrics) = measured(|builder| builder.settings(settings)).await;
    let who = [("gantry_service", "probe"), ("gantry_side", "server")];
    let ends = now(&metrics, "gantry_tls_certificate_expiry_timestamp_seconds", &who);
    let left = UNIX_EPOCH + Duration::from_secs(ends);
    let left = left.duration_since(SystemTime::now()).unwrap();
    assert!(left > Duration::from_secs(23 * 60 * 60), "{left:?}");
    assert_eq!(now(&metrics, "gantry_tls_last_reload_successful", &who), 1);
    assert_eq!(now(&metrics, "gantry_tls_reloads_total", &[("gantry_outcome", "failed")]), 0);

    let failed = || {
        now(&metrics, "gantry_server_connections_closed_total", &[("gantry_reason", "handshake")])
    };
    assert_eq!(failed(), 0);
    let mut plain = TcpStream::connect(world.address).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    eventually("it was counted", || failed() == 1).await;
}

#[test]
fn the_reader_rejects_invalid_text_format() {
    for wrong in [
        "a 1",
        "a 1\n",
        "# TYPE a gauge\na 1\na 1\n",
        "# TYPE a counter\na 1\n",
        "# TYPE a gauge\n# TYPE a gauge\n",
        "# TYPE a histogram\na_bucket{le=\"1\"} 2\na_bucket{le=\"+Inf\"} 1\n",
    ] {
        assert!(std::panic::catch_unwind(|| read(wrong)).is_err(), "{wrong}");
    }
    read("# HELP a A.\n# TYPE a gauge\na{b=\"c\"} 1\na{b=\"d\"} 2\n");
}
