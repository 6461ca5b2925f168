//! Envelope of an event: CloudEvents 1.0 attributes as headers, and the payload as the body.
//!
//! | header | value |
//! |---|---|
//! | `cloudEvents_specversion` | `1.0` |
//! | `cloudEvents_id` | [`Event::id`] |
//! | `cloudEvents_source` | the publishing service |
//! | `cloudEvents_type` | what happened, such as `order.placed` |
//! | `cloudEvents_subject` | the aggregate |
//! | `cloudEvents_sequence` | the place in the aggregate, in decimal |
//! | `cloudEvents_time` | time of the change, as RFC 3339 in UTC |
//! | `cloudEvents_datacontenttype` | [`CONTENT_TYPE`] |
//! | `cloudEvents_dataschema` | `proto:` and the full name of the payload's message |
//! | `traceparent` | the trace, if there is one: W3C Trace Context |
//! | `x-request-id` | the request id, if there is one |
//!
//! The prefix is that of CloudEvents' AMQP binding. Reading is strict, because everything that is read
//! was written here: a wrong header means that somebody else writes to the broker. Headers that are not
//! listed are left to the broker.

use std::fmt;

use bytes::Bytes;
use time::{OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339};
use uuid::Uuid;

use crate::{Aggregate, Context, Event};

/// Longest payload, in bytes.
pub const MAX_DATA: usize = 256 * 1024;
/// Longest header, in bytes.
pub const MAX_HEADER: usize = 255;
/// Media type of the payload.
pub const CONTENT_TYPE: &str = "application/protobuf";
/// Header of the event's id, which is also the id of the broker's message.
pub const ID: &str = "cloudEvents_id";

const SPEC_VERSION: &str = "cloudEvents_specversion";
const SOURCE: &str = "cloudEvents_source";
const TYPE: &str = "cloudEvents_type";
const SUBJECT: &str = "cloudEvents_subject";
const SEQUENCE: &str = "cloudEvents_sequence";
const TIME: &str = "cloudEvents_time";
const DATA_CONTENT_TYPE: &str = "cloudEvents_datacontenttype";
const DATA_SCHEMA: &str = "cloudEvents_dataschema";
const TRACE: &str = "traceparent";
const REQUEST_ID: &str = "x-request-id";

/// All headers, in the order in which they are written.
const HEADERS: [&str; 11] = [
    SPEC_VERSION,
    ID,
    SOURCE,
    TYPE,
    SUBJECT,
    SEQUENCE,
    TIME,
    DATA_CONTENT_TYPE,
    DATA_SCHEMA,
    TRACE,
    REQUEST_ID,
];

const VERSION: &str = "1.0";
/// A URI, as CloudEvents wants it.
const SCHEMA_PREFIX: &str = "proto:";
/// Longest source, such as `user`.
const MAX_SOURCE: usize = 63;
/// Longest type and longest name of a message, in bytes.
const MAX_NAME: usize = 200;
/// Longest request id, in bytes: the limit of the server's `x-request-id`.
const MAX_REQUEST_ID: usize = 128;

/// Event as a broker carries it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Names and values, without repetition.
    pub headers: Vec<(&'static str, String)>,
    /// The payload.
    pub body: Bytes,
}

/// Envelope that breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// A header is missing.
    #[error("header {0} is missing")]
    Missing(&'static str),
    /// A header is there twice.
    #[error("header {0} is there twice")]
    Repeated(&'static str),
    /// A header has a wrong value.
    #[error("header {header} is {found}: expected {expected}")]
    Wrong {
        /// Its name.
        header: &'static str,
        /// Its value, shortened and escaped.
        found: String,
        /// Description of right values.
        expected: &'static str,
    },
    /// The payload is longer than [`MAX_DATA`].
    #[error("payload of {0} bytes: expected at most {MAX_DATA}")]
    TooLarge(usize),
}

/// Returns the headers and the body of an event. A trace or request id that no consumer would read is
/// left out: an event is worth more than its context.
///
/// # Errors
/// [`EnvelopeError`] if [`read`] would refuse the rest.
pub fn write(event: &Event) -> Result<Message, EnvelopeError> {
    if event.data.len() > MAX_DATA {
        return Err(EnvelopeError::TooLarge(event.data.len()));
    }
    source(&event.source)?;
    kind(&event.kind, &event.aggregate)?;
    let schema = format!("{SCHEMA_PREFIX}{}", event.schema);
    self::schema(&schema)?;
    let sequence = event.sequence.to_string();
    self::sequence(&sequence)?;
    // Years of five digits, and offsets beyond the calendar, have no form in RFC 3339.
    let time = event
        .time
        .checked_to_offset(UtcOffset::UTC)
        .and_then(|time| time.format(&Rfc3339).ok())
        .ok_or_else(|| wrong(TIME, &event.time.to_string(), TIME_FORM))?;
    let Context { trace, request_id } = &event.context;
    let required = [
        (SPEC_VERSION, VERSION.to_owned()),
        (ID, event.id().to_string()),
        (SOURCE, event.source.clone()),
        (TYPE, event.kind.clone()),
        (SUBJECT, event.aggregate.to_string()),
        (SEQUENCE, sequence),
        (TIME, time),
        (DATA_CONTENT_TYPE, CONTENT_TYPE.to_owned()),
        (DATA_SCHEMA, schema),
    ];
    let trace = trace.iter().filter(|text| is_trace(text)).map(|text| (TRACE, text.clone()));
    let request_id = request_id.iter().filter(|text| is_request_id(text));
    let request_id = request_id.map(|text| (REQUEST_ID, text.clone()));
    let headers = required.into_iter().chain(trace).chain(request_id).collect();
    Ok(Message { headers, body: event.data.clone() })
}

/// Reads an event. A header's value is None if the broker has something else than text there.
///
/// # Errors
/// [`EnvelopeError`] names the first header that is wrong.
pub fn read<'a>(
    headers: impl IntoIterator<Item = (&'a str, Option<&'a [u8]>)>,
    body: Bytes,
) -> Result<Event, EnvelopeError> {
    if body.len() > MAX_DATA {
        return Err(EnvelopeError::TooLarge(body.len()));
    }
    let found = Found::collect(headers)?;
    exactly(&found, SPEC_VERSION, VERSION)?;
    exactly(&found, DATA_CONTENT_TYPE, CONTENT_TYPE)?;
    let source = source(found.required(SOURCE)?)?.to_owned();
    let aggregate = subject(found.required(SUBJECT)?)?;
    let kind = kind(found.required(TYPE)?, &aggregate)?.to_owned();
    let sequence = sequence(found.required(SEQUENCE)?)?;
    let schema = schema(found.required(DATA_SCHEMA)?)?.to_owned();
    let time = time(found.required(TIME)?)?;
    let context = Context {
        trace: found.optional(TRACE, is_trace, "a traceparent of W3C Trace Context")?,
        request_id: found.optional(REQUEST_ID, is_request_id, REQUEST_ID_FORM)?,
    };
    let event = Event { source, aggregate, sequence, kind, schema, time, context, data: body };
    let id = found.required(ID)?;
    if Uuid::try_parse(id) != Ok(event.id()) {
        let expected = "the id that follows from source, subject and sequence";
        return Err(wrong(ID, id, expected));
    }
    Ok(event)
}

/// Reads a message as [`read`] does.
impl TryFrom<Message> for Event {
    type Error = EnvelopeError;

    fn try_from(Message { headers, body }: Message) -> Result<Self, Self::Error> {
        let headers = headers.iter().map(|(name, value)| (*name, Some(value.as_bytes())));
        read(headers, body)
    }
}

/// Our headers among those of a message.
struct Found<'a>([Option<&'a str>; HEADERS.len()]);

impl<'a> Found<'a> {
    fn collect(
        headers: impl IntoIterator<Item = (&'a str, Option<&'a [u8]>)>,
    ) -> Result<Self, EnvelopeError> {
        let mut found = [None; HEADERS.len()];
        for (name, value) in headers {
            let place = HEADERS.iter().zip(&mut found).find(|(header, _)| **header == name);
            let Some((header, place)) = place else { continue };
            let value = value.ok_or_else(|| EnvelopeError::Wrong {
                header,
                found: "not text".to_owned(),
                expected: "text",
            })?;
            if value.len() > MAX_HEADER {
                let value = String::from_utf8_lossy(value);
                return Err(wrong(header, &value, "at most 255 bytes"));
            }
            let value = std::str::from_utf8(value)
                .map_err(|_| wrong(header, &String::from_utf8_lossy(value), "UTF-8"))?;
            if place.replace(value).is_some() {
                return Err(EnvelopeError::Repeated(header));
            }
        }
        Ok(Self(found))
    }

    fn get(&self, header: &'static str) -> Option<&'a str> {
        HEADERS.iter().zip(self.0).find_map(|(name, value)| value.filter(|_| *name == header))
    }

    fn required(&self, header: &'static str) -> Result<&'a str, EnvelopeError> {
        self.get(header).ok_or(EnvelopeError::Missing(header))
    }

    fn optional(
        &self,
        header: &'static str,
        is_right: impl Fn(&str) -> bool,
        expected: &'static str,
    ) -> Result<Option<String>, EnvelopeError> {
        match self.get(header) {
            Some(value) if !is_right(value) => Err(wrong(header, value, expected)),
            value => Ok(value.map(str::to_owned)),
        }
    }
}

fn exactly(
    found: &Found<'_>,
    header: &'static str,
    value: &'static str,
) -> Result<(), EnvelopeError> {
    let other = found.required(header)?;
    if other == value { Ok(()) } else { Err(wrong(header, other, value)) }
}

fn wrong(header: &'static str, value: &str, expected: &'static str) -> EnvelopeError {
    EnvelopeError::Wrong { header, found: Shortened(value).to_string(), expected }
}

/// Value in an error: quoted, escaped and short, because anybody may have written it.
struct Shortened<'a>(&'a str);

impl fmt::Display for Shortened<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MAX: usize = 64;
        match self.0.char_indices().nth(MAX) {
            Some((end, _)) => write!(f, "{:?}...", &self.0[..end]),
            None => write!(f, "{:?}", self.0),
        }
    }
}

fn is_lower(byte: u8) -> bool {
    byte.is_ascii_lowercase()
}

fn source(text: &str) -> Result<&str, EnvelopeError> {
    let right = (1..=MAX_SOURCE).contains(&text.len())
        && text.bytes().all(|byte| is_lower(byte) || byte.is_ascii_digit() || byte == b'-');
    let expected = "a service: 1 to 63 lower-case letters, digits and hyphens";
    if right { Ok(text) } else { Err(wrong(SOURCE, text, expected)) }
}

fn subject(text: &str) -> Result<Aggregate, EnvelopeError> {
    let aggregate = text.parse::<Aggregate>().ok();
    // A UUID has other forms, and one aggregate has one name.
    aggregate.filter(|aggregate| aggregate.to_string() == text).ok_or_else(|| {
        wrong(SUBJECT, text, "a kind of lower-case letters, a slash and a lower-case UUID")
    })
}

fn kind<'a>(text: &'a str, aggregate: &Aggregate) -> Result<&'a str, EnvelopeError> {
    let name = text.strip_prefix(aggregate.kind()).and_then(|rest| rest.strip_prefix('.'));
    let is_name =
        |name: &str| !name.is_empty() && name.bytes().all(|byte| is_lower(byte) || byte == b'_');
    let right = text.len() <= MAX_NAME && name.is_some_and(is_name);
    let expected = "the kind of the subject, a dot, lower-case letters and underscores";
    if right { Ok(text) } else { Err(wrong(TYPE, text, expected)) }
}

fn sequence(text: &str) -> Result<i64, EnvelopeError> {
    let number = text.parse::<i64>().ok();
    // One number has one form.
    let number = number.filter(|number| *number >= 1 && number.to_string() == text);
    number.ok_or_else(|| wrong(SEQUENCE, text, "a number from 1 to 9223372036854775807"))
}

const TIME_FORM: &str = "a time of RFC 3339 in UTC";

fn time(text: &str) -> Result<OffsetDateTime, EnvelopeError> {
    let time = OffsetDateTime::parse(text, &Rfc3339).ok();
    time.filter(|time| time.offset().is_utc()).ok_or_else(|| wrong(TIME, text, TIME_FORM))
}

fn schema(text: &str) -> Result<&str, EnvelopeError> {
    let is_part = |part: &str| {
        part.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic())
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    let name = text.strip_prefix(SCHEMA_PREFIX);
    let name = name.filter(|name| name.len() <= MAX_NAME && name.split('.').all(is_part));
    name.ok_or_else(|| wrong(DATA_SCHEMA, text, "proto: and the full name of a message"))
}

/// Returns true if the text is a `traceparent` of version 0, the only one that there is.
fn is_trace(text: &str) -> bool {
    let parts: Vec<_> = text.split('-').collect();
    let [version, trace, parent, flags] = parts[..] else { return false };
    let is_hex = |part: &str, length| {
        part.len() == length && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let is_id = |part: &str, length| is_hex(part, length) && part.bytes().any(|byte| byte != b'0');
    version == "00" && is_id(trace, 32) && is_id(parent, 16) && is_hex(flags, 2)
}

const REQUEST_ID_FORM: &str = "1 to 128 letters, digits and -_.:/+=";

/// Returns true for what the server takes as a request id.
fn is_request_id(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:/+=".contains(&byte);
    (1..=MAX_REQUEST_ID).contains(&text.len()) && text.bytes().all(is_allowed)
}
