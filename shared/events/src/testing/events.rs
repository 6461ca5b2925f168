//! Events for tests.

use time::OffsetDateTime;
use uuid::Uuid;

use crate::{Aggregate, Context, Event};

/// Returns aggregate number `number` of a kind.
///
/// # Panics
/// If the kind is none.
#[expect(clippy::expect_used, reason = "a test fails by panicking")]
pub fn aggregate(kind: &str, number: u128) -> Aggregate {
    Aggregate::new(kind, Uuid::from_u128(number)).expect("a kind of lower-case letters")
}

/// Returns the event of an aggregate with this sequence. Its payload tells it from all others.
pub fn event(aggregate: &Aggregate, sequence: i64) -> Event {
    Event {
        source: aggregate.kind().to_owned(),
        aggregate: aggregate.clone(),
        sequence,
        kind: format!("{}.changed", aggregate.kind()),
        schema: "shop.events.v1.Changed".to_owned(),
        time: OffsetDateTime::UNIX_EPOCH,
        context: Context {
            trace: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
            request_id: Some(format!("request-{sequence}")),
        },
        data: format!("{aggregate}/{sequence}").into(),
    }
}

/// Returns the events `from..=to` of each of these aggregates, alternately.
pub fn events(aggregates: &[Aggregate], from: i64, to: i64) -> Vec<Event> {
    (from..=to)
        .flat_map(|sequence| aggregates.iter().map(move |aggregate| event(aggregate, sequence)))
        .collect()
}
