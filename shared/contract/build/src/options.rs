//! Reading options, whose types only the descriptor pool knows.

use std::time::Duration;

use prost_reflect::{DescriptorPool, DynamicMessage, ReflectMessage, Value};

/// The message that an option of ours or of `buf.validate` holds, where it is set.
pub(crate) fn extension(
    pool: &DescriptorPool,
    options: &DynamicMessage,
    name: &str,
) -> Option<Value> {
    // Nobody imported the file that declares it: nobody has set it either.
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

/// The fields of a message by name: only those that are set.
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

    /// A google.protobuf.Duration: seconds and nanoseconds.
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

/// The parts of a google.protobuf.Duration.
pub(crate) fn seconds_and_nanos(duration: &DynamicMessage) -> (i64, i32) {
    let seconds = duration.set("seconds").and_then(|value| value.as_i64()).unwrap_or_default();
    let nanos = duration.set("nanos").and_then(|value| value.as_i32()).unwrap_or_default();
    (seconds, nanos)
}

/// A length of time.
pub(crate) fn span((seconds, nanos): (i64, i32)) -> Option<Duration> {
    let duration = Duration::new(u64::try_from(seconds).ok()?, u32::try_from(nanos).ok()?);
    (nanos < 1_000_000_000).then_some(duration)
}

/// A length of time that is longer than nothing.
pub(crate) fn positive(parts: (i64, i32)) -> Option<Duration> {
    span(parts).filter(|duration| !duration.is_zero())
}
