//! Metrics of a database, listed in docs/METRICS.md.
//!
//! A statement costs one update of an instrument that its first run resolved. In a sampled trace it is
//! also a span.

mod spans;
mod statement;

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, OnceLock, PoisonError, RwLock},
};

use opentelemetry::{
    KeyValue,
    metrics::{BoundHistogram, Histogram, Meter},
};
use tokio::time::Instant;
use tracing::{Instrument, Span};

use self::{spans::StatementSpan, statement::kind_of};
use crate::database::Engine;

/// Use of the connections of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Writer,
    Reader,
    Replica,
}

impl Role {
    fn as_str(self) -> &'static str {
        match self {
            Self::Writer => "writer",
            Self::Reader => "reader",
            Self::Replica => "replica",
        }
    }
}

/// Instruments of one database.
pub(crate) struct Measures {
    service: KeyValue,
    /// Engine by OpenTelemetry's name.
    system: &'static str,
    pools: Vec<Pool>,
    statements: Histogram<f64>,
    /// Instruments of each statement, by the address and length of its text, which is a constant.
    by_text: RwLock<HashMap<(usize, usize), Arc<Timed>>>,
}

/// A pool of connections.
struct Pool {
    role: Role,
    attributes: [KeyValue; 2],
    limit: u32,
    /// Returns the number of connections, and that of the idle ones among them.
    sizes: Box<dyn Fn() -> (u32, usize) + Send + Sync>,
    waits: Arc<Timed>,
}

impl Measures {
    pub(crate) fn new(meter: &Meter, service: &str, engine: &Engine) -> Arc<Self> {
        let service = KeyValue::new("gantry.service", service.to_owned());
        let seconds = |name, description| {
            meter.f64_histogram(name).with_unit("s").with_description(description).build()
        };
        let waits =
            seconds("gantry.database.wait.duration", "Time that callers waited for a connection.");
        let pools = match engine {
            Engine::Sqlite(sqlite) => {
                let readers = sqlite.reader.clone();
                let limit = readers.limit();
                let sizes = move || (limit, readers.idle());
                vec![
                    Pool::of(&service, &waits, Role::Writer, &sqlite.writer),
                    Pool::new(&service, &waits, Role::Reader, limit, sizes),
                ]
            }
            Engine::Postgres(postgres) => {
                let primary = [(Role::Writer, &postgres.writer), (Role::Reader, &postgres.reader)];
                let replica = postgres.replica.iter().map(|replica| (Role::Replica, replica));
                let pools = primary.into_iter().chain(replica);
                pools.map(|(role, pool)| Pool::of(&service, &waits, role, pool.inner())).collect()
            }
        };
        let this = Arc::new(Self {
            pools,
            statements: seconds(
                "gantry.database.statement.duration",
                "Duration of statements, from sending to the last row.",
            ),
            by_text: RwLock::default(),
            system: match engine {
                Engine::Sqlite(_) => "sqlite",
                Engine::Postgres(_) => "postgresql",
            },
            service,
        });
        this.observe(meter);
        this
    }

    /// Reports the pools at each collection, as long as the database exists.
    fn observe(self: &Arc<Self>, meter: &Meter) {
        let now = Arc::downgrade(self);
        meter
            .u64_observable_gauge("gantry.database.connections")
            .with_unit("{connection}")
            .with_description("Open connections to the database, by state.")
            .with_callback(move |gauge| {
                let Some(now) = now.upgrade() else { return };
                for pool in &now.pools {
                    let (all, idle) = (pool.sizes)();
                    let idle = (idle as u64).min(all.into());
                    let [service, name] = pool.attributes.clone();
                    for (state, number) in [("used", u64::from(all) - idle), ("idle", idle)] {
                        let state = KeyValue::new("gantry.state", state);
                        gauge.observe(number, &[service.clone(), name.clone(), state]);
                    }
                }
            })
            .build();
        let now = Arc::downgrade(self);
        meter
            .u64_observable_gauge("gantry.database.connections.limit")
            .with_unit("{connection}")
            .with_description("Most connections that a pool opens.")
            .with_callback(move |gauge| {
                for pool in now.upgrade().iter().flat_map(|now| &now.pools) {
                    gauge.observe(pool.limit.into(), &pool.attributes);
                }
            })
            .build();
    }

    /// Begins a wait for a connection.
    pub(crate) fn wait(&self, role: Role) -> Option<Running> {
        self.pools.iter().find(|pool| pool.role == role).map(|pool| pool.waits.start())
    }

    /// Returns the instruments of a statement.
    pub(crate) fn statement(&self, text: &'static str) -> Arc<Timed> {
        let key = (text.as_ptr().addr(), text.len());
        if let Some(known) = self.by_text.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Arc::clone(known);
        }
        let (operation, table) = kind_of(text);
        let mut attributes =
            vec![self.service.clone(), KeyValue::new("gantry.operation", operation)];
        attributes.extend(table.map(|table| KeyValue::new("gantry.table", table)));
        let span = StatementSpan::new(self.system, operation, table);
        let timed = Timed { span: Some(span), ..Timed::new(&self.statements, attributes) };
        let timed = Arc::new(timed);
        let mut by_text = self.by_text.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(by_text.entry(key).or_insert(timed))
    }
}

impl Pool {
    fn of<DB: sqlx::Database>(
        service: &KeyValue,
        waits: &Histogram<f64>,
        role: Role,
        pool: &sqlx::Pool<DB>,
    ) -> Self {
        let observed = pool.clone();
        let sizes = move || (observed.size(), observed.num_idle());
        Self::new(service, waits, role, pool.options().get_max_connections(), sizes)
    }

    fn new(
        service: &KeyValue,
        waits: &Histogram<f64>,
        role: Role,
        limit: u32,
        sizes: impl Fn() -> (u32, usize) + Send + Sync + 'static,
    ) -> Self {
        let attributes = [service.clone(), KeyValue::new("gantry.pool", role.as_str())];
        let waits = Timed::new(waits, attributes.to_vec());
        // Starts at 0, so that `rate` sees the first wait.
        waits.of(Outcome::Ok);
        Self { role, limit, sizes: Box::new(sizes), waits: Arc::new(waits), attributes }
    }
}

/// End of a wait or a statement.
#[derive(Clone, Copy)]
enum Outcome {
    Ok,
    Failed,
    /// The caller went away.
    Dropped,
}

/// Durations of one kind, by outcome.
pub(crate) struct Timed {
    histogram: Histogram<f64>,
    attributes: Vec<KeyValue>,
    by_outcome: [OnceLock<BoundHistogram<f64>>; 3],
    /// Span of a statement. None for a wait.
    span: Option<StatementSpan>,
}

impl Timed {
    fn new(histogram: &Histogram<f64>, attributes: Vec<KeyValue>) -> Self {
        let by_outcome = [const { OnceLock::new() }; 3];
        Self { histogram: histogram.clone(), attributes, by_outcome, span: None }
    }

    fn of(&self, outcome: Outcome) -> &BoundHistogram<f64> {
        self.by_outcome[outcome as usize].get_or_init(|| {
            let outcome = match outcome {
                Outcome::Ok => "ok",
                Outcome::Failed => "failed",
                Outcome::Dropped => "dropped",
            };
            let mut attributes = self.attributes.clone();
            attributes.push(KeyValue::new("gantry.outcome", outcome));
            self.histogram.bind(&attributes)
        })
    }

    /// Begins a duration of this kind.
    pub(crate) fn start(self: &Arc<Self>) -> Running {
        Running { timed: Arc::clone(self), began: Instant::now(), outcome: Outcome::Dropped }
    }
}

/// A duration that has begun. Dropping it records it, by default as that of a caller that went away.
pub(crate) struct Running {
    timed: Arc<Timed>,
    began: Instant,
    outcome: Outcome,
}

impl Running {
    /// Ends the duration.
    fn ended<T, E>(mut self, result: &Result<T, E>) {
        self.outcome = if result.is_ok() { Outcome::Ok } else { Outcome::Failed };
    }

    /// Opens the span, if it is a statement of a sampled trace.
    fn span(&self) -> Span {
        self.timed.span.as_ref().map_or_else(Span::none, StatementSpan::open)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.timed.of(self.outcome).record(self.began.elapsed().as_secs_f64());
    }
}

/// Awaits a wait or a statement and records its duration, if it is measured.
pub(crate) async fn timed<T, E>(
    running: Option<Running>,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let span = running.as_ref().map_or_else(Span::none, Running::span);
    let result = work.instrument(span.clone()).await;
    if result.is_err() {
        span.record("otel.status_code", "ERROR");
    }
    if let Some(running) = running {
        running.ended(&result);
    }
    result
}

impl fmt::Debug for Measures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Measures").field("service", &self.service).finish_non_exhaustive()
    }
}
