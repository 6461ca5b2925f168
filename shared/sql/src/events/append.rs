//! Events of a unit of work.

use gantry_events::{Aggregate, NewEvent, envelope::MAX_DATA};

use crate::{Connection, query::clock};

/// Raises the sequence of an aggregate, and locks it until the end of the unit.
const RAISE: &str = "INSERT INTO sequences (aggregate, last) VALUES ($1, 1)
    ON CONFLICT (aggregate) DO UPDATE SET last = sequences.last + 1 RETURNING last";

/// The position is drawn under the lock of the aggregate's sequence, so it has the same order.
const INSERT: &str = concat!(
    "INSERT INTO outbox (aggregate, sequence, kind, schema, data, trace, request_id, create_time)
     VALUES ($1, $2, $3, $4, $5, $6, $7, ",
    clock!(),
    ")"
);

/// An event that could not be published, and would block its aggregate.
#[derive(Debug, thiserror::Error)]
enum Unpublishable {
    /// No consumer would get it.
    #[error("the event {kind} is not one of the aggregate {aggregate}")]
    ForeignKind { kind: &'static str, aggregate: Aggregate },
    /// No envelope has room for it.
    #[error("the event {kind} of {aggregate} has {size} bytes: at most {} are allowed", MAX_DATA)]
    TooLarge { kind: &'static str, aggregate: Aggregate, size: usize },
}

/// Checks that an event can be published.
fn check(event: &NewEvent) -> Result<(), Unpublishable> {
    let NewEvent { aggregate, data, .. } = event;
    let kind = event.kind;
    if kind.split_once('.').is_none_or(|(of, _)| of != aggregate.kind()) {
        let aggregate = aggregate.clone();
        return Err(Unpublishable::ForeignKind { kind, aggregate });
    }
    if data.len() > MAX_DATA {
        let (aggregate, size) = (aggregate.clone(), data.len());
        return Err(Unpublishable::TooLarge { kind, aggregate, size });
    }
    Ok(())
}

/// Writes events to the outbox, in the unit of work that makes the change. Each gets the next sequence of
/// its aggregate. Those of one aggregate keep their order.
///
/// The commit of the unit wakes the relay of this process.
///
/// # Errors
/// Error of the database; [`sqlx::Error::Encode`] if the kind of an event does not begin with that of its
/// aggregate and a dot, or its payload is larger than [`MAX_DATA`].
pub async fn append(conn: &mut Connection, events: &[NewEvent]) -> Result<(), sqlx::Error> {
    let mut events: Vec<_> = events.iter().collect();
    // All units lock sequences in this order, so no two wait for each other.
    events.sort_by(|a, b| a.aggregate.cmp(&b.aggregate));
    for event in events {
        let NewEvent { aggregate, kind, schema, data, context } = event;
        check(event).map_err(|error| sqlx::Error::Encode(error.into()))?;
        let aggregate = aggregate.to_string();
        let sequence: i64 = conn.query(RAISE).bind(aggregate.as_str()).fetch_value().await?;
        conn.query(INSERT)
            .bind(aggregate.as_str())
            .bind(sequence)
            .bind(*kind)
            .bind(*schema)
            .bind(data.as_ref())
            .bind(context.trace.clone())
            .bind(context.request_id.clone())
            .execute()
            .await?;
        conn.writes_events();
    }
    Ok(())
}
