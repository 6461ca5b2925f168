//! Traces at a real collector: one order is one trace, across services, sagas, crashes and outages.

use std::collections::{BTreeMap, BTreeSet};

use gantry_proto::{
    google::r#type::PostalAddress,
    shop::inventory::v1::GetProductRequest,
    shop::order::v1::{CreateOrderRequest, OrderStatus, PlaceOrderRequest},
};
use tonic::Request;

use crate::{
    cluster::{Cluster, Through},
    collector::{Collector, Span, edges},
    load::{Load, until},
    pages::page,
    process::{Suite, gantry},
    shop::{Customer, PASSWORD, Shop, bearer, id, new_order},
};

const PLACE: &str = "shop.order.v1.OrderService/PlaceOrder";
const LOGIN: &str = "user server shop.user.v1.AuthService/Login";

/// Returns the trace of the first received span of this name, once `until` holds for it.
async fn trace(collector: &Collector, name: &str, holds: impl Fn(&[Span]) -> bool) -> Vec<Span> {
    let of_trace = |spans: &[Span]| {
        let trace = spans.iter().find(|span| span.name == name).map(|span| span.trace.clone());
        let is_of = |span: &&Span| Some(&span.trace) == trace.as_ref();
        spans.iter().filter(is_of).cloned().collect::<Vec<_>>()
    };
    let spans = collector.until("a complete trace", |spans| holds(&of_trace(spans))).await;
    of_trace(&spans)
}

/// Returns true for a span that is no statement of a database.
fn is_call(span: &&Span) -> bool {
    !span.attributes.contains_key("db.system.name")
}

fn has(spans: &[Span], label: &str) -> bool {
    spans.iter().any(|span| span.label() == label)
}

/// Returns the edges of a table of parents and children.
fn table(rows: &[(&str, &str)]) -> BTreeSet<(String, String)> {
    rows.iter().map(|(parent, child)| ((*parent).to_owned(), (*child).to_owned())).collect()
}

/// Edges of a placed order below `PlaceOrder`, without statements: the saga and its calls.
fn saga_edges() -> BTreeSet<(String, String)> {
    let (saga, attempt) = ("order internal saga place-order/1", "order internal grpc.attempt");
    let mut edges = table(&[(&format!("order server {PLACE}"), saga)]);
    edges.extend(table(&[(saga, "order internal run confirm")]));
    for (step, callee, method) in [
        ("validate-user", "user", "shop.user.v1.UserService/GetUser"),
        ("reserve-stock", "inventory", "shop.inventory.v1.InventoryService/ReserveStock"),
        ("commit-reservation", "inventory", "shop.inventory.v1.InventoryService/CommitReservation"),
    ] {
        let step = format!("order internal run {step}");
        let (client, server) =
            (format!("order client {method}"), format!("{callee} server {method}"));
        edges.extend(table(&[
            (saga, &step),
            (&step, &client),
            (&client, attempt),
            (attempt, &server),
        ]));
    }
    edges
}

#[tokio::test(flavor = "multi_thread")]
async fn one_order_is_one_trace_across_services_and_saga() {
    let collector = Collector::start();
    let mut settings = collector.settings();
    let (variable, attributes) = ("OTEL_RESOURCE_ATTRIBUTES", "host.name=example,service.name=no");
    settings.push((variable.to_owned(), attributes.to_owned()));
    let suite = Suite::start_set(&[], &settings);
    Shop::open(&suite).await.one_confirmed_order().await;
    // Parents end after their children.
    let saga = "order internal saga place-order/1";
    let place = format!("order server {PLACE}");
    let is_whole = |spans: &[Span]| has(spans, saga) && has(spans, &place);
    let spans = trace(&collector, PLACE, is_whole).await;

    let mut expected = saga_edges();
    expected.extend(table(&[("", &place)]));
    assert_eq!(edges(spans.iter().filter(is_call)), expected);

    // Statements stand below what runs them, with the names of OpenTelemetry's conventions.
    let edges = edges(&spans);
    for (parent, statement) in [
        (&*place, "order client SELECT orders"),
        (&*place, "order client COMMIT"),
        ("order internal run confirm", "order client COMMIT"),
        ("user server shop.user.v1.UserService/GetUser", "user client SELECT users"),
    ] {
        let edge = (parent.to_owned(), statement.to_owned());
        assert!(edges.contains(&edge), "{edge:?} in {edges:#?}");
    }
    let select = spans.iter().find(|span| span.label() == "user client SELECT users").unwrap();
    for (key, value) in [
        ("db.system.name", "sqlite"),
        ("db.operation.name", "SELECT"),
        ("db.collection.name", "users"),
        ("db.query.summary", "SELECT users"),
    ] {
        assert_eq!(select.attributes[key], value);
    }
    let server = spans.iter().find(|span| span.label() == place).unwrap();
    for (key, value) in [
        ("rpc.system.name", "grpc"),
        ("rpc.method", PLACE),
        ("rpc.response.status_code", "OK"),
        ("gantry.service", "order"),
    ] {
        assert_eq!(server.attributes[key], value);
    }
    let build = gantry_telemetry::BUILD;
    for span in &spans {
        let resource = &span.resource;
        assert_eq!(resource["host.name"], "example");
        assert_eq!(resource["service.version"], build.version);
        assert_eq!(resource["vcs.ref.head.revision"], build.commit);
        assert_eq!(resource["service.instance.id"], server.resource["service.instance.id"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_saga_stays_in_its_trace_after_a_crash() {
    let collector = Collector::start();
    let mut settings = collector.settings_over_http();
    settings.push(("GANTRY_ORDER__SAGA__POLL".to_owned(), "100ms".to_owned()));
    let settings: Vec<_> =
        settings.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let services = ["user", "inventory", "order"];
    let mut cluster = Cluster::find_through(Through::List, &services, &settings);
    let shop = cluster.shop().await;
    let (product, customer) = (shop.product(10).await, shop.customer().await);
    let order = shop.draft(&customer, &[(&product.sku, 1)]).await.unwrap();

    // The saga waits for the inventory service when its process is killed.
    cluster.kill("inventory", 0);
    let placed = place_without_waiting(&shop, &customer, &order.id).await;
    assert_eq!(placed, OrderStatus::Placed);
    let place = format!("order server {PLACE}");
    let validated = "order internal run validate-user";
    trace(&collector, PLACE, |spans| has(spans, &place) && has(spans, validated)).await;
    cluster.kill("order", 0);
    cluster.start_again("inventory", 0);
    cluster.start_again("order", 0);
    until("the order ends", async || {
        shop.order(&order.id).await.status() == OrderStatus::Confirmed
    })
    .await;

    let saga = "order internal saga place-order/1";
    // The process that was killed did not export its saga, but the steps before.
    let mut expected = saga_edges();
    expected.extend(table(&[("", &place), ("?", validated)]));
    let (saga_edge, reserving) =
        ((saga.to_owned(), validated.to_owned()), "order internal run reserve-stock");
    expected.remove(&saga_edge);
    // Each process exports its spans in its own time.
    let is_whole = |spans: &[Span]| expected.iter().all(|(_, span)| has(spans, span));
    let spans = trace(&collector, PLACE, is_whole).await;
    let spans: Vec<_> = spans.iter().filter(is_call).collect();
    let found = edges(spans.iter().copied());
    let tried = ("?".to_owned(), reserving.to_owned());
    let missing: Vec<_> = expected.difference(&found).collect();
    assert!(missing.is_empty(), "{missing:#?} in {found:#?}");
    // Attempts at the inventory service before the crash may have been exported.
    let more: Vec<_> = found.difference(&expected).filter(|edge| **edge != tried).collect();
    assert!(more.iter().all(|(parent, _)| parent == "?"), "{more:#?}");

    // Both runs of the process are in the trace.
    let runs: BTreeMap<_, BTreeSet<_>> = spans.iter().fold(BTreeMap::new(), |mut runs, span| {
        let runs_of: &mut BTreeSet<_> = runs.entry(span.service()).or_default();
        runs_of.insert(&*span.resource["service.instance.id"]);
        runs
    });
    assert_eq!(runs["order"].len(), 2, "{runs:?}");
    // Log lines of the saga have the ids of the call.
    let trace = &spans[0].trace;
    let log = cluster.log("order");
    let finished = log.lines().filter(|line| line.contains("order finished"));
    let finished: Vec<_> = finished.collect();
    assert_eq!(finished.len(), 1, "{log}");
    assert!(finished[0].contains(&format!("trace_id={trace}")), "{finished:?}");
    assert!(finished[0].contains("request_id="), "{finished:?}");
}

/// Places an order without waiting for its saga.
async fn place_without_waiting(shop: &Shop, customer: &Customer, order: &str) -> OrderStatus {
    let request = PlaceOrderRequest {
        id: order.to_owned(),
        request_id: id(),
        wait: Some(prost_types::Duration::default()),
        ..PlaceOrderRequest::default()
    };
    let placed = shop.orders.clone().place_order(bearer(request, &customer.token)).await;
    placed.unwrap().into_inner().status()
}

/// Returns the value of a counter of spans on the page of metrics.
fn counted(suite: &Suite, name: &str) -> u64 {
    let page = page(suite, "/metrics");
    let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{name} in {page}")).parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_hangs_or_dies_disturbs_no_call() {
    let mut collector = Collector::start();
    let mut settings = collector.settings();
    for (key, value) in
        [("OTLP__TIMEOUT", "500ms"), ("TRACES__QUEUE", "100"), ("TRACES__BATCH", "50")]
    {
        settings.push((format!("GANTRY_TELEMETRY__{key}"), value.to_owned()));
    }
    let mut suite = Suite::start_set(&[], &settings);
    let shop = Shop::open(&suite).await;
    let sku = shop.product(10).await.sku;
    let flows = |spans: usize| collector_has(spans);
    collector.until("spans flow", flows(1)).await;
    let load = {
        let shop = shop.clone();
        Load::start(4, move || {
            let request = GetProductRequest { sku: sku.clone() };
            let (mut inventory, request) = (shop.inventory.clone(), bearer(request, &shop.admin));
            async move { inventory.get_product(request).await.map(drop) }
        })
    };
    const FAILED: &str = "gantry_trace_spans_dropped_total{gantry_reason=\"export_failed\"}";
    const FULL: &str = "gantry_trace_spans_dropped_total{gantry_reason=\"queue_full\"}";
    for outage in ["hangs", "dies"] {
        let (failed, full) = (counted(&suite, FAILED), counted(&suite, FULL));
        match outage {
            "hangs" => collector.hang(),
            _ => collector.kill(),
        }
        until(outage, async || {
            let counted = |name| counted(&suite, name);
            counted(FAILED) > failed && counted(FULL) > full
        })
        .await;
        load.pass(100).await;
        match outage {
            "hangs" => collector.go_on(),
            _ => collector.start_again(),
        }
        let before = collector.spans().len();
        collector.until("spans flow again", flows(before + 1)).await;
    }
    load.stop().await.expect_no_failure(|| suite.process.log());
    suite.process.until_logged_again("spans are exported again", 2);
    // One warning for each outage, however many batches it costs.
    let log = suite.process.log();
    let told = |text: &str| log.matches(text).count();
    let warnings = told("spans cannot be exported");
    assert!((2..=told("spans are exported again") + 1).contains(&warnings), "{log}");
}

fn collector_has(spans: usize) -> impl Fn(&[Span]) -> bool {
    move |received| received.len() >= spans
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_logs_and_metrics_hold_no_personal_data_and_no_secret() {
    const STREET: &str = "221B Baker Street";
    let collector = Collector::start();
    let mut settings = collector.settings();
    for (key, value) in [
        ("TELEMETRY__METRICS__EXPORTER", "otlp"),
        ("TELEMETRY__METRICS__INTERVAL", "100ms"),
        ("TELEMETRY__FILTER", "debug"),
    ] {
        settings.push((format!("GANTRY_{key}"), value.to_owned()));
    }
    let suite = Suite::start_set(&[], &settings);
    let shop = Shop::open(&suite).await;
    let (product, customer) = (shop.product(10).await, shop.customer().await);
    let address = PostalAddress {
        region_code: "GB".to_owned(),
        address_lines: vec![STREET.to_owned()],
        ..PostalAddress::default()
    };
    let draft = CreateOrderRequest {
        shipping_address: Some(address),
        ..new_order(&customer.user.id, &[(&product.sku, 1)])
    };
    let order = shop.orders.clone().create_order(bearer(draft, &customer.token)).await;
    shop.place(&customer, &order.unwrap().into_inner()).await.unwrap();
    shop.log_in("mallory@example.org", "a wrong password").await.unwrap_err();
    let saga = "order internal saga place-order/1";
    collector
        .until("all of it is received", |spans| {
            let is_refused = |span: &Span| {
                let code = span.attributes.get("rpc.response.status_code");
                span.name.ends_with("/Login") && code.is_some_and(|code| code != "OK")
            };
            has(spans, saga) && spans.iter().any(is_refused)
        })
        .await;
    let received = || collector.printed();
    until("metrics are received", async || {
        received().contains("grpc.server.call.duration") && received().contains("shop.order.v1")
    })
    .await;
    let everything = [received(), suite.process.log(), page(&suite, "/metrics")];
    let password = suite.admin_password();
    for secret in [
        PASSWORD,
        password.trim(),
        "a wrong password",
        &customer.token,
        &shop.admin,
        "eyJ",
        &customer.user.email,
        "mallory@",
        "admin@gantry",
        STREET,
        "Baker",
        "Lovelace",
    ] {
        for text in &everything {
            // The banner names the administrator.
            let is_banner = |line: &&str| secret == "admin@gantry" && !line.contains(" INFO ");
            let mut lines = text.lines().filter(|line| line.contains(secret));
            let line = lines.find(|line| !is_banner(line));
            assert_eq!(line, None, "{secret}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_decision_of_a_caller_counts_before_the_ratio() {
    let collector = Collector::start();
    let mut settings = collector.settings();
    for (key, value) in &mut settings {
        if key.ends_with("SAMPLE_RATIO") {
            "0.0".clone_into(value);
        }
    }
    let suite = Suite::start_set(&[], &settings);
    let shop = Shop::open(&suite).await;
    let sku = shop.product(1).await.sku;
    let call = async |parent: Option<&str>| {
        let message = GetProductRequest { sku: sku.clone() };
        let mut request: Request<_> = bearer(message, &shop.admin);
        if let Some(parent) = parent {
            request.metadata_mut().insert("traceparent", parent.parse().unwrap());
        }
        shop.inventory.clone().get_product(request).await.unwrap();
    };
    let (yes, no) = ("0af7651916cd43dd8448eb211c80319c", "1bf7651916cd43dd8448eb211c80319c");
    call(None).await;
    call(Some(&format!("00-{no}-b7ad6b7169203331-00"))).await;
    call(Some(&format!("00-{yes}-b7ad6b7169203331-01"))).await;
    // Spans are exported in the order in which they end.
    let received = |spans: &[Span]| spans.iter().any(|span| span.kind == "server");
    let spans = collector.until("the sampled call", received).await;
    assert!(spans.iter().all(|span| span.trace == yes), "{spans:#?}");
    let server = spans.iter().find(|span| span.kind == "server").unwrap();
    assert_eq!(server.parent, "b7ad6b7169203331");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_spans_are_exported_unless_the_sdk_is_disabled() {
    for (disabled, expected) in [("false", true), ("true", false)] {
        let collector = Collector::start();
        let mut settings = collector.settings();
        for (key, value) in
            [("GANTRY_TELEMETRY__TRACES__INTERVAL", "1h"), ("OTEL_SDK_DISABLED", disabled)]
        {
            settings.push((key.to_owned(), value.to_owned()));
        }
        let mut suite = Suite::start_set(&[], &settings);
        Shop::open(&suite).await;
        assert!(suite.terminate().success());
        // The collector may print after its answer.
        if expected {
            collector.until("the last spans", |spans| has(spans, LOGIN)).await;
        }
        assert_eq!(has(&collector.spans(), LOGIN), expected);
    }
}

#[test]
fn opentelemetrys_variables_stand_for_settings() {
    let shown = |variables: &[(&str, &str)]| {
        let mut show = gantry();
        show.args(["config", "show"]).envs(variables.iter().copied());
        let output = show.output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(text).unwrap())
    };
    let variables = [
        ("OTEL_TRACES_EXPORTER", "otlp"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4444"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "2500"),
        ("OTEL_TRACES_SAMPLER", "parentbased_always_on"),
        ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
        ("GANTRY_TELEMETRY__TRACES__SAMPLE_RATIO", "0.5"),
    ];
    let (good, text) = shown(&variables);
    assert!(good, "{text}");
    for line in [
        r#"telemetry.traces.exporter = "otlp"  # variable OTEL_TRACES_EXPORTER"#,
        r#"telemetry.otlp.endpoint = "http://127.0.0.1:4444"  # variable OTEL_EXPORTER_OTLP_ENDPOINT"#,
        r#"telemetry.otlp.protocol = "http/protobuf"  # variable OTEL_EXPORTER_OTLP_PROTOCOL"#,
        r#"telemetry.otlp.timeout = "2s 500ms"  # variable OTEL_EXPORTER_OTLP_TIMEOUT"#,
        r#"telemetry.traces.sampler = "parentbased_always_on"  # variable OTEL_TRACES_SAMPLER"#,
        "telemetry.traces.sample_ratio = 0.5  # variable GANTRY_TELEMETRY__TRACES__SAMPLE_RATIO",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
    // A bad value of each key is refused, with its source.
    for (variable, value, problem) in [
        ("OTEL_TRACES_EXPORTER", "zipkin", "telemetry.traces.exporter: "),
        ("OTEL_METRICS_EXPORTER", "console", "telemetry.metrics.exporter: "),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector", "telemetry.otlp.endpoint: expected http://"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json", "telemetry.otlp.protocol: "),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon", "telemetry.otlp.timeout: "),
        ("OTEL_TRACES_SAMPLER", "jaeger_remote", "telemetry.traces.sampler: "),
        ("OTEL_TRACES_SAMPLER_ARG", "1.5", "telemetry.traces.sample_ratio: expected a number"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "0", "telemetry.traces.queue: expected a whole number"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4096", "telemetry.traces.batch: expected at most"),
        ("OTEL_BSP_SCHEDULE_DELAY", "0", "telemetry.traces.interval: expected a duration"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "1", "telemetry.metrics.interval: expected a duration"),
        ("GANTRY_TELEMETRY__OTLP__ALLOW_PLAINTEXT", "maybe", "telemetry.otlp.allow_plaintext: "),
        ("GANTRY_TELEMETRY__TRACES__ENDPOINT", "x", "telemetry.traces.endpoint: expected http://"),
        (
            "GANTRY_TELEMETRY__METRICS__ENDPOINT",
            "x",
            "telemetry.metrics.endpoint: expected http://",
        ),
    ] {
        let (good, text) = shown(&[(variable, value)]);
        assert!(!good, "{variable}={value}: {text}");
        let line = text.lines().find(|line| line.contains(problem));
        let line = line.unwrap_or_else(|| panic!("{problem} in {text}"));
        assert!(line.contains(&format!("(variable {variable})")), "{line}");
    }
    // Files are read only if something is exported.
    let file = ("GANTRY_TELEMETRY__OTLP__HEADERS_FILE", "/nonexistent/headers");
    assert!(shown(&[file]).0);
    let (good, text) = shown(&[file, ("OTEL_TRACES_EXPORTER", "otlp")]);
    assert!(!good && text.contains("telemetry.otlp.headers_file: cannot read"), "{text}");
}
