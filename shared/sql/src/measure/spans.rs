//! Spans of statements, by OpenTelemetry's conventions for databases. They never have a value of a
//! parameter.

use opentelemetry::{Context, trace::TraceContextExt};
use tracing::{Span, field::Empty};

/// Span of a statement.
#[derive(Debug)]
pub(super) struct StatementSpan {
    system: &'static str,
    operation: String,
    table: Option<&'static str>,
    /// Operation and table.
    summary: String,
}

impl StatementSpan {
    /// Describes a statement by the name of its database system, its operation and its table.
    pub(super) fn new(
        system: &'static str,
        operation: &'static str,
        table: Option<&'static str>,
    ) -> Self {
        let operation = operation.to_uppercase();
        let summary = match table {
            Some(table) => format!("{operation} {table}"),
            None => operation.clone(),
        };
        Self { system, operation, table, summary }
    }

    /// Opens the span below the current one if the trace is sampled. Otherwise it is disabled.
    pub(super) fn open(&self) -> Span {
        if !Context::map_current(|cx| cx.span().span_context().is_sampled()) {
            return Span::none();
        }
        let Self { system, operation, table, summary } = self;
        tracing::info_span!(
            "db",
            otel.name = summary,
            otel.kind = "client",
            otel.status_code = Empty,
            db.system.name = system,
            db.operation.name = operation,
            db.collection.name = table,
            db.query.summary = summary,
        )
    }
}
