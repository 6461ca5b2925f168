//! Rows of events.

use gantry_events::{Context, Event};

use crate::{StorageError, StoredTime};

/// An event, without its source.
#[derive(Debug, sqlx::FromRow)]
pub(super) struct EventRow {
    aggregate: String,
    sequence: i64,
    kind: String,
    schema: String,
    data: Vec<u8>,
    trace: Option<String>,
    request_id: Option<String>,
    event_time: StoredTime,
}

impl EventRow {
    /// Returns the event, published by `source`.
    pub(super) fn event(self, source: String) -> Result<Event, StorageError> {
        let Self { aggregate, sequence, kind, schema, data, trace, request_id, event_time } = self;
        Ok(Event {
            source,
            aggregate: aggregate.parse().map_err(StorageError::corrupt)?,
            sequence,
            kind,
            schema,
            time: event_time.0,
            context: Context { trace, request_id },
            data: data.into(),
        })
    }
}
