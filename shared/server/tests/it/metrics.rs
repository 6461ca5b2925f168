//! What a server counts and measures, as Prometheus reads it on the admin page.

use std::collections::{BTreeMap, BTreeSet};

use gantry_probe::probe::v1::ActRequest;
use gantry_server::Admin;
use gantry_telemetry::Metrics;

use crate::{
    admin::{get, start},
    raw::{framed, request, send},
    world::{World, eventually, with_token},
};

/// A line of the text format: name, labels and value.
type Sample = (String, BTreeMap<String, String>, f64);

/// Reads Prometheus's text format, version 0.0.4, and refuses what `promtool check metrics`
/// would: names and labels of other characters, samples without a type, a family in two
/// places, the same sample twice, counters without `_total`, buckets that do not add up.
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

/// `a="b",c="d"`, where no value has a quotation mark.
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

/// Buckets only grow, and the last one is the count.
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

/// The sum of the samples of this name with these labels.
pub(crate) fn sum(samples: &[Sample], name: &str, with: &[(&str, &str)]) -> f64 {
    let matching = samples.iter().filter(|(sample, labels, _)| {
        sample == name
            && with.iter().all(|(key, value)| labels.get(*key).is_some_and(|v| v == value))
    });
    matching.map(|(_, _, value)| value).sum()
}

#[tokio::test]
async fn calls_are_counted_and_measured_by_method_and_status_and_nothing_else() {
    let metrics = Metrics::new("probe").unwrap();
    let meter = metrics.meter();
    let world = World::with(|builder| builder.meter(Some(meter))).await;
    let page = metrics.clone();
    let admin = start(Admin::new().metrics(move || page.text())).await;
    let mut client = world.client().await;
    for _ in 0..3 {
        client.act(ActRequest::default()).await.unwrap();
    }
    client.guarded(with_token(ActRequest::default(), "Bearer nonsense")).await.unwrap_err();
    // Paths that callers think up do not become series.
    for n in 0..20 {
        let path = format!("/made.up/Method{n}");
        send(&world, request(&path, framed(&ActRequest::default()))).await;
    }
    eventually("all have ended", || {
        let samples = read(&metrics.text());
        sum(&samples, "rpc_server_call_duration_seconds_count", &[]) as u64 == 24
    })
    .await;

    let (head, body) = get(admin.address, "/metrics").await;
    assert!(head.contains("content-type: text/plain; version=0.0.4"), "{head}");
    assert!(head.contains("x-content-type-options: nosniff"), "{head}");
    let samples = read(&body);
    let count = |with: &[(&str, &str)]| {
        sum(&samples, "rpc_server_call_duration_seconds_count", with) as u64
    };
    let method = ("rpc_method", "probe.v1.ProbeService/Act");
    assert_eq!(count(&[method, ("rpc_response_status_code", "OK")]), 3);
    assert_eq!(count(&[("rpc_response_status_code", "UNAUTHENTICATED")]), 1);
    assert_eq!(count(&[("rpc_method", "_OTHER"), ("error_type", "UNIMPLEMENTED")]), 20);
    assert_eq!(sum(&samples, "grpc_server_call_started_total", &[]) as u64, 24);
    assert!(!body.contains("made.up"), "{body}");
    // What takes microseconds is told apart.
    assert!(body.contains("le=\"0.0001\""), "{body}");
    assert_eq!(sum(&samples, "gantry_build_info", &[]) as u64, 1);
}

#[test]
fn the_reader_refuses_what_is_no_text_format() {
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
