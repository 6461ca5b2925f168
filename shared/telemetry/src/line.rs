//! Log line of one event.

use std::{
    borrow::Cow,
    env,
    ffi::OsString,
    fmt::{self, Write as _},
    io::IsTerminal,
};

use serde_json::Value;
use tracing::{
    Event, Level,
    field::{Field, Visit},
};
use tracing_subscriber::fmt::{
    format::Writer,
    time::{FormatTime, SystemTime},
};

use crate::{
    escape::printable,
    redact::{REDACTED, is_secret_field, redact},
    settings::Format,
};

/// Maximum length of a message or a field in bytes. Long enough for a backtrace.
const MAX_TEXT: usize = 32 * 1024;

/// Maximum length of a kind in bytes; the rest is ignored.
const MAX_KIND: usize = 128;

/// Name of the field with the kind by which an event is limited. The field is not written.
const KIND: &str = "log.kind";

/// Format and colours of log lines.
#[derive(Clone, Debug)]
pub(crate) struct Style {
    pub(crate) format: Format,
    pub(crate) colours: bool,
    pub(crate) service: String,
}

impl Style {
    /// Returns the style for stderr. Lines have colours only on a terminal that supports them.
    pub(crate) fn of_stderr(format: Format, service: &str) -> Self {
        let colours = std::io::stderr().is_terminal() && takes_colours(|name| env::var_os(name));
        Self { format, colours, service: service.to_owned() }
    }

    /// Returns the rendered line, including the line feed.
    pub(crate) fn render(&self, line: &Line) -> String {
        match self.format {
            Format::Json => line.json(&self.service),
            Format::Pretty => line.pretty(self.colours),
        }
    }
}

/// Content of a line. All texts are redacted and printable.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) level: Level,
    pub(crate) target: Cow<'static, str>,
    pub(crate) message: String,
    /// Fields in the order in which they were recorded.
    fields: Vec<(&'static str, Value)>,
    trace_id: Option<String>,
    request_id: Option<String>,
    /// Value of the field `log.kind`.
    pub(crate) kind: Option<String>,
    /// True if the event came through the `log` crate, whose events share one place in the source.
    through_log: bool,
}

impl Line {
    pub(crate) fn new(
        event: &Event<'_>,
        trace_id: Option<String>,
        request_id: Option<String>,
    ) -> Self {
        let metadata = event.metadata();
        let mut line = Self::empty(*metadata.level(), metadata.target());
        (line.trace_id, line.request_id) = (trace_id, request_id);
        event.record(&mut line);
        line
    }

    /// Creates a line about the log itself.
    pub(crate) fn own(level: Level, message: &str) -> Self {
        let mut line = Self::empty(level, env!("CARGO_CRATE_NAME"));
        line.message = clean(message);
        line
    }

    fn empty(level: Level, target: &'static str) -> Self {
        Self {
            level,
            target: Cow::Borrowed(target),
            message: String::new(),
            fields: Vec::new(),
            trace_id: None,
            request_id: None,
            kind: None,
            through_log: false,
        }
    }

    /// Adds a field.
    pub(crate) fn with(mut self, key: &'static str, value: impl Into<Value>) -> Self {
        match value.into() {
            Value::Null => {}
            Value::String(text) => self.fields.push((key, clean(&text).into())),
            value => self.fields.push((key, value)),
        }
        self
    }

    /// Returns the module that logged the event through the `log` crate.
    pub(crate) fn logged_by(&self) -> Option<&str> {
        self.through_log.then_some(&*self.target)
    }

    fn json(&self, service: &str) -> String {
        let mut line = String::with_capacity(512);
        let mut put = |key: &str, value: &str| {
            line.push(if line.is_empty() { '{' } else { ',' });
            // Writing to a String never fails. The same holds for every `let _ = write!` below.
            let _ = write!(line, "\"{key}\":");
            json_text(&mut line, value);
        };
        put("time", &now());
        put("level", level_name(self.level));
        put("service", service);
        put("target", &self.target);
        put("message", &self.message);
        for (key, id) in [("trace_id", &self.trace_id), ("request_id", &self.request_id)] {
            if let Some(id) = id {
                put(key, id);
            }
        }
        for (number, (key, value)) in self.fields.iter().enumerate() {
            line.push_str(if number == 0 { ",\"fields\":{" } else { "," });
            let _ = write!(line, "\"{key}\":");
            if let Value::String(text) = value {
                json_text(&mut line, text);
            } else {
                let _ = write!(line, "{value}");
            }
        }
        line.push_str(if self.fields.is_empty() { "}\n" } else { "}}\n" });
        line
    }

    /// Renders the line as text. A line about a call begins with its method and code.
    fn pretty(&self, colours: bool) -> String {
        let mut line = String::with_capacity(512);
        let level = coloured(format_args!("{:>5}", self.level), colour(self.level), colours);
        let call = self.text("method").zip(self.text("code"));
        let _ = match call {
            Some((method, code)) => {
                let code = coloured(format_args!("{code}"), colour_of_code(code), colours);
                write!(line, "{} {level} {} {code} {}", now(), quoted(method), self.message)
            }
            None => write!(line, "{} {level} {}: {}", now(), self.target, self.message),
        };
        for (key, value) in &self.fields {
            let _ = match value {
                _ if call.is_some() && matches!(*key, "method" | "code") => continue,
                Value::String(text) => write!(line, " {key}={}", quoted(text)),
                value => write!(line, " {key}={value}"),
            };
        }
        for (key, id) in [("request_id", &self.request_id), ("trace_id", &self.trace_id)] {
            if let Some(id) = id {
                let _ = write!(line, " {key}={id}");
            }
        }
        // Keep an event on one line, whatever its values contain.
        if line.contains(['\n', '\t']) {
            line = line.replace('\n', "\\n").replace('\t', "\\t");
        }
        line.push('\n');
        line
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.fields.iter().find(|field| field.0 == key)?.1.as_str()
    }

    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        match field.name() {
            name if is_secret_field(name) => self.fields.push((name, REDACTED.into())),
            name => self.fields.push((name, value.into())),
        }
    }

    fn put_text(&mut self, field: &Field, text: &str) {
        match field.name() {
            "message" => self.message = clean(text),
            KIND => self.kind = Some(clean(&text[..text.floor_char_boundary(MAX_KIND)])),
            "log.target" => {
                self.target = clean(text).into();
                self.through_log = true;
            }
            name if name.starts_with("log.") => {}
            name if is_secret_field(name) => self.fields.push((name, REDACTED.into())),
            name => self.fields.push((name, clean(text).into())),
        }
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put_text(field, &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put_text(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        // Skip the source position that `log` adds.
        if !field.name().starts_with("log.") {
            self.put(field, value);
        }
    }
}

/// Truncates a text, redacts it and escapes unprintable characters.
pub(crate) fn clean(text: &str) -> String {
    if text.len() <= MAX_TEXT {
        return printable(redact(text)).into_owned();
    }
    let cut = &text[..text.floor_char_boundary(MAX_TEXT)];
    format!("{}... ({} bytes)", printable(redact(cut)), text.len())
}

/// Returns true if a terminal supports colours, according to `NO_COLOR` (<https://no-color.org>)
/// and `TERM`.
fn takes_colours(variable: impl Fn(&str) -> Option<OsString>) -> bool {
    variable("NO_COLOR").is_none_or(|value| value.is_empty())
        && variable("TERM").is_none_or(|term| term != "dumb")
}

/// Appends a text as a JSON string, with the escapes that RFC 8259, section 7, requires.
fn json_text(line: &mut String, text: &str) {
    if text.bytes().any(|byte| byte < b' ' || byte == b'"' || byte == b'\\') {
        let _ = write!(line, "{}", Value::from(text));
    } else {
        line.push('"');
        line.push_str(text);
        line.push('"');
    }
}

/// Quotes a text that has spaces, so that its end is visible.
fn quoted(text: &str) -> Cow<'_, str> {
    match text.is_empty() || text.contains([' ', '"']) {
        true => Value::from(text).to_string().into(),
        false => text.into(),
    }
}

fn now() -> String {
    let mut time = String::with_capacity(32);
    // Formatting the time into a String never fails.
    let _ = SystemTime.format_time(&mut Writer::new(&mut time));
    time
}

fn level_name(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warn",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    }
}

const RED: u8 = 31;
const GREEN: u8 = 32;
const YELLOW: u8 = 33;
const BLUE: u8 = 34;
const MAGENTA: u8 = 35;

fn colour(level: Level) -> u8 {
    match level {
        Level::ERROR => RED,
        Level::WARN => YELLOW,
        Level::INFO => GREEN,
        Level::DEBUG => BLUE,
        Level::TRACE => MAGENTA,
    }
}

/// Returns the colour of a gRPC code or an HTTP status: red for a server error as OpenTelemetry
/// defines it.
fn colour_of_code(code: &str) -> u8 {
    match code {
        "OK" => GREEN,
        "UNKNOWN" | "DEADLINE_EXCEEDED" | "UNIMPLEMENTED" | "INTERNAL" | "UNAVAILABLE"
        | "DATA_LOSS" => RED,
        code if code.starts_with('5') => RED,
        _ => YELLOW,
    }
}

fn coloured(text: fmt::Arguments<'_>, colour: u8, colours: bool) -> String {
    match colours {
        true => format!("\x1b[{colour}m{text}\x1b[0m"),
        false => text.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_gets_colours_unless_the_environment_forbids() {
        for (variables, takes) in [
            (&[][..], true),
            (&[("TERM", "xterm"), ("NO_COLOR", "")], true),
            (&[("NO_COLOR", "1")], false),
            (&[("NO_COLOR", "0")], false),
            (&[("TERM", "dumb")], false),
        ] {
            let variable = |name: &str| {
                let found = variables.iter().find(|variable| variable.0 == name);
                found.map(|variable| OsString::from(variable.1))
            };
            assert_eq!(takes_colours(variable), takes, "{variables:?}");
        }
    }

    #[test]
    fn a_text_in_json_parses_to_itself() {
        for text in ["", "plain", "é \u{1f980}", r#"a "b" \c"#, "a\nb\tc", "\0\x1b", r"\u{9b}"] {
            let mut line = String::new();
            json_text(&mut line, text);
            assert_eq!(serde_json::from_str::<String>(&line).unwrap(), text);
        }
    }
}
