use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex},
};

use opentelemetry::{propagation::TextMapPropagator, trace::TraceContextExt};
use serde_json::Value;
use tracing_opentelemetry::OpenTelemetrySpanExt;

use super::*;

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Lines {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    fn json(&self) -> Vec<Value> {
        self.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// What `f` logs, with these settings.
fn logged(format: Format, filter: &str, f: impl FnOnce()) -> Lines {
    let lines = Lines::default();
    let settings = Settings { format, filter: Filter::try_from(filter.to_owned()).unwrap() };
    let writer = lines.clone();
    let (subscriber, _provider) = subscriber(&settings, "user", move || writer.clone());
    tracing::subscriber::with_default(subscriber, f);
    lines
}

#[test]
fn a_line_has_the_ids_of_the_span_around_it() {
    let lines = logged(Format::Json, "info", || {
        let carrier = HashMap::from([(
            "traceparent".to_owned(),
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned(),
        )]);
        let span = tracing::info_span!("call", request_id = tracing::field::Empty);
        span.set_parent(propagator().extract(&carrier)).unwrap();
        span.record("request_id", "r1");
        let _entered = span.entered();
        let _inner = tracing::info_span!("inside").entered();
        tracing::info!(count = 3, kind = "fast", "users listed");
    });
    let line = &lines.json()[0];
    assert_eq!(line["trace_id"], "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(line["request_id"], "r1");
    assert_eq!((&line["level"], &line["service"]), (&"info".into(), &"user".into()));
    assert_eq!(line["message"], "users listed");
    assert_eq!(line["fields"], serde_json::json!({"count": 3, "kind": "fast"}));
}

#[test]
fn ids_are_there_also_where_only_warnings_are_shown() {
    let lines = logged(Format::Json, "warn", || {
        let _span = tracing::info_span!("call", request_id = "r1").entered();
        tracing::info!("not shown");
        tracing::warn!("shown");
    });
    let lines = lines.json();
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0]["request_id"], "r1");
    assert_eq!(lines[0]["trace_id"].as_str().unwrap().len(), 32);
}

#[test]
fn a_line_outside_of_a_call_has_no_ids() {
    let lines = logged(Format::Json, "info", || tracing::info!("starting"));
    assert!(lines.json()[0].get("trace_id").is_none());
    assert!(lines.json()[0].get("request_id").is_none());
}

#[test]
fn a_trace_that_begins_here_can_be_carried_on_and_is_not_sampled() {
    logged(Format::Json, "info", || {
        let span = tracing::info_span!("call");
        let mut carrier = HashMap::new();
        propagator().inject_context(&span.context(), &mut carrier);
        let trace_id = span.context().span().span_context().trace_id().to_string();
        assert!(carrier["traceparent"].starts_with(&format!("00-{trace_id}-")));
        assert!(carrier["traceparent"].ends_with("-00"), "nothing is exported");
    });
}

/// What a call says that is made within one that says this.
fn passed_on(said: &[(&str, &str)]) -> HashMap<String, String> {
    let said: HashMap<_, _> =
        said.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let mut passed_on = HashMap::new();
    let lines = logged(Format::Json, "info", || {
        let served = tracing::info_span!("served");
        served.set_parent(propagator().extract(&said)).unwrap();
        let made = served.in_scope(|| tracing::info_span!("made"));
        let attempt = tracing::info_span!(parent: &made, "attempt");
        propagator().inject_context(&attempt.context(), &mut passed_on);
    });
    assert_eq!(lines.text(), "", "strangers write no lines");
    passed_on
}

#[test]
fn the_state_and_the_baggage_of_a_trace_go_on_with_it() {
    let said = [
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ("tracestate", "vendor=1"),
        ("baggage", "tenant=blue, tier = gold;ttl=1"),
    ];
    let passed_on = passed_on(&said);
    assert!(passed_on["traceparent"].starts_with("00-0af7651916cd43dd8448eb211c80319c-"));
    assert!(passed_on["traceparent"].ends_with("-01"));
    assert_eq!(passed_on["tracestate"], "vendor=1");
    let mut baggage: Vec<_> = passed_on["baggage"].split(',').collect();
    baggage.sort_unstable();
    assert_eq!(baggage, ["tenant=blue", "tier=gold;ttl=1"]);
}

#[test]
fn what_is_no_trace_and_no_baggage_is_not_passed_on() {
    let long = format!("a={}", "x".repeat(10_000));
    let many = "a=b,".repeat(3000);
    for trace in [
        "",
        "00",
        "00-0-0-00",
        "ff-\u{e4}",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        &long,
    ] {
        for baggage in ["", ",;=,", "=", "a", "%ff=%ff", "\u{e4}", &long, &many] {
            let passed_on =
                passed_on(&[("traceparent", trace), ("tracestate", baggage), ("baggage", baggage)]);
            // A trace of its own.
            assert_eq!(passed_on["traceparent"].len(), 55, "{trace}");
            assert!(!passed_on["traceparent"].contains("b7ad6b7169203331"), "{trace}");
            let baggage = passed_on.get("baggage").map_or(0, String::len);
            assert!(baggage <= 8192, "{baggage}");
        }
    }
}

#[test]
fn addresses_passwords_and_tokens_do_not_reach_a_line() {
    let log = || {
        tracing::info!(email = "ann@example.com", password = 4711, "hello bob@example.com");
        tracing::info!(error = %"no such user: eve@example.com", Authorization = ?"x", "failed");
    };
    for format in [Format::Json, Format::Pretty] {
        let text = logged(format, "info", log).text();
        assert!(!text.contains("example.com") && !text.contains("4711"), "{text}");
        assert!(text.contains("[e-mail]") && text.contains("[redacted]"), "{text}");
    }
}

#[test]
fn a_pretty_line_is_one_line() {
    let lines = logged(Format::Pretty, "info", || {
        let _span = tracing::info_span!("call", request_id = "r1").entered();
        tracing::info!(file = "a b", text = "x\ny", "two\nlines");
    });
    let text = lines.text();
    assert_eq!(text.lines().count(), 1);
    assert!(text.contains(r#"two\nlines file="a b" text=x\ny request_id=r1 trace_id="#), "{text}");
}

#[test]
fn a_filter_is_valid_or_refused() {
    for good in ["info", "off", "WARN", "info,gantry_user=debug", "gantry_sql=trace"] {
        assert!(Filter::try_from(good.to_owned()).is_ok(), "{good}");
    }
    for bad in ["", "inof", "info,gantry_user=loud", "=="] {
        assert!(Filter::try_from(bad.to_owned()).is_err(), "{bad}");
    }
}

#[test]
fn the_build_is_told_in_one_line() {
    assert!(BUILD.summary.starts_with(&format!("{} (commit {}", BUILD.version, BUILD.commit)));
    assert_eq!(BUILD.to_string(), BUILD.summary);
    assert!(BUILD.time.ends_with('Z'));
}
