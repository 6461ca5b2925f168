//! One event as one line.

use std::fmt::{self, Write as _};

use serde_json::{Map, Value};
use tracing::{
    Event, Level,
    field::{Field, Visit},
};
use tracing_subscriber::fmt::{
    format::Writer,
    time::{FormatTime, SystemTime},
};

use crate::redact::{REDACTED, is_secret_field, redact};

/// What is written of an event.
#[derive(Debug)]
pub(crate) struct Line {
    time: String,
    level: Level,
    target: String,
    fields: Fields,
    trace_id: Option<String>,
    request_id: Option<String>,
}

impl Line {
    pub(crate) fn new(
        event: &Event<'_>,
        trace_id: Option<String>,
        request_id: Option<String>,
    ) -> Self {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let target = fields.target.take();
        let mut time = String::new();
        // Fails only where the text cannot be written, and a String takes any.
        let _ = SystemTime.format_time(&mut Writer::new(&mut time));
        Self {
            time,
            level: *event.metadata().level(),
            target: target.unwrap_or_else(|| event.metadata().target().to_owned()),
            fields,
            trace_id,
            request_id,
        }
    }

    pub(crate) fn json(self, service: &str) -> String {
        let mut line = Map::new();
        let mut put = |key: &str, value: Option<String>| {
            if let Some(value) = value {
                line.insert(key.to_owned(), Value::String(value));
            }
        };
        put("time", Some(self.time));
        put("level", Some(self.level.as_str().to_lowercase()));
        put("service", Some(service.to_owned()));
        put("target", Some(self.target));
        put("message", Some(self.fields.message));
        put("trace_id", self.trace_id);
        put("request_id", self.request_id);
        if !self.fields.others.is_empty() {
            line.insert("fields".to_owned(), Value::Object(self.fields.others));
        }
        format!("{}\n", Value::Object(line))
    }

    pub(crate) fn pretty(self, colours: bool) -> String {
        let mut line = format!(
            "{} {} {}: {}",
            self.time,
            level(self.level, colours),
            self.target,
            self.fields.message
        );
        let fields = self.fields.others.iter().map(|(key, value)| (key.as_str(), plain(value)));
        let ids = [("request_id", self.request_id), ("trace_id", self.trace_id)];
        let ids = ids.into_iter().filter_map(|(key, id)| Some((key, id?)));
        for (key, value) in fields.chain(ids) {
            // As above: a String takes any text.
            let _ = write!(line, " {key}={value}");
        }
        // One event is one line, whatever the values hold.
        line = line.replace('\n', "\\n");
        line.push('\n');
        line
    }
}

fn level(level: Level, colours: bool) -> String {
    let colour = match level {
        Level::ERROR => 31,
        Level::WARN => 33,
        Level::INFO => 32,
        Level::DEBUG => 34,
        Level::TRACE => 35,
    };
    match colours {
        true => format!("\x1b[{colour}m{level:>5}\x1b[0m"),
        false => format!("{level:>5}"),
    }
}

/// A text with spaces in quotes, so that it is seen where the value ends.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) if !text.is_empty() && !text.contains([' ', '"']) => text.clone(),
        value => value.to_string(),
    }
}

/// The fields of an event.
#[derive(Debug, Default)]
struct Fields {
    message: String,
    /// Where a crate logs through `log`, what its module is.
    target: Option<String>,
    others: Map<String, Value>,
}

impl Fields {
    fn put(&mut self, field: &Field, value: Value) {
        match field.name() {
            name if is_secret_field(name) => {
                self.others.insert(name.to_owned(), Value::from(REDACTED));
            }
            name => {
                self.others.insert(name.to_owned(), value);
            }
        }
    }

    fn put_text(&mut self, field: &Field, text: &str) {
        match field.name() {
            "message" => self.message = redact(text).into_owned(),
            "log.target" => self.target = Some(text.to_owned()),
            name if name.starts_with("log.") => {}
            _ => self.put(field, Value::from(redact(text))),
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put_text(field, &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put_text(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        // The line of a source file, from `log`.
        if !field.name().starts_with("log.") {
            self.put(field, value.into());
        }
    }
}
