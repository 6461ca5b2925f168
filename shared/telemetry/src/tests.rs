use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex},
};

use opentelemetry::{propagation::TextMapPropagator, trace::TraceContextExt};
use serde_json::Value;
use tracing::{Dispatch, dispatcher};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use super::*;

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
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

/// Returns the lines that `f` logs with these settings.
fn logged(format: Format, filter: &str, f: impl FnOnce()) -> Lines {
    coloured(format, filter, false, f)
}

fn coloured(format: Format, filter: &str, colours: bool, f: impl FnOnce()) -> Lines {
    let lines = Lines::default();
    let settings =
        Settings::default().format(format).filter(Filter::try_from(filter.to_owned()).unwrap());
    let style = Style { format, colours, service: "user".to_owned() };
    let (subscriber, guard) = subscriber(&settings, style, Box::new(lines.clone()), None).unwrap();
    let queue = Arc::clone(&guard.queue);
    // The subscriber outlives the guard, as in a process. If it were dropped first, the writer
    // would end and the guard's last lines would stay in the queue.
    let subscriber = Dispatch::new(subscriber);
    dispatcher::with_default(&subscriber, f);
    drop(guard);
    queue.flush(Duration::from_secs(60));
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
fn a_warning_has_its_ids_if_only_warnings_are_shown() {
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
fn a_new_trace_is_propagated_and_not_sampled() {
    logged(Format::Json, "info", || {
        let span = tracing::info_span!("call");
        let mut carrier = HashMap::new();
        propagator().inject_context(&span.context(), &mut carrier);
        let trace_id = span.context().span().span_context().trace_id().to_string();
        assert!(carrier["traceparent"].starts_with(&format!("00-{trace_id}-")));
        assert!(carrier["traceparent"].ends_with("-00"), "nothing is exported");
    });
}

/// Returns the headers of an outgoing call within an incoming call with the headers `said`.
fn propagated(said: &[(&str, &str)]) -> HashMap<String, String> {
    let said: HashMap<_, _> =
        said.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let mut propagated = HashMap::new();
    let lines = logged(Format::Json, "info", || {
        let served = tracing::info_span!("served");
        served.set_parent(propagator().extract(&said)).unwrap();
        let made = served.in_scope(|| tracing::info_span!("made"));
        let attempt = tracing::info_span!(parent: &made, "attempt");
        propagator().inject_context(&attempt.context(), &mut propagated);
    });
    assert_eq!(lines.text(), "", "invalid headers cause no lines");
    propagated
}

#[test]
fn tracestate_and_baggage_are_propagated() {
    let said = [
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ("tracestate", "vendor=1"),
        ("baggage", "tenant=blue, tier = gold;ttl=1"),
    ];
    let propagated = propagated(&said);
    assert!(propagated["traceparent"].starts_with("00-0af7651916cd43dd8448eb211c80319c-"));
    assert!(propagated["traceparent"].ends_with("-01"));
    assert_eq!(propagated["tracestate"], "vendor=1");
    let mut baggage: Vec<_> = propagated["baggage"].split(',').collect();
    baggage.sort_unstable();
    assert_eq!(baggage, ["tenant=blue", "tier=gold;ttl=1"]);
}

#[test]
fn invalid_trace_headers_are_not_propagated() {
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
            let propagated = propagated(&[
                ("traceparent", trace),
                ("tracestate", baggage),
                ("baggage", baggage),
            ]);
            // A new trace.
            assert_eq!(propagated["traceparent"].len(), 55, "{trace}");
            assert!(!propagated["traceparent"].contains("b7ad6b7169203331"), "{trace}");
            let baggage = propagated.get("baggage").map_or(0, String::len);
            assert!(baggage <= 8192, "{baggage}");
        }
    }
}

#[test]
fn e_mails_passwords_and_tokens_do_not_reach_a_line() {
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
fn a_pretty_line_of_a_call_begins_with_its_method_and_its_code() {
    let log = || {
        tracing::info!(caller = "ann", code = "NOT_FOUND", method = "a.v1.A/Get", "call ended");
        tracing::info!(method = "/\u{9b}2J a", code = "OK", "call ended");
    };
    let lines = logged(Format::Pretty, "info", log).text();
    let lines: Vec<_> = lines.lines().map(|line| line.split_once(' ').unwrap().1).collect();
    let expected = [
        " INFO a.v1.A/Get NOT_FOUND call ended caller=ann",
        r#" INFO "/\\u{9b}2J a" OK call ended"#,
    ];
    assert_eq!(lines, expected);
}

#[test]
fn the_code_of_a_call_has_the_colour_of_its_outcome() {
    for (code, colour) in [
        ("OK", 32),
        ("NOT_FOUND", 33),
        ("404", 33),
        ("INTERNAL", 31),
        ("UNAVAILABLE", 31),
        ("500", 31),
    ] {
        let log = || tracing::info!(method = "a.v1.A/Get", code, "call ended");
        let text = coloured(Format::Pretty, "info", true, log).text();
        assert!(text.contains(&format!(" \x1b[{colour}m{code}\x1b[0m call ended")), "{text:?}");
        let text = logged(Format::Pretty, "info", log).text();
        assert!(!text.contains('\x1b'), "{text:?}");
    }
}

/// Characters that must not appear unescaped in a line.
const STRANGE: &str = "\0\x07\x1b[2J\r\x7f\u{85}\u{9b}31m\u{ad}\u{61c}\u{200b}\u{2028}\u{202e}\u{2066}\u{feff}\u{e0041}";

#[test]
fn unprintable_characters_never_reach_a_line() {
    let log = || {
        let _span = tracing::info_span!("call", request_id = STRANGE).entered();
        tracing::info!(text = STRANGE, debug = ?STRANGE, display = %STRANGE, "{STRANGE}");
        tracing::warn!(method = STRANGE, code = STRANGE, log.target = STRANGE, "call ended");
    };
    for format in [Format::Json, Format::Pretty] {
        let lines = logged(format, "info", log);
        let text = lines.text();
        assert_eq!(text.lines().count(), 2);
        let raw =
            text.chars().find(|c| STRANGE.replace(['[', '2', 'J', '3', '1', 'm'], "").contains(*c));
        assert_eq!(raw, None, "{text:?}");
        assert!(text.contains("u{9b}31m") && text.contains("u{202e}"), "{text:?}");
    }
    // Parsing the JSON does not bring them back.
    let line = &logged(Format::Json, "info", log).json()[0];
    assert!(
        line["message"].as_str().unwrap().starts_with(r"\u{0}\u{7}\u{1b}[2J\r\u{7f}\u{85}"),
        "{line}"
    );
}

#[test]
fn a_backtrace_keeps_its_lines_in_json() {
    let lines = logged(Format::Json, "info", || tracing::info!(backtrace = "a\n\tb", "x"));
    assert_eq!(lines.text().lines().count(), 1);
    assert_eq!(lines.json()[0]["fields"]["backtrace"], "a\n\tb");
}

#[test]
fn a_long_text_is_truncated() {
    let long = "é".repeat(1_000_000);
    for format in [Format::Json, Format::Pretty] {
        let text = logged(format, "info", || tracing::info!(long, "{long}")).text();
        assert!(text.len() < 200_000, "{}", text.len());
        assert!(text.contains("... (2000000 bytes)"));
    }
}

/// Layer that passes every event to a limiter, at times that the test sets.
struct Timed {
    limiter: Arc<Limiter>,
    now: Arc<Mutex<Instant>>,
    admitted: Arc<Mutex<u32>>,
}

impl<S: Subscriber> Layer<S> for Timed {
    fn on_event(&self, event: &tracing::Event<'_>, _: tracing_subscriber::layer::Context<'_, S>) {
        let line = line::Line::new(event, None, None);
        let admits = self.limiter.admits(event.metadata(), &line, *self.now.lock().unwrap());
        *self.admitted.lock().unwrap() += u32::from(admits);
    }
}

/// Returns the number of events admitted in each second, and the reports afterwards.
fn admitted(seconds: u32, f: impl Fn()) -> (Vec<u32>, Vec<Value>) {
    let start = Instant::now();
    let (limiter, now, admitted) =
        (Arc::<Limiter>::default(), Arc::new(Mutex::new(start)), Arc::<Mutex<u32>>::default());
    let (of_layer, of_layer_now) = (Arc::clone(&limiter), Arc::clone(&now));
    let layer = Timed { limiter: of_layer, now: of_layer_now, admitted: Arc::clone(&admitted) };
    let counts = tracing::subscriber::with_default(Registry::default().with(layer), || {
        let second = |second| {
            *now.lock().unwrap() = start + second * Duration::from_secs(1);
            f();
            std::mem::take(&mut *admitted.lock().unwrap())
        };
        (0..seconds).map(second).collect()
    });
    let style = Style { format: Format::Json, colours: false, service: "user".to_owned() };
    let reports = limiter.report(start + seconds * Duration::from_secs(1));
    let reports = reports.iter().map(|line| serde_json::from_str(&style.render(line)).unwrap());
    (counts, reports.collect())
}

#[test]
fn warnings_of_one_kind_are_limited_and_counted() {
    let (counts, reports) = admitted(3, || {
        (0..100).for_each(|n| tracing::warn!(n, "trouble"));
        tracing::warn!("other trouble");
    });
    assert_eq!(counts, [11, 11, 11]);
    assert_eq!(reports.len(), 1, "{reports:?}");
    assert_eq!(reports[0]["fields"], serde_json::json!({"lines": 270, "like": "trouble"}));
    assert_eq!(reports[0]["level"], "warn");
}

#[test]
fn lines_with_a_kind_are_limited_by_it() {
    let (counts, reports) = admitted(1, || {
        for n in 0..100 {
            let kind = ["A", "B"].get(n % 3).copied();
            tracing::info!(log.kind = kind, "call ended");
        }
    });
    // Lines without a kind are not limited.
    assert_eq!(counts, [10 + 10 + 33]);
    let mut kinds: Vec<_> = reports.iter().map(|line| line["fields"]["kind"].as_str()).collect();
    kinds.sort_unstable();
    assert_eq!(kinds, [Some("A"), Some("B")]);
}

#[test]
fn errors_are_limited_only_where_peers_cause_them() {
    let error = || (0..100).for_each(|_| tracing::error!("ours"));
    assert_eq!(admitted(1, error).0, [100]);
    let error = || (0..100).for_each(|_| tracing::error!(target: "h2::codec", "a peer's"));
    assert_eq!(admitted(1, error).0, [10]);
    let info = || (0..100).for_each(|_| tracing::info!("ours"));
    assert_eq!(admitted(1, info).0, [100]);
}

#[test]
fn the_number_of_kinds_from_peers_is_bounded() {
    let (counts, _) = admitted(1, || {
        for n in 0..10_000 {
            tracing::info!(log.kind = n.to_string(), "call ended");
        }
    });
    assert_eq!(counts, [256 + 10]);
}

#[test]
fn a_kind_is_not_written_and_omitted_lines_are_reported() {
    let lines = logged(Format::Json, "info", || {
        (0..1000).for_each(|_| tracing::info!(log.kind = "A", "call ended"));
    });
    let lines = lines.json();
    assert!(lines.iter().all(|line| line["fields"].get("log.kind").is_none()));
    // The loop may take longer than the second that a limit covers.
    let (reports, written): (Vec<_>, Vec<_>) =
        lines.iter().partition(|line| line["message"] == "lines of one kind omitted");
    let omitted: u64 = reports.iter().map(|line| line["fields"]["lines"].as_u64().unwrap()).sum();
    assert!(omitted > 0);
    assert_eq!(written.len() as u64 + omitted, 1000);
}

#[test]
fn a_filter_is_valid_or_refused() {
    for good in ["info", "off", "WARN", "info,gantry_user=debug", "gantry_sql=trace"] {
        assert!(Filter::try_from(good.to_owned()).is_ok(), "{good}");
    }
    for (bad, part) in [
        ("", ""),
        (",", ""),
        ("inof", "inof"),
        ("gantry_sql=debug,inof,warn", "inof"),
        ("info,gantry_user=loud", "gantry_user=loud"),
        ("==", "=="),
    ] {
        assert_eq!(Filter::try_from(bad.to_owned()).unwrap_err().part, part, "{bad}");
    }
}

/// Returns the lines that `f` logs while it changes the filter, which is `warn` at first.
fn refiltered(f: impl FnOnce(&dyn Fn(&str))) -> Vec<Value> {
    let lines = Lines::default();
    let filter = |text: &str| Filter::try_from(text.to_owned()).unwrap();
    let settings = Settings::default().format(Format::Json).filter(filter("warn"));
    let style = Style { format: Format::Json, colours: false, service: "user".to_owned() };
    let (subscriber, guard) = subscriber(&settings, style, Box::new(lines.clone()), None).unwrap();
    let (queue, handle) = (Arc::clone(&guard.queue), guard.log_filter());
    let subscriber = Dispatch::new(subscriber);
    let change = |text: &str| {
        handle.change(filter(text)).unwrap();
        assert_eq!(handle.current(), filter(text));
    };
    dispatcher::with_default(&subscriber, || f(&change));
    drop(guard);
    queue.flush(Duration::from_secs(60));
    lines.json()
}

#[test]
fn the_filter_changes_inside_of_open_spans() {
    let lines = refiltered(|change| {
        let work = || {
            let _inner = tracing::debug_span!("inside").entered();
            tracing::debug!("details");
            tracing::info!("news");
        };
        let _call = tracing::info_span!("call", request_id = "r1").entered();
        work();
        change("debug");
        work();
        change("info,gantry_telemetry=error");
        work();
        change("off");
        tracing::error!("hidden");
        change("error");
        tracing::error!("shown");
    });
    let of = |line: &Value| line["message"].as_str().unwrap().to_owned();
    let shown: Vec<_> = lines.iter().map(of).collect();
    let change = "log filter changed";
    assert_eq!(shown, [change, "details", "news", change, change, change, "shown"]);
    assert!(lines.iter().all(|line| line["request_id"] == "r1"), "{lines:?}");
    assert_eq!(lines[0]["fields"], serde_json::json!({"from": "warn", "to": "debug"}));
}

#[test]
fn a_filter_by_span_works_from_the_next_span_on() {
    let lines = refiltered(|change| {
        let call = |request_id| {
            let _call = tracing::info_span!("call", request_id).entered();
            tracing::debug!("details");
        };
        call("r1");
        change("warn,[call{request_id=r2}]=debug");
        call("r1");
        call("r2");
    });
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert_eq!((&lines[1]["message"], &lines[1]["request_id"]), (&"details".into(), &"r2".into()));
}

#[test]
fn the_build_summary_is_one_line() {
    assert!(BUILD.summary.starts_with(&format!("{} (commit {}", BUILD.version, BUILD.commit)));
    assert_eq!(BUILD.to_string(), BUILD.summary);
    assert!(BUILD.time.ends_with('Z'));
}

#[test]
fn a_span_joins_a_stored_trace() {
    logged(Format::Json, "info", || {
        let call = tracing::info_span!("call");
        let stored = call.in_scope(|| traceparent().unwrap());
        let trace = |span: &tracing::Span| span.context().span().span_context().trace_id();
        let later = tracing::info_span!("later");
        join_trace(&later, &stored);
        assert_eq!(trace(&later), trace(&call));
        let other = tracing::info_span!("other");
        join_trace(&other, "00-0-0-00");
        assert_ne!(trace(&other), trace(&call));
    });
    assert_eq!(traceparent(), None, "there is no span");
}
