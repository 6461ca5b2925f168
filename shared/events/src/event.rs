//! Events and their aggregates.

use std::{fmt, str::FromStr};

use bytes::Bytes;
use time::OffsetDateTime;
use uuid::Uuid;

/// Namespace of the ids of events (RFC 9562, section 5.5).
const NAMESPACE: Uuid = Uuid::from_u128(0x6b1f_4d0e_7c3a_4b52_9a1d_2f86_e0c7_5a94);

/// Entity whose events have one order: its kind and its id. Written `order/0198...`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Aggregate {
    kind: String,
    id: Uuid,
}

/// Text that names no aggregate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a kind of lower-case letters, a slash and a UUID, such as order/0198c5f2-...")]
pub struct InvalidAggregate;

impl Aggregate {
    /// Longest kind, in bytes.
    pub const MAX_KIND: usize = 63;

    /// Creates an aggregate.
    ///
    /// # Errors
    /// [`InvalidAggregate`] if the kind is not 1 to [`MAX_KIND`](Self::MAX_KIND) lower-case ASCII letters.
    pub fn new(kind: impl Into<String>, id: Uuid) -> Result<Self, InvalidAggregate> {
        let kind = kind.into();
        let valid = (1..=Self::MAX_KIND).contains(&kind.len())
            && kind.bytes().all(|byte| byte.is_ascii_lowercase());
        if valid { Ok(Self { kind, id }) } else { Err(InvalidAggregate) }
    }

    /// Returns the kind, such as `order`. A subscription is to whole kinds.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// Returns the id.
    pub fn id(&self) -> Uuid {
        self.id
    }
}

impl fmt::Display for Aggregate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.id)
    }
}

impl FromStr for Aggregate {
    type Err = InvalidAggregate;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (kind, id) = text.split_once('/').ok_or(InvalidAggregate)?;
        Self::new(kind, Uuid::try_parse(id).map_err(|_| InvalidAggregate)?)
    }
}

/// Context of the call that caused an event. It is carried to every consumer, which never acts with the
/// authority of that call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Context {
    /// Trace that the event belongs to: a W3C `traceparent`.
    pub trace: Option<String>,
    /// Id that connects log lines and calls.
    pub request_id: Option<String>,
}

/// Event that a unit of work writes. Its sequence, its time and its source are added by the outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEvent {
    /// Its subject.
    pub aggregate: Aggregate,
    /// Type: the aggregate's kind, a dot and a name, such as `order.placed`.
    pub kind: &'static str,
    /// Full name of the payload's protobuf message, such as `shop.events.v1.OrderPlaced`.
    pub schema: &'static str,
    /// The encoded payload. Ids only: no personal data and no secrets.
    pub data: Bytes,
    /// Context of the call that caused it.
    pub context: Context,
}

/// Published event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Publishing service.
    pub source: String,
    /// Its subject.
    pub aggregate: Aggregate,
    /// Place among the events of its aggregate: 1, 2, 3 and so on, without a gap.
    pub sequence: i64,
    /// Type, such as `order.placed`.
    pub kind: String,
    /// Full name of the payload's protobuf message.
    pub schema: String,
    /// Time of the change, by the clock of the publisher's database.
    pub time: OffsetDateTime,
    /// Context of the call that caused it.
    pub context: Context,
    /// The encoded payload.
    pub data: Bytes,
}

impl Event {
    /// Returns its id. It is derived from source, aggregate and sequence, so every copy has the same.
    pub fn id(&self) -> Uuid {
        let place = format!("{}/{}/{}", self.source, self.aggregate, self.sequence);
        Uuid::new_v5(&NAMESPACE, place.as_bytes())
    }
}
