//! Metrics of a running suite, compared with docs/METRICS.md and read by a foreign client.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Write,
    process::{Command, Stdio},
};

use gantry_proto::shop::user::v1::GetJwksRequest;
use tokio::task::spawn_blocking;

use crate::{
    architecture::{root, rust_files},
    load::Load,
    pages::page,
    process::Suite,
    shop::Shop,
};

/// Type and labels of a metric.
#[derive(Debug, PartialEq, Eq, serde::Deserialize)]
struct Metric {
    r#type: String,
    labels: BTreeSet<String>,
}

/// Reads the page with Prometheus's own Python client. Panics if it cannot.
fn read(page: &str) -> BTreeMap<String, Metric> {
    let python = std::env::var_os("FOREIGN_PYTHON").expect(
        "FOREIGN_PYTHON names a Python with services/gantry/tests/foreign/requirements.txt \
         installed; `./test setup` makes one at target/venv/bin/python",
    );
    let mut reader = Command::new(python)
        .arg("-B")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/foreign/metrics.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    reader.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let output = reader.wait_with_output().unwrap();
    assert!(output.status.success(), "it cannot be read:\n{page}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Metric in docs/METRICS.md.
struct Listed {
    metric: Metric,
    /// First appearance.
    from: String,
}

/// Returns the rows of the tables whose first column is `metric`.
fn listed(markdown: &str) -> BTreeMap<String, Listed> {
    let server = ["gantry_service", "server_address", "server_port"];
    let mut all = BTreeMap::new();
    let mut counts = false;
    for line in markdown.lines() {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        let [_, name, r#type, labels, from, _, _] = cells[..] else {
            counts = false;
            continue;
        };
        if counts && !name.starts_with('-') {
            let words = |cell: &str| -> BTreeSet<String> {
                cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
            };
            let mut labels_of = words(labels);
            if labels.contains("server") {
                labels_of.extend(server.map(str::to_owned));
            }
            let metric = Metric { r#type: r#type.to_owned(), labels: labels_of };
            let name = name.trim_matches('`').to_owned();
            let before = all.insert(name, Listed { metric, from: from.to_owned() });
            assert!(before.is_none(), "twice: {line}");
        }
        counts |= name == "metric";
    }
    all
}

/// Returns the names of instruments and attributes in the source: all names with dots.
fn dotted() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for file in rust_files(&root().join("shared")) {
        let in_file = file.to_string_lossy();
        if in_file.contains("/tests/")
            || !(in_file.contains("/measure") || in_file.ends_with("telemetry/src/metrics.rs"))
        {
            continue;
        }
        let source = fs::read_to_string(&file).unwrap();
        names.extend(
            source
                .split('"')
                .skip(1)
                .step_by(2)
                .filter(|text| {
                    ["grpc.", "gantry."].iter().any(|prefix| text.starts_with(prefix))
                        && !text.contains(' ')
                })
                .map(|text| text.replace('.', "_")),
        );
    }
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_suite_measures_what_is_listed_and_nothing_else() {
    let suite = Suite::start(&["--replicas", "inventory=2"]);
    let shop = Shop::open(&suite).await;
    shop.one_confirmed_order().await;
    shop.log_in("nobody@example.org", "not the password at all").await.unwrap_err();
    let exported = read(&page(&suite, "/metrics"));
    let markdown = fs::read_to_string(root().join("docs/METRICS.md")).unwrap();
    let listed = listed(&markdown);
    assert!(listed.len() > 20, "the tables are read");
    for (name, found) in &exported {
        let Listed { metric, .. } =
            listed.get(name).unwrap_or_else(|| panic!("docs/METRICS.md does not list {name}"));
        assert_eq!(found.r#type, metric.r#type, "{name}");
        if name != "target_info" {
            let other: Vec<_> = found.labels.difference(&metric.labels).collect();
            assert!(other.is_empty(), "{name} has labels that are not listed: {other:?}");
        }
    }
    // Metrics that need a failure or TLS are only searched in the source.
    let dotted = dotted();
    for (name, Listed { metric, from }) in &listed {
        match from.as_str() {
            "start" => assert!(exported.contains_key(name), "{name} is listed and not exported"),
            "then" | "TLS" | "JWKS" => {
                let instrument = ["_total", "_seconds"]
                    .iter()
                    .fold(name.as_str(), |name, suffix| name.strip_suffix(suffix).unwrap_or(name));
                assert!(dotted.contains(instrument), "{name} is listed and nowhere made");
            }
            _ => panic!("{name} is there from {from}?"),
        }
        assert!(name != "target_info" || metric.labels.contains("service_name"));
    }
    let labels: BTreeSet<_> = listed.values().flat_map(|listed| &listed.metric.labels).collect();
    for name in &dotted {
        let is_listed = ["", "_total", "_seconds", "_seconds_total"]
            .iter()
            .any(|suffix| listed.contains_key(&format!("{name}{suffix}")));
        assert!(is_listed || labels.contains(name), "docs/METRICS.md does not list {name}");
    }
    // Every metric in an alert exists.
    let alerts = markdown.split("## What to alert on").nth(1).unwrap();
    let words = alerts.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    for word in words.filter(|word| word.starts_with("grpc_") || word.starts_with("gantry_")) {
        let name = ["_count", "_bucket"]
            .iter()
            .fold(word, |name, suffix| name.strip_suffix(suffix).unwrap_or(name));
        assert!(
            listed.contains_key(name) || labels.contains(&name.to_owned()),
            "an alert names {word}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scrape_under_load_is_whole_and_fails_no_call() {
    let suite = Suite::start(&[]);
    let shop = Shop::open(&suite).await;
    let auth = shop.auth.clone();
    let load = Load::start(16, move || {
        let mut auth = auth.clone();
        async move { auth.get_jwks(GetJwksRequest {}).await.map(drop) }
    });
    let mut counted = 0.0;
    let suite = spawn_blocking(move || {
        for _ in 0..20 {
            let page = page(&suite, "/metrics");
            read(&page);
            let line = "grpc_server_call_duration_seconds_count{grpc_method=\"shop.user.v1.AuthService/GetJwks\",grpc_status=\"OK\"} ";
            let now = page.lines().find_map(|found| found.strip_prefix(line)).unwrap();
            let now: f64 = now.parse().unwrap();
            assert!(now >= counted, "what was counted is not forgotten");
            counted = now;
        }
        assert!(counted > 0.0);
        suite
    })
    .await
    .unwrap();
    load.stop().await.expect_no_failure(|| suite.process.log());
}
