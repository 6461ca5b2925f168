//! Access to options, whose types are known only in the descriptor pool.

use std::time::Duration;

use prost_reflect::{DescriptorPool, DynamicMessage, ReflectMessage, Value};

/// Returns the value of an option, if it is set.
pub(crate) fn extension(
    pool: &DescriptorPool,
    options: &DynamicMessage,
    name: &str,
) -> Option<Value> {
    // If no file imports the declaration of the option, no file can set it.
    let extension = pool.get_extension_by_name(name)?;
    options.has_extension(&extension).then(|| options.get_extension(&extension).into_owned())
}

/// Like [`extension`], for options that are messages.
pub(crate) fn message_extension(
    pool: &DescriptorPool,
    options: &DynamicMessage,
    name: &str,
) -> Option<DynamicMessage> {
    extension(pool, options, name)?.as_message().cloned()
}

/// Access to the fields of a message by name. Unset fields give None or an empty list.
pub(crate) trait Fields {
    fn set(&self, name: &str) -> Option<Value>;

    fn message(&self, name: &str) -> Option<DynamicMessage> {
        self.set(name)?.as_message().cloned()
    }

    fn text(&self, name: &str) -> Option<String> {
        self.set(name)?.as_str().map(str::to_owned)
    }

    fn texts(&self, name: &str) -> Vec<String> {
        let Some(Value::List(values)) = self.set(name) else { return Vec::new() };
        values.iter().filter_map(Value::as_str).map(str::to_owned).collect()
    }

    fn messages(&self, name: &str) -> Vec<DynamicMessage> {
        let Some(Value::List(values)) = self.set(name) else { return Vec::new() };
        values.iter().filter_map(Value::as_message).cloned().collect()
    }

    /// Returns the seconds and nanoseconds of a google.protobuf.Duration.
    fn span(&self, name: &str) -> Option<(i64, i32)> {
        Some(seconds_and_nanos(&self.message(name)?))
    }
}

impl Fields for DynamicMessage {
    fn set(&self, name: &str) -> Option<Value> {
        let field = self.descriptor().get_field_by_name(name)?;
        self.has_field(&field).then(|| self.get_field(&field).into_owned())
    }
}

/// Returns the fields of a google.protobuf.Duration.
pub(crate) fn seconds_and_nanos(duration: &DynamicMessage) -> (i64, i32) {
    let seconds = duration.set("seconds").and_then(|value| value.as_i64()).unwrap_or_default();
    let nanos = duration.set("nanos").and_then(|value| value.as_i32()).unwrap_or_default();
    (seconds, nanos)
}

/// Converts seconds and nanoseconds. Returns None if the duration is negative or malformed.
pub(crate) fn span((seconds, nanos): (i64, i32)) -> Option<Duration> {
    let duration = Duration::new(u64::try_from(seconds).ok()?, u32::try_from(nanos).ok()?);
    (nanos < 1_000_000_000).then_some(duration)
}

/// Like [`span`], but returns None for 0 too.
pub(crate) fn positive(parts: (i64, i32)) -> Option<Duration> {
    span(parts).filter(|duration| !duration.is_zero())
}
