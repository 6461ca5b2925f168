//! `Validate` for every message, from the rules of `buf.validate`.
//!
//! This file decides whether a field is looked at (presence, `required`,
//! `ignore`) and how to get at its values; [`typed`] has the rules of each type.

mod typed;

use std::collections::HashSet;

use proc_macro2::TokenStream;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, OneofDescriptor};
use quote::quote;

use crate::{
    names,
    options::{Fields, message_extension},
    problems::{Place, Problems},
    sources::Sources,
};

/// Implements `Validate` for every message.
pub(crate) fn impls(sources: &Sources, problems: &mut Problems) -> TokenStream {
    let messages = sources.messages();
    let mut rules = Rules { sources, with_rules: with_rules(sources, &messages), problems };
    let impls = messages.iter().map(|message| {
        let name = names::message(message);
        let body = rules.message(message);
        quote! {
            impl Validate for #name {
                fn validate(&self, path: &FieldPath<'_>, out: &mut Violations) { #body }
            }
        }
    });
    impls.collect()
}

/// The full names of messages that have rules, or that contain one that has.
fn with_rules(sources: &Sources, messages: &[MessageDescriptor]) -> HashSet<String> {
    let field_rules = |field: &FieldDescriptor| FieldRules::find(sources, field).is_some();
    let own_rules = |message: &MessageDescriptor| {
        message.fields().any(|field| field_rules(&field))
            || message.oneofs().any(|oneof| oneof_rules(sources, &oneof).is_some())
    };
    let mut found: HashSet<String> =
        messages.iter().filter(|m| own_rules(m)).map(|m| m.full_name().to_owned()).collect();
    // Messages may contain each other in circles: repeat until nothing is added.
    loop {
        let before = found.len();
        for message in messages {
            if message.fields().any(|field| nested(&field).is_some_and(|m| found.contains(&m))) {
                found.insert(message.full_name().to_owned());
            }
        }
        if found.len() == before {
            return found;
        }
    }
}

/// The full name of the message that a field, its items or its values hold.
fn nested(field: &FieldDescriptor) -> Option<String> {
    match value_kind(field) {
        Kind::Message(message) => Some(message.full_name().to_owned()),
        _ => None,
    }
}

/// The kind of a field's value, its items or its map's values.
fn value_kind(field: &FieldDescriptor) -> Kind {
    match field.kind() {
        Kind::Message(entry) if field.is_map() => entry.map_entry_value_field().kind(),
        kind => kind,
    }
}

fn oneof_rules(sources: &Sources, oneof: &OneofDescriptor) -> Option<DynamicMessage> {
    message_extension(&sources.pool, &oneof.options(), "buf.validate.oneof")
}

/// `buf.validate.FieldRules`, taken apart.
#[derive(Default)]
struct FieldRules {
    required: bool,
    if_zero: bool,
    always: bool,
    /// The name of the typed rules (`string`) and the rules.
    typed: Option<(String, DynamicMessage)>,
    unsupported: Vec<String>,
}

impl FieldRules {
    fn find(sources: &Sources, field: &FieldDescriptor) -> Option<Self> {
        message_extension(&sources.pool, &field.options(), "buf.validate.field")
            .map(|rules| Self::read(&rules))
    }

    fn read(rules: &DynamicMessage) -> Self {
        let mut read = Self::default();
        for (field, value) in rules.fields() {
            match (field.name(), value.as_message()) {
                ("required", _) => read.required = value.as_bool() == Some(true),
                // IGNORE_IF_ZERO_VALUE and IGNORE_ALWAYS.
                ("ignore", _) => {
                    read.if_zero = value.as_enum_number() == Some(1);
                    read.always = value.as_enum_number() == Some(3);
                }
                (name, Some(rules)) => read.typed = Some((name.to_owned(), rules.clone())),
                (name, None) => read.unsupported.push(name.to_owned()),
            }
        }
        read
    }
}

struct Rules<'a> {
    sources: &'a Sources,
    with_rules: HashSet<String>,
    problems: &'a mut Problems,
}

impl Rules<'_> {
    fn message(&mut self, message: &MessageDescriptor) -> TokenStream {
        let option = "buf.validate.message";
        if message_extension(&self.sources.pool, &message.options(), option).is_some() {
            self.unsupported(message, "message");
        }
        let mut body = TokenStream::new();
        for oneof in message.oneofs().filter(|oneof| !oneof.is_synthetic()) {
            body.extend(self.oneof(&oneof));
        }
        for field in message.fields() {
            body.extend(self.field(&field));
        }
        body
    }

    fn oneof(&mut self, oneof: &OneofDescriptor) -> TokenStream {
        let required = oneof_rules(self.sources, oneof)
            .and_then(|rules| rules.set("required")?.as_bool())
            .unwrap_or_default();
        if !required {
            return TokenStream::new();
        }
        let (name, field) = (oneof.name(), names::oneof_field(oneof));
        quote!(rules::required(self.#field.is_some(), &path.field(#name), out);)
    }

    fn field(&mut self, field: &FieldDescriptor) -> TokenStream {
        let rules = FieldRules::find(self.sources, field).unwrap_or_default();
        for name in &rules.unsupported {
            self.unsupported(field, name);
        }
        if rules.always {
            return TokenStream::new();
        }
        let checks = self.values(field, &rules);
        if checks.is_empty() && !rules.required {
            return TokenStream::new();
        }

        let name = field.name();
        let value = Value::of(field);
        let checks = match (value, rules.required) {
            (Value::Optional { member, pattern }, true) if checks.is_empty() => {
                quote!(rules::required(matches!(&self.#member, #pattern), &at, out);)
            }
            (Value::Optional { member, pattern }, required) => {
                let missing = required.then(|| quote!(else { rules::required(false, &at, out); }));
                quote!(if let #pattern = &self.#member { #checks } #missing)
            }
            (Value::Plain { member, set }, true) => {
                quote!(let value = &self.#member; if rules::required(#set, &at, out) { #checks })
            }
            (Value::Plain { member, set }, false) if rules.if_zero => {
                quote!(let value = &self.#member; if #set { #checks })
            }
            (Value::Plain { member, .. }, false) => quote!(let value = &self.#member; #checks),
        };
        quote!({ let at = path.field(#name); #checks })
    }

    /// The checks of a field's value, as `value` at `at`.
    fn values(&mut self, field: &FieldDescriptor, rules: &FieldRules) -> TokenStream {
        if field.is_map() {
            self.map(field, rules)
        } else if field.is_list() {
            self.list(field, rules)
        } else {
            self.single(field, &field.kind(), rules)
        }
    }

    fn list(&mut self, field: &FieldDescriptor, rules: &FieldRules) -> TokenStream {
        let list = self.container(field, rules, "repeated");
        let mut checks = TokenStream::new();
        let mut items = FieldRules::default();
        for (rule, value) in list.iter().flat_map(|list| list.fields()) {
            match (rule.name(), value.as_u64(), value.as_message()) {
                ("min_items", Some(n), _) => {
                    checks.extend(quote!(rules::min_items(value.len(), #n, &at, out);));
                }
                ("max_items", Some(n), _) => {
                    checks.extend(quote!(rules::max_items(value.len(), #n, &at, out);));
                }
                ("unique", ..) if value.as_bool() == Some(true) => match field.kind() {
                    Kind::Message(_) | Kind::Float | Kind::Double => self.problems.add(
                        field,
                        "repeated.unique is for strings, bytes, integers, bools and enums",
                    ),
                    _ => checks.extend(quote!(rules::unique(value, &at, out);)),
                },
                ("unique", ..) => {}
                ("items", _, Some(rules)) => items = FieldRules::read(rules),
                (name, ..) => self.unsupported(field, &format!("repeated.{name}")),
            }
        }
        let each = self.element(field, &field.kind(), &items, "repeated.items");
        if !each.is_empty() {
            checks.extend(quote! {
                for (index, value) in value.iter().enumerate() {
                    let at = at.index(index);
                    #each
                }
            });
        }
        checks
    }

    fn map(&mut self, field: &FieldDescriptor, rules: &FieldRules) -> TokenStream {
        let map = self.container(field, rules, "map");
        let mut checks = TokenStream::new();
        let (mut keys, mut values) = (FieldRules::default(), FieldRules::default());
        for (rule, value) in map.iter().flat_map(|map| map.fields()) {
            match (rule.name(), value.as_u64(), value.as_message()) {
                ("min_pairs", Some(n), _) => {
                    checks.extend(quote!(rules::min_pairs(value.len(), #n, &at, out);));
                }
                ("max_pairs", Some(n), _) => {
                    checks.extend(quote!(rules::max_pairs(value.len(), #n, &at, out);));
                }
                ("keys", _, Some(rules)) => keys = FieldRules::read(rules),
                ("values", _, Some(rules)) => values = FieldRules::read(rules),
                (name, ..) => self.unsupported(field, &format!("map.{name}")),
            }
        }
        let Kind::Message(entry) = field.kind() else { return checks };
        let keys = self.element(field, &entry.map_entry_key_field().kind(), &keys, "map.keys");
        let values =
            self.element(field, &entry.map_entry_value_field().kind(), &values, "map.values");
        if !keys.is_empty() || !values.is_empty() {
            checks.extend(quote! {
                for (key, value) in value {
                    let at = at.key(key);
                    #values
                    let value = key;
                    #keys
                }
            });
        }
        checks
    }

    /// The rules of a list or map as a whole; those of another type are a problem.
    fn container(
        &mut self,
        field: &FieldDescriptor,
        rules: &FieldRules,
        own: &str,
    ) -> Option<DynamicMessage> {
        let (name, typed) = rules.typed.as_ref()?;
        if name != own {
            self.problems.add(field, format_args!("{name} rules on a {own} field"));
            return None;
        }
        Some(typed.clone())
    }

    /// The checks of one item, key or value.
    fn element(
        &mut self,
        field: &FieldDescriptor,
        kind: &Kind,
        rules: &FieldRules,
        which: &str,
    ) -> TokenStream {
        for name in &rules.unsupported {
            self.unsupported(field, &format!("{which}.{name}"));
        }
        if rules.required {
            self.unsupported(field, &format!("{which}.required"));
        }
        if rules.always {
            return TokenStream::new();
        }
        let checks = self.single(field, kind, rules);
        match (rules.if_zero, is_set(kind)) {
            (true, Some(set)) if !checks.is_empty() => quote!(if #set { #checks }),
            _ => checks,
        }
    }

    /// The checks of a value that is no list or map.
    fn single(&mut self, field: &FieldDescriptor, kind: &Kind, rules: &FieldRules) -> TokenStream {
        let mut checks = match &rules.typed {
            Some((name, typed)) => self.typed(field, kind, name, typed),
            None => TokenStream::new(),
        };
        if let Kind::Message(message) = kind
            && self.with_rules.contains(message.full_name())
        {
            checks.extend(quote!(value.validate(&at, out);));
        }
        checks
    }

    fn unsupported(&mut self, place: &impl Place, rule: &str) {
        self.problems.add(place, format_args!("the rule buf.validate {rule} is not supported"));
    }
}

/// How a field's value is reached.
enum Value {
    /// It may be absent: `if let PATTERN = &self.MEMBER`.
    Optional { member: proc_macro2::Ident, pattern: TokenStream },
    /// It is always there; `set` says whether it is more than empty.
    Plain { member: proc_macro2::Ident, set: TokenStream },
}

impl Value {
    fn of(field: &FieldDescriptor) -> Self {
        match field.containing_oneof().filter(|oneof| !oneof.is_synthetic()) {
            Some(oneof) => {
                let (kind, variant) = (names::oneof(&oneof), names::variant(field));
                let pattern = quote!(Some(#kind::#variant(value)));
                return Self::Optional { member: names::oneof_field(&oneof), pattern };
            }
            None if field.supports_presence() => {
                return Self::Optional {
                    member: names::field(field),
                    pattern: quote!(Some(value)),
                };
            }
            None => {}
        }
        let container = field.is_list() || field.is_map();
        let set = if container { None } else { is_set(&field.kind()) };
        let set = set.unwrap_or_else(|| quote!(!value.is_empty()));
        Self::Plain { member: names::field(field), set }
    }
}

/// Whether `value` is more than zero or empty; nothing for messages, which have
/// no such value.
fn is_set(kind: &Kind) -> Option<TokenStream> {
    match kind {
        Kind::String | Kind::Bytes => Some(quote!(!value.is_empty())),
        Kind::Bool => Some(quote!(*value)),
        Kind::Float | Kind::Double => Some(quote!(*value != 0.0)),
        Kind::Message(_) => None,
        _ => Some(quote!(*value != 0)),
    }
}
