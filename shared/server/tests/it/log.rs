//! Log lines, captured per thread: a test that reads them must run on a single thread with its
//! server.
//!
//! All tests share one subscriber, because subscribers of single tests would race over the set of
//! enabled events.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    fmt::Debug,
    sync::{Arc, Mutex, Once},
};

use bytes::Bytes;
use gantry_probe::probe::v1::{ActRequest, RepeatRequest};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, layer::Context, layer::SubscriberExt, registry::LookupSpan};

use crate::{
    raw::{request, send},
    world::{World, eventually, with_token},
};

/// Event: its level, its fields, and the fields of its span.
pub(crate) type Line = BTreeMap<String, String>;

#[derive(Clone, Debug, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<Line>>>);

thread_local! {
    static CAUGHT: RefCell<Option<Log>> = const { RefCell::new(None) };
}

/// Installs the subscriber that captures all events.
pub(crate) fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let subscriber = tracing_subscriber::registry().with(Catch);
        tracing::subscriber::set_global_default(subscriber).unwrap();
    });
}

struct Catch;

impl Log {
    /// Captures the events of this thread from now on.
    pub(crate) fn catch() -> Self {
        install();
        let log = Self::default();
        CAUGHT.set(Some(log.clone()));
        log
    }

    /// Returns the lines with this message.
    pub(crate) fn lines(&self, message: &str) -> Vec<Line> {
        let lines = self.0.lock().unwrap();
        lines.iter().filter(|line| line["message"] == message).cloned().collect()
    }

    /// Returns the lines with this text in their message.
    pub(crate) fn containing(&self, text: &str) -> Vec<Line> {
        let lines = self.0.lock().unwrap();
        lines.iter().filter(|line| line["message"].contains(text)).cloned().collect()
    }

    /// Waits for the first line with this message.
    pub(crate) async fn line(&self, message: &str) -> Line {
        eventually(message, || !self.lines(message).is_empty()).await;
        self.lines(message).remove(0)
    }
}

struct Fields<'a>(&'a mut Line);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name().into(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().into(), value.into());
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Catch {
    fn on_new_span(
        &self,
        attributes: &tracing::span::Attributes<'_>,
        id: &tracing::Id,
        context: Context<'_, S>,
    ) {
        let mut line = Line::new();
        attributes.record(&mut Fields(&mut line));
        context.span(id).unwrap().extensions_mut().insert(line);
    }

    fn on_record(
        &self,
        id: &tracing::Id,
        values: &tracing::span::Record<'_>,
        context: Context<'_, S>,
    ) {
        let span = context.span(id).unwrap();
        values.record(&mut Fields(span.extensions_mut().get_mut::<Line>().unwrap()));
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let Some(log) = CAUGHT.with_borrow(Option::clone) else {
            return;
        };
        if !event.metadata().target().starts_with("gantry_server") {
            return;
        }
        let mut line = Line::new();
        if let Some(span) = context.event_span(event)
            && let Some(fields) = span.extensions().get::<Line>()
        {
            line.extend(fields.iter().map(|(name, value)| (format!("span {name}"), value.clone())));
        }
        line.insert("level".into(), event.metadata().level().to_string());
        event.record(&mut Fields(&mut line));
        log.0.lock().unwrap().push(line);
    }
}

#[tokio::test]
async fn a_call_is_one_line_and_one_span() {
    let log = Log::catch();
    let world = World::start().await;
    let mut request = with_token(ActRequest::default(), &world.keys.user("admin", 0));
    request.metadata_mut().insert("x-request-id", "call-1".parse().unwrap());
    world.client().await.guarded(request).await.unwrap();
    let line = log.line("call ended").await;
    assert_eq!(log.lines("call ended").len(), 1);
    assert_eq!(line["level"], "INFO");
    assert_eq!(line["method"], "probe.v1.ProbeService/Guarded");
    assert_eq!(line["code"], "OK");
    assert_eq!(line["caller"], "ann");
    assert!(line["peer"].starts_with("127.0.0.1:"), "{line:?}");
    assert!(line["duration_us"].parse::<u64>().unwrap() > 0);
    assert_eq!(line["span request_id"], "call-1");
    assert_eq!(line["span otel.name"], "probe.v1.ProbeService/Guarded");
    assert_eq!(line["span otel.kind"], "server");
    assert_eq!(line["span rpc.system.name"], "grpc");
    assert_eq!(line["span rpc.method"], "probe.v1.ProbeService/Guarded");
    assert_eq!(line["span rpc.response.status_code"], "OK");
    assert!(!line.contains_key("span otel.status_code"));
}

#[tokio::test]
async fn refused_late_and_cancelled_calls_have_one_line_each() {
    let log = Log::catch();
    let world = World::start().await;
    let mut client = world.client().await;
    let _ = client.guarded(ActRequest::default()).await;
    let _ = client.brief(ActRequest { nap_ms: 60_000, ..ActRequest::default() }).await;
    let before = world.seen.started();
    let nap = tokio::spawn(async move {
        client.act(ActRequest { nap_ms: 60_000, ..ActRequest::default() }).await
    });
    eventually("the call runs", || world.seen.started() > before).await;
    nap.abort();
    eventually("three lines", || log.lines("call ended").len() == 3).await;
    let ends: Vec<_> =
        log.lines("call ended").into_iter().map(|line| line["code"].clone()).collect();
    assert_eq!(ends, ["UNAUTHENTICATED", "DEADLINE_EXCEEDED", "CANCELLED"]);
    assert_eq!(log.lines("call ended")[1]["span otel.status_code"], "ERROR");
    assert_eq!(log.lines("call ended")[1]["span error.type"], "DEADLINE_EXCEEDED");
}

#[tokio::test]
async fn a_failed_call_is_logged_with_cause_and_token_claims() {
    let log = Log::catch();
    let world = World::start().await;
    let mut client = world.client().await;
    let strangers = crate::world::Keys::new();
    let tokens = [
        (world.keys.user("nobody", 0), "PERMISSION_MISSING", Some("gantry")),
        (world.keys.service(None), "", Some("order")),
        (world.keys.user("admin", 3600), "TOKEN_EXPIRED", Some("gantry")),
        (strangers.user("admin", 0), "TOKEN_INVALID", Some("gantry")),
        ("Bearer a.b.c".to_owned(), "TOKEN_INVALID", None),
        ("Basic YTpi".to_owned(), "TOKEN_INVALID", None),
    ];
    for (n, (token, reason, issuer)) in tokens.iter().enumerate() {
        let status = client.guarded(with_token(ActRequest::default(), token)).await.err();
        eventually("its line", || log.lines("call ended").len() == n + 1).await;
        let line = &log.lines("call ended")[n];
        let field = |name: &str| line.get(name).map(String::as_str);
        let Some(status) = status else {
            for name in ["reason", "cause", "token_issuer", "token_key_id", "log.kind"] {
                assert_eq!(field(name), None, "{line:?}");
            }
            continue;
        };
        assert_eq!(field("reason"), Some(*reason));
        assert_eq!(field("cause"), Some(status.message()));
        assert_eq!(field("token_issuer"), *issuer, "{line:?}");
        assert_eq!(field("token_key_id").is_some(), issuer.is_some(), "{line:?}");
        assert_eq!(line["log.kind"], format!("{} {reason}", line["code"]));
    }
}

#[tokio::test]
async fn a_stream_that_fails_later_logs_its_cause() {
    let log = Log::catch();
    let world = World::start().await;
    let numbers = [1, 2000].map(|number| RepeatRequest { number, last: false });
    let mut answers =
        world.client().await.repeat(tokio_stream::iter(numbers)).await.unwrap().into_inner();
    while let Ok(Some(_)) = answers.message().await {}
    let line = log.line("call ended").await;
    assert_eq!((&*line["code"], &*line["reason"]), ("INVALID_ARGUMENT", "VALIDATION_FAILED"));
    assert!(line["cause"].contains("number"), "{line:?}");
}

#[tokio::test]
async fn only_lines_that_callers_can_cause_are_limited() {
    let log = Log::catch();
    let world = World::start().await;
    let mut client = world.client().await;
    client.act(ActRequest::default()).await.unwrap();
    client.act(ActRequest { panic: true, ..ActRequest::default() }).await.unwrap_err();
    send(&world, request("/no.Such/Method", Bytes::new())).await;
    let mut get = request("/no.Such/Method", Bytes::new());
    *get.method_mut() = http::Method::GET;
    send(&world, get).await;
    eventually("four lines", || log.lines("call ended").len() == 4).await;
    let kinds: Vec<_> =
        log.lines("call ended").into_iter().map(|mut line| line.remove("log.kind")).collect();
    let expected = [None, None, Some("UNIMPLEMENTED METHOD_UNKNOWN"), Some("405")];
    assert_eq!(kinds, expected.map(|kind| kind.map(str::to_owned)));
}

#[tokio::test]
async fn health_probes_are_logged_at_debug() {
    let log = Log::catch();
    let world = World::start().await;
    let mut health = HealthClient::new(world.channel().await);
    health.check(HealthCheckRequest::default()).await.unwrap();
    assert_eq!(log.line("call ended").await["level"], "DEBUG");
}
