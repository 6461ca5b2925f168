//! `Validate` for every message, from the rules of `buf.validate`.
//!
//! Each rule becomes a condition and its description ([`check`]). Errors and the reference use the
//! same description. [`field`] handles presence, `required` and `ignore`, and iterates over lists
//! and maps. [`value`] accesses the value of a field. [`text`], [`number`] and [`kinds`] have the
//! rules of each type, [`pattern`] translates regular expressions. [`shape`] and [`size`] derive
//! the limits that a server checks before it decodes a message. This file has the rules of a
//! message as a whole.

mod check;
mod field;
mod kinds;
mod number;
mod pattern;
mod shape;
mod size;
mod text;
mod value;

use std::collections::{BTreeMap, HashSet};

use proc_macro2::TokenStream;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, OneofDescriptor};
use quote::quote;

pub(crate) use self::size::max_request_bytes;
use self::{field::FieldRules, shape::Shapes};
use crate::{
    names,
    options::{Fields, message_extension},
    problems::{Place, Problems},
    sources::Sources,
};

/// Generated validation.
pub(crate) struct Validation {
    /// Implementations of `Validate` for all messages.
    pub(crate) impls: TokenStream,
    /// Descriptions of the rules of fields, oneofs and messages, by full name.
    pub(crate) words: BTreeMap<String, Vec<String>>,
}

/// Implements `Validate` for every message.
pub(crate) fn validation(sources: &Sources, problems: &mut Problems) -> Validation {
    extensions(sources, problems);
    let messages = sources.messages();
    let with_rules = with_rules(sources, &messages);
    let mut rules = Rules { sources, with_rules, problems, words: BTreeMap::new() };
    let mut shapes = Shapes::new(sources);
    let impls = messages.iter().map(|message| {
        let name = names::message(message);
        let body = rules.message(message);
        let shape = shapes
            .of(message, true)
            .map(|shape| quote!(fn shape() -> Option<&'static Shape> { Some(&#shape) }));
        quote! {
            impl Validate for #name {
                fn validate(&self, path: &FieldPath<'_>, out: &mut Violations) { #body }
                #shape
            }
        }
    });
    let mut impls: TokenStream = impls.collect();
    impls.extend(shapes.code);
    Validation { impls, words: rules.words }
}

/// Reports rules on extensions, which have no generated code and would never be checked.
fn extensions(sources: &Sources, problems: &mut Problems) {
    let top = sources.files().flat_map(|file| file.extensions().collect::<Vec<_>>());
    let messages = sources.messages();
    let nested = messages.iter().flat_map(MessageDescriptor::child_extensions);
    for extension in top.chain(nested) {
        if message_extension(&sources.pool, &extension.options(), "buf.validate.field").is_some() {
            problems.add(&extension, "the rules of an extension are not supported");
        }
    }
}

/// Returns the full names of messages that have rules or contain a message that has.
fn with_rules(sources: &Sources, messages: &[MessageDescriptor]) -> HashSet<String> {
    let field_rules = |field: &FieldDescriptor| FieldRules::find(sources, field).is_some();
    let own_rules = |message: &MessageDescriptor| {
        message.fields().any(|field| field_rules(&field))
            || message.oneofs().any(|oneof| oneof_rules(sources, &oneof).is_some())
            || message_rules(sources, message).is_some()
    };
    let mut found: HashSet<String> =
        messages.iter().filter(|m| own_rules(m)).map(|m| m.full_name().to_owned()).collect();
    // Messages may contain each other in cycles, so repeat until nothing is added.
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

/// Returns the full name of the message type of a field, of its items or of its values.
fn nested(field: &FieldDescriptor) -> Option<String> {
    let kind = match field.kind() {
        Kind::Message(entry) if field.is_map() => entry.map_entry_value_field().kind(),
        kind => kind,
    };
    match kind {
        Kind::Message(message) => Some(message.full_name().to_owned()),
        _ => None,
    }
}

fn oneof_rules(sources: &Sources, oneof: &OneofDescriptor) -> Option<DynamicMessage> {
    message_extension(&sources.pool, &oneof.options(), "buf.validate.oneof")
}

fn message_rules(sources: &Sources, message: &MessageDescriptor) -> Option<DynamicMessage> {
    message_extension(&sources.pool, &message.options(), "buf.validate.message")
}

/// Generator of validation code.
struct Rules<'a> {
    sources: &'a Sources,
    with_rules: HashSet<String>,
    problems: &'a mut Problems,
    words: BTreeMap<String, Vec<String>>,
}

impl Rules<'_> {
    fn message(&mut self, message: &MessageDescriptor) -> TokenStream {
        let mut body = TokenStream::new();
        let choices = self.choices(message);
        for choice in &choices {
            body.extend(self.choice(message, choice));
        }
        for oneof in message.oneofs().filter(|oneof| !oneof.is_synthetic()) {
            body.extend(self.oneof(&oneof));
        }
        for field in message.fields() {
            let chosen = choices.iter().any(|choice| choice.fields.contains(&field));
            body.extend(self.field(&field, chosen));
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
        self.say(oneof.full_name(), "is required");
        let (name, field) = (oneof.name(), names::oneof_field(oneof));
        quote!(rules::required(self.#field.is_some(), &path.field(#name), out);)
    }

    /// Reads the rules `(buf.validate.message).oneof`.
    fn choices(&mut self, message: &MessageDescriptor) -> Vec<Choice> {
        let mut choices = Vec::new();
        let Some(rules) = message_rules(self.sources, message) else { return choices };
        for (rule, _) in rules.fields().filter(|(rule, _)| rule.name() != "oneof") {
            self.unsupported(message, &format!("message.{}", rule.name()));
        }
        for rule in rules.messages("oneof") {
            let mut fields = Vec::new();
            for name in rule.texts("fields") {
                match message.get_field_by_name(&name) {
                    Some(field) if !fields.contains(&field) => fields.push(field),
                    Some(_) => self
                        .problems
                        .add(message, format_args!("message.oneof names {name:?} twice")),
                    None => self
                        .problems
                        .add(message, format_args!("message.oneof: there is no field {name:?}")),
                }
            }
            if fields.is_empty() {
                self.problems.add(message, "message.oneof names no fields");
            }
            let required = rule.set("required").and_then(|value| value.as_bool());
            choices.push(Choice { fields, required: required.unwrap_or_default() });
        }
        choices
    }

    fn choice(&mut self, message: &MessageDescriptor, choice: &Choice) -> TokenStream {
        let names: Vec<_> = choice.fields.iter().map(FieldDescriptor::name).collect();
        let names = names.join(", ");
        let set = choice.fields.iter().map(value::is_given);
        let most = format!("only one of {names} may be given");
        let least = choice.required.then(|| format!("one of {names} is required"));
        self.say(message.full_name(), &most);
        let least = least.map(|least| {
            self.say(message.full_name(), &least);
            quote!(rules::check(given >= 1, #least, path, out);)
        });
        quote! {{
            let given = [#(#set),*].into_iter().filter(|given| *given).count();
            rules::check(given <= 1, #most, path, out);
            #least
        }}
    }

    /// Records a description for the reference.
    fn say(&mut self, name: &str, words: &str) {
        self.words.entry(name.to_owned()).or_default().push(words.to_owned());
    }

    fn unsupported(&mut self, place: &impl Place, rule: &str) {
        self.problems.add(place, format_args!("the rule buf.validate {rule} is not supported"));
    }
}

/// Fields that exclude each other.
struct Choice {
    fields: Vec<FieldDescriptor>,
    required: bool,
}
