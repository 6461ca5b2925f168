//! Rules of fields: presence, `required`, `ignore`, and the checks of the field's content.

use proc_macro2::TokenStream;
use prost_reflect::{Cardinality, DynamicMessage, FieldDescriptor, Kind};
use quote::quote;

use super::{
    Rules,
    check::{Count, Typed},
    value::{Value, element_is_set, unwrapped},
};
use crate::{options::message_extension, sources::Sources};

/// Content of `buf.validate.FieldRules`.
#[derive(Clone, Default)]
pub(super) struct FieldRules {
    required: bool,
    pub(super) ignore: Option<Ignore>,
    /// Name of the typed rules (`string`), and the rules.
    pub(super) typed: Option<(String, DynamicMessage)>,
    unsupported: Vec<String>,
}

/// `buf.validate.Ignore`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Ignore {
    /// IGNORE_UNSPECIFIED, set explicitly.
    Unset,
    /// IGNORE_IF_ZERO_VALUE.
    Zero,
    /// IGNORE_ALWAYS.
    Always,
}

impl FieldRules {
    pub(super) fn find(sources: &Sources, field: &FieldDescriptor) -> Option<Self> {
        message_extension(&sources.pool, &field.options(), "buf.validate.field")
            .map(|rules| Self::read(&rules))
    }

    pub(super) fn read(rules: &DynamicMessage) -> Self {
        let mut read = Self::default();
        for (field, value) in rules.fields() {
            match (field.name(), value.as_message()) {
                ("required", _) => read.required = value.as_bool() == Some(true),
                ("ignore", _) => match value.as_enum_number() {
                    Some(0) => read.ignore = Some(Ignore::Unset),
                    Some(1) => read.ignore = Some(Ignore::Zero),
                    Some(3) => read.ignore = Some(Ignore::Always),
                    _ => read.unsupported.push("ignore with this value".to_owned()),
                },
                (name, Some(rules)) => read.typed = Some((name.to_owned(), rules.clone())),
                (name, None) => read.unsupported.push(name.to_owned()),
            }
        }
        read
    }
}

impl Rules<'_> {
    /// Returns the checks of a field. `chosen` is true if the field is in a `message.oneof`, which
    /// implies IGNORE_IF_ZERO_VALUE.
    pub(super) fn field(&mut self, field: &FieldDescriptor, chosen: bool) -> TokenStream {
        if field.cardinality() == Cardinality::Required {
            // prost decodes a message without the field and does not report its absence.
            let what = "`required` is not checked: use optional and (buf.validate.field).required";
            self.problems.add(field, what);
            return TokenStream::new();
        }
        let rules = FieldRules::find(self.sources, field).unwrap_or_default();
        for name in &rules.unsupported {
            self.unsupported(field, name);
        }
        let ignore = rules.ignore.or(chosen.then_some(Ignore::Zero));
        if ignore == Some(Ignore::Always) {
            return TokenStream::new();
        }
        let value = Value::of(field);
        let zero = ignore == Some(Ignore::Zero) && matches!(value, Value::Plain { .. });
        if rules.required {
            self.say(field.full_name(), "is required");
        } else if zero && rules.typed.is_some() {
            self.say(field.full_name(), "is optional");
        }
        let checks = self.values(field, &rules);
        if checks.is_empty() && !rules.required {
            return TokenStream::new();
        }

        let name = field.name();
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
            (Value::Plain { member, set }, false) if zero => {
                quote!(let value = &self.#member; if #set { #checks })
            }
            (Value::Plain { member, .. }, false) => quote!(let value = &self.#member; #checks),
        };
        quote!({ let at = path.field(#name); #checks })
    }

    /// Returns the checks of a field's value. In the code, it is `value` at the path `at`.
    fn values(&mut self, field: &FieldDescriptor, rules: &FieldRules) -> TokenStream {
        if field.is_map() {
            self.map(field, rules)
        } else if field.is_list() {
            self.list(field, rules)
        } else {
            self.single(field, &field.kind(), rules, "")
        }
    }

    fn list(&mut self, field: &FieldDescriptor, rules: &FieldRules) -> TokenStream {
        let (mut checks, mut items) = (TokenStream::new(), FieldRules::default());
        if let Some(list) = self.container(field, rules, "repeated") {
            let mut typed = Typed::new(field, "repeated", &list, self.problems);
            typed.in_order(&[("min_items", "max_items")]);
            let mut unique = false;
            for (rule, value) in list.fields() {
                match (rule.name(), value.as_u64(), value.as_message()) {
                    ("min_items", Some(n), _) => typed.check(
                        quote!(value.len() as u64 >= #n),
                        format_args!("must have at least {}", Count(n, "item")),
                    ),
                    ("max_items", Some(n), _) => typed.check(
                        quote!(value.len() as u64 <= #n),
                        format_args!("must have at most {}", Count(n, "item")),
                    ),
                    ("unique", ..) => unique = value.as_bool() == Some(true),
                    ("items", _, Some(rules)) => items = FieldRules::read(rules),
                    (name, ..) => typed.unsupported(name),
                }
            }
            if unique
                && matches!(unwrapped(&field.kind()), Kind::Message(_) | Kind::Float | Kind::Double)
            {
                typed.problem(".unique is for strings, bytes, integers, bools and enums");
                unique = false;
            }
            let done = typed.done();
            checks = self.note(field, done, "");
            if unique {
                checks.extend(quote!(rules::unique(value, &at, out);));
                self.say(field.full_name(), "must not repeat items");
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
        let mut checks = TokenStream::new();
        let (mut keys, mut values) = (FieldRules::default(), FieldRules::default());
        if let Some(map) = self.container(field, rules, "map") {
            let mut typed = Typed::new(field, "map", &map, self.problems);
            typed.in_order(&[("min_pairs", "max_pairs")]);
            for (rule, value) in map.fields() {
                match (rule.name(), value.as_u64(), value.as_message()) {
                    ("min_pairs", Some(n), _) => typed.check(
                        quote!(value.len() as u64 >= #n),
                        format_args!("must have at least {}", Count(n, "entry")),
                    ),
                    ("max_pairs", Some(n), _) => typed.check(
                        quote!(value.len() as u64 <= #n),
                        format_args!("must have at most {}", Count(n, "entry")),
                    ),
                    ("keys", _, Some(rules)) => keys = FieldRules::read(rules),
                    ("values", _, Some(rules)) => values = FieldRules::read(rules),
                    (name, ..) => typed.unsupported(name),
                }
            }
            let done = typed.done();
            checks = self.note(field, done, "");
        }
        let Kind::Message(entry) = field.kind() else { return checks };
        let key = entry.map_entry_key_field().kind();
        let keys = self.element(field, &key, &keys, "map.keys");
        let values =
            self.element(field, &entry.map_entry_value_field().kind(), &values, "map.values");
        if !keys.is_empty() || !values.is_empty() {
            let at = match key {
                Kind::String => quote!(at.text_key(key)),
                _ => quote!(at.key(key)),
            };
            checks.extend(quote! {
                for (key, value) in value {
                    let at = #at;
                    #values
                    let value = key;
                    #keys
                }
            });
        }
        checks
    }

    /// Returns the rules of a list or map as a whole. Rules of another type are a problem.
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

    /// Returns the checks of one item, key or value.
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
            // Items, keys and values are always present, so `required` has no meaning.
            self.unsupported(field, &format!("{which}.required"));
        }
        if rules.ignore == Some(Ignore::Always) {
            return TokenStream::new();
        }
        let each = match which {
            "map.keys" => "each key ",
            "map.values" => "each value ",
            _ => "each item ",
        };
        let zero = rules.ignore == Some(Ignore::Zero);
        if zero && rules.typed.is_some() {
            self.say(field.full_name(), &format!("{each}may be zero or empty"));
        }
        let checks = self.single(field, kind, rules, each);
        if zero && !checks.is_empty() {
            let set = element_is_set(kind);
            return quote!(if #set { #checks });
        }
        checks
    }

    /// Returns the checks of a single value. `each` is the subject of its descriptions.
    fn single(
        &mut self,
        field: &FieldDescriptor,
        kind: &Kind,
        rules: &FieldRules,
        each: &str,
    ) -> TokenStream {
        let mut checks = TokenStream::new();
        if let Some((name, rules)) = &rules.typed {
            let mut typed = Typed::new(field, name, rules, self.problems);
            typed.read(&unwrapped(kind));
            let done = typed.done();
            checks = self.note(field, done, each);
        }
        if let Kind::Message(message) = kind
            && self.with_rules.contains(message.full_name())
        {
            checks.extend(quote!(value.validate(&at, out);));
        }
        checks
    }

    /// Records the descriptions of checks for the reference. Returns their code.
    fn note(
        &mut self,
        field: &FieldDescriptor,
        (code, words): (TokenStream, Vec<String>),
        each: &str,
    ) -> TokenStream {
        for words in words {
            self.say(field.full_name(), &format!("{each}{words}"));
        }
        code
    }
}
