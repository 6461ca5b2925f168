//! Reference of the contract in Markdown, for the people that use its services.

use std::{collections::BTreeMap, fmt::Write as _};

use prost_reflect::{EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor};

use crate::{
    access::AccessPolicy,
    methods::{Idempotency, Policy, Service},
    options::extension,
    problems::Place,
    rates::RatePolicy,
    repeats::Repeats,
    sources::{Sources, is_generated},
};

/// Input of the reference.
pub(crate) struct Reference<'a> {
    pub(crate) sources: &'a Sources,
    pub(crate) access: &'a AccessPolicy,
    pub(crate) rates: &'a RatePolicy,
    pub(crate) services: &'a [Service],
    /// Descriptions of the rules of fields, oneofs and messages, by full name.
    pub(crate) words: &'a BTreeMap<String, Vec<String>>,
}

// Writing to a String cannot fail, so the results are dropped throughout.
impl Reference<'_> {
    /// Returns the whole page.
    pub(crate) fn page(&self) -> String {
        let mut out = String::from(
            "# API reference\n\nGenerated from the .proto files by gantry-contract-build. Change those instead.\n\n",
        );
        for service in self.services {
            let name = service.descriptor.full_name();
            let _ = writeln!(out, "- [{name}](#{})", anchor(name));
        }
        out.push_str("- [Access](#access)\n- [Messages](#messages)\n");
        for service in self.services {
            self.service(&mut out, service);
        }
        self.access(&mut out);
        out.push_str("\n## Messages\n");
        for message in self.sources.messages() {
            self.message(&mut out, &message);
        }
        for enumeration in self.sources.enums() {
            self.enumeration(&mut out, &enumeration);
        }
        out
    }

    fn service(&self, out: &mut String, service: &Service) {
        let _ = writeln!(out, "\n## {}\n", service.descriptor.full_name());
        let _ = writeln!(out, "{}", text(&comment(&service.descriptor)));
        for method in &service.methods {
            self.method(out, method);
        }
    }

    fn method(&self, out: &mut String, policy: &Policy) {
        let method = &policy.descriptor;
        let stream = |streams: bool| if streams { "stream of " } else { "" };
        let _ = writeln!(out, "\n### {}\n\n{}\n", method.name(), text(&comment(method)));
        let _ = writeln!(
            out,
            "- request {}{}, response {}{}",
            stream(method.is_client_streaming()),
            link(&method.input()),
            stream(method.is_server_streaming()),
            link(&method.output())
        );
        let _ = match &policy.permission {
            Some(permission) => writeln!(out, "- requires the permission `{permission}`"),
            None => writeln!(out, "- public: requires no credentials"),
        };
        let level = match policy.idempotency {
            Idempotency::NoSideEffects => "no side effects",
            Idempotency::Idempotent => "idempotent by `request_id`",
            Idempotency::NotIdempotent => "not idempotent",
        };
        let _ =
            writeln!(out, "- {level}; timeout {:?}; {}", policy.timeout, repeats(&policy.repeats));
        let message = if method.is_client_streaming() { "each message" } else { "the request" };
        let _ = match policy.max_request_bytes {
            Some(bytes) => writeln!(out, "- {message} has at most {} KiB", bytes / 1024),
            None => writeln!(out, "- {message} has at most the server's `max_message_bytes`"),
        };
        if let Some(class) = policy.rate_class.and_then(|index| self.rates.name(index)) {
            let _ = writeln!(out, "- rate class `{class}`");
        }
    }

    fn access(&self, out: &mut String) {
        out.push_str("\n## Access\n");
        if self.access.declared {
            out.push_str("\n| role | all resources | own resources only |\n|---|---|---|\n");
            for role in &self.access.roles {
                let (all, own) = (codes(&role.permissions), codes(&role.own));
                let _ = writeln!(out, "| `{}` | {all} | {own} |", role.name);
            }
        }
        let mut classes = self.rates.words().peekable();
        if classes.peek().is_some() {
            out.push_str("\n| rate class | calls per second | burst |\n|---|---|---|\n");
            for (name, per_second, burst) in classes {
                let _ = writeln!(out, "| `{name}` | {per_second} | {burst} |");
            }
        }
    }

    fn message(&self, out: &mut String, message: &MessageDescriptor) {
        let name = message.full_name();
        let _ = writeln!(out, "\n### {name}\n\n{}", text(&comment(message)));
        if let Some(words) = self.words.get(name) {
            let _ = writeln!(out, "\nRules: {}.", literal(words));
        }
        if message.fields().len() == 0 {
            return;
        }
        out.push_str("\n| field | type | rules | |\n|---|---|---|---|\n");
        for field in message.fields() {
            let _ = writeln!(
                out,
                "| `{}` | {} | {} | {} |",
                field.name(),
                self.field_type(&field),
                line(&self.words.get(field.full_name()).map_or_else(String::new, |w| literal(w))),
                cell(&comment(&field))
            );
        }
    }

    fn field_type(&self, field: &FieldDescriptor) -> String {
        let oneof = field.containing_oneof();
        match (field.kind(), &oneof) {
            (Kind::Message(entry), _) if field.is_map() => format!(
                "map of {} to {}",
                kind(&entry.map_entry_key_field().kind()),
                kind(&entry.map_entry_value_field().kind())
            ),
            (one, _) if field.is_list() => format!("list of {}", kind(&one)),
            (one, Some(oneof)) if oneof.is_synthetic() => format!("optional {}", kind(&one)),
            (one, Some(oneof)) => {
                let required = self.words.contains_key(oneof.full_name());
                let required = if required { ", one of which is required" } else { "" };
                format!("{} (one of `{}`{required})", kind(&one), oneof.name())
            }
            (one, None) => kind(&one),
        }
    }

    fn enumeration(&self, out: &mut String, enumeration: &EnumDescriptor) {
        let _ =
            writeln!(out, "\n### {}\n\n{}", enumeration.full_name(), text(&comment(enumeration)));
        let option = "gantry.contract.v1.reason_domain";
        let domain = extension(&self.sources.pool, &enumeration.options(), option);
        if let Some(domain) = domain.as_ref().and_then(|domain| domain.as_str()) {
            let _ = writeln!(out, "\nReasons of `google.rpc.ErrorInfo`, domain `{domain}`.");
        }
        out.push_str("\n| value | number | |\n|---|---|---|\n");
        for value in enumeration.values() {
            let (name, number) = (value.name(), value.number());
            let _ = writeln!(out, "| `{name}` | {number} | {} |", cell(&comment(&value)));
        }
    }
}

fn repeats(repeats: &Repeats) -> String {
    match repeats {
        Repeats::Never => "not retried".to_owned(),
        Repeats::Retry { attempts, initial_backoff, max_backoff, multiplier } => format!(
            "up to {attempts} attempts, delays from {initial_backoff:?}, x{multiplier}, at most {max_backoff:?}"
        ),
        Repeats::Hedging { attempts, delay } => {
            format!("hedged: up to {attempts} attempts, {delay:?} apart")
        }
    }
}

/// Returns a type's name, with a link if the type is on this page.
fn kind(kind: &Kind) -> String {
    match kind {
        Kind::Message(message) => link(message),
        Kind::Enum(kind) => linked(kind.full_name(), kind.package_name()),
        // The `Debug` of a kind is its name in .proto files.
        scalar => format!("{scalar:?}"),
    }
}

fn link(message: &MessageDescriptor) -> String {
    linked(message.full_name(), message.package_name())
}

fn linked(name: &str, package: &str) -> String {
    if is_generated(package) {
        format!(
            "[{}](#{})",
            name.strip_prefix(package).unwrap_or(name).trim_start_matches('.'),
            anchor(name)
        )
    } else {
        name.to_owned()
    }
}

/// Returns the anchor that Markdown renderers generate for a heading.
fn anchor(heading: &str) -> String {
    heading.to_lowercase().replace('.', "")
}

fn codes(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// Returns the leading comment of a declaration, without indentation.
fn comment(place: &impl Place) -> String {
    place.comment().lines().map(str::trim).collect::<Vec<_>>().join("\n").trim().to_owned()
}

/// Formats rules. Unlike comments they are not Markdown, so words with special characters (a
/// pattern) become code.
fn literal(rules: &[String]) -> String {
    let rules =
        rules.iter().map(|rule| rule.split(' ').map(literal_word).collect::<Vec<_>>().join(" "));
    rules.collect::<Vec<_>>().join("; ")
}

fn literal_word(word: &str) -> String {
    // An underscore between letters has no meaning in Markdown.
    let (first, last) = (word.starts_with('_'), word.ends_with('_'));
    let special = |c: char| c.is_ascii_punctuation() && !"-.,:;()\"'/_".contains(c);
    match word {
        _ if !word.contains(special) && !first && !last => word.to_owned(),
        _ if word.contains('`') => format!("`` {word} ``"),
        _ => format!("`{word}`"),
    }
}

/// Escapes HTML in a comment.
fn text(comment: &str) -> String {
    comment.replace('<', "&lt;")
}

/// Formats a comment as a table cell.
fn cell(comment: &str) -> String {
    line(&text(comment))
}

/// Formats Markdown as a table cell.
fn line(markdown: &str) -> String {
    markdown.replace('\n', " ").replace('|', "\\|")
}
