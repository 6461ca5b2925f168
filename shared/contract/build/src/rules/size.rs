//! Maximum encoded length of a message, from the rules of its fields.
//!
//! A message has no maximum if one of its fields has none: a text without `max_len`, a list without
//! `max_items`, or a message that contains itself.

use std::collections::HashMap;

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value};

use super::{
    field::{FieldRules, Ignore},
    value::unwrapped,
};
use crate::{options::Fields, sources::Sources};

/// Maximum length of a field key, of a number and of a length, in bytes.
const KEY: u64 = 5;
const NUMBER: u64 = 10;
const LENGTH: u64 = 5;

/// Bytes added to twice the longest valid request.
const MARGIN: u64 = 16 * 1024;

/// Returns the limit of a request message in bytes; see `MethodPolicy::max_request_bytes`.
pub(crate) fn max_request_bytes(sources: &Sources, request: &MessageDescriptor) -> Option<u32> {
    let longest = Sizes { sources, known: HashMap::new() }.message(request)?;
    let limit = longest.saturating_mul(2).saturating_add(MARGIN);
    u32::try_from(limit).ok()?.checked_next_multiple_of(1024)
}

struct Sizes<'a> {
    sources: &'a Sources,
    /// Results by full name. None while a message is being measured, so a message that contains
    /// itself has no maximum.
    known: HashMap<String, Option<u64>>,
}

impl Sizes<'_> {
    fn message(&mut self, message: &MessageDescriptor) -> Option<u64> {
        let name = message.full_name();
        if let Some(known) = self.known.get(name) {
            return *known;
        }
        self.known.insert(name.to_owned(), None);
        let sizes = message.fields().map(|field| self.field(&field));
        let size = sizes.reduce(|sum, size| Some(sum?.saturating_add(size?))).unwrap_or(Some(0));
        self.known.insert(name.to_owned(), size);
        size
    }

    fn field(&mut self, field: &FieldDescriptor) -> Option<u64> {
        let rules = FieldRules::find(self.sources, field).unwrap_or_default();
        let rules = rules.looked_at();
        let container = rules.typed.as_ref().map(|(_, rules)| rules);
        let part = |name| container.and_then(|rules| rules.message(name));
        let part = |name| part(name).map(|rules| FieldRules::read(&rules)).unwrap_or_default();
        let most = |name| container.and_then(|rules| rules.set(name)?.as_u64());
        if let (true, Kind::Message(entry)) = (field.is_map(), field.kind()) {
            let pairs = most("max_pairs")?;
            let key = self.value(&entry.map_entry_key_field().kind(), &part("keys"))?;
            let value = self.value(&entry.map_entry_value_field().kind(), &part("values"))?;
            let pair = key.saturating_add(value).saturating_add(3 * KEY + LENGTH);
            Some(pairs.saturating_mul(pair))
        } else if field.is_list() {
            let items = most("max_items")?;
            let item = self.value(&field.kind(), &part("items"))?.saturating_add(KEY);
            Some(items.saturating_mul(item))
        } else {
            Some(self.value(&field.kind(), &rules)?.saturating_add(KEY))
        }
    }

    /// Returns the length of a value and its length prefix, without its key.
    fn value(&mut self, kind: &Kind, rules: &FieldRules) -> Option<u64> {
        let rules = rules.looked_at();
        let typed = rules.typed.as_ref().map(|(_, rules)| rules);
        if let (Kind::Message(_), scalar @ (Kind::String | Kind::Bytes)) = (kind, unwrapped(kind)) {
            return Some(self.value(&scalar, &rules)?.saturating_add(KEY + LENGTH));
        }
        Some(match kind {
            Kind::String => string(typed?)?.saturating_add(LENGTH),
            Kind::Bytes => bytes(typed?)?.saturating_add(LENGTH),
            Kind::Message(message) if message.full_name() == "google.protobuf.FieldMask" => {
                paths(typed?)?.saturating_add(LENGTH)
            }
            // A group ends with its key, which is not longer than a length.
            Kind::Message(message) => self.message(message)?.saturating_add(LENGTH),
            _ => NUMBER,
        })
    }
}

impl FieldRules {
    /// Returns the rules, or none if they are ignored.
    fn looked_at(&self) -> Self {
        match self.ignore {
            Some(Ignore::Always) => Self::default(),
            _ => self.clone(),
        }
    }
}

/// Returns the maximum length of a text in bytes.
fn string(rules: &DynamicMessage) -> Option<u64> {
    let number = |name| rules.set(name).and_then(|limit| limit.as_u64());
    let chars = |name| number(name).map(|chars| chars.saturating_mul(4));
    let enabled = |name| rules.set(name).is_some_and(|rule| rule.as_bool() == Some(true));
    let format = |name, length| enabled(name).then_some(length);
    [
        chars("max_len"),
        chars("len"),
        number("max_bytes"),
        number("len_bytes"),
        listed(rules, |value| value.as_str().map(str::len)),
        format("uuid", 36),
        format("tuuid", 32),
        format("ulid", 26),
        format("ipv4", 15),
        // Includes the dot of the root.
        format("hostname", 254),
    ]
    .into_iter()
    .flatten()
    .min()
}

/// Returns the maximum length of bytes.
fn bytes(rules: &DynamicMessage) -> Option<u64> {
    let number = |name| rules.set(name).and_then(|limit| limit.as_u64());
    let enabled = |name| rules.set(name).is_some_and(|rule| rule.as_bool() == Some(true));
    [
        number("max_len"),
        number("len"),
        listed(rules, |value| value.as_bytes().map(|bytes| bytes.len())),
        ["ip", "ipv4", "ipv6", "uuid"].into_iter().any(enabled).then_some(16),
    ]
    .into_iter()
    .flatten()
    .min()
}

/// Returns the length of the longest value of `const` or `in`.
fn listed(rules: &DynamicMessage, length: impl Fn(&Value) -> Option<usize>) -> Option<u64> {
    let fixed = rules.set("const").and_then(|value| length(&value));
    let any = match rules.set("in") {
        Some(Value::List(values)) => values.iter().filter_map(length).max(),
        _ => None,
    };
    fixed.or(any).map(|length| length as u64)
}

/// Returns the length of all paths of `field_mask.in` or `.const`, each counted once. No caller has
/// a reason to repeat a path, and [`MARGIN`] leaves room for some repetitions.
fn paths(rules: &DynamicMessage) -> Option<u64> {
    let fixed = rules.message("const").map(|mask| mask.texts("paths"));
    let paths = fixed.or_else(|| rules.set("in").map(|_| rules.texts("in")))?;
    Some(paths.iter().map(|path| path.len() as u64 + KEY + LENGTH).sum())
}
