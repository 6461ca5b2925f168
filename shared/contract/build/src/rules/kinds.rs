//! Rules by type, and the rules of enums, bools and special messages.

use prost_reflect::{EnumDescriptor, Kind, Value};
use quote::quote;

use super::check::Typed;
use crate::{names, options::Fields};

impl Typed<'_> {
    /// Reads the rules of a value of this kind.
    pub(super) fn read(&mut self, kind: &Kind) {
        if self.rules.extensions().next().is_some() {
            let what = format!("the rule buf.validate {}, predefined is not supported", self.name);
            self.problems.add(self.field, what);
        }
        let message = match kind {
            Kind::Message(message) => message.full_name(),
            _ => "",
        };
        match (self.name, kind, message) {
            ("string", Kind::String, _) => self.string(),
            ("bytes", Kind::Bytes, _) => self.bytes(),
            ("bool", Kind::Bool, _) => self.boolean(),
            ("enum", Kind::Enum(kind), _) => self.enumeration(kind),
            ("any", _, "google.protobuf.Any") => self.any(),
            ("field_mask", _, "google.protobuf.FieldMask") => self.field_mask(),
            ("duration", _, "google.protobuf.Duration") => {
                self.read = Some(quote!(rules::Span::read(value, &at, out)));
                self.numbers();
            }
            ("timestamp", _, "google.protobuf.Timestamp") => {
                self.read = Some(quote!(rules::Moment::read(value, &at, out)));
                self.numbers();
            }
            // The `Debug` of a kind is its name in .proto files.
            (name, kind, _) if is_number(kind) && name == format!("{kind:?}") => self.numbers(),
            (_, kind, _) => self.problem(format_args!(" rules on a value of type {kind:?}")),
        }
    }

    fn boolean(&mut self) {
        let rules = self.rules;
        for (rule, value) in rules.fields() {
            match (rule.name(), value.as_bool()) {
                ("const", Some(true)) => self.check(quote!(*value), "must be true"),
                ("const", Some(false)) => self.check(quote!(!*value), "must be false"),
                ("example", _) => {}
                (name, _) => self.unsupported(name),
            }
        }
    }

    fn enumeration(&mut self, kind: &EnumDescriptor) {
        let rules = self.rules;
        let shown = |number: i32| match kind.get_value(number) {
            Some(value) => value.name().to_owned(),
            None => number.to_string(),
        };
        for (rule, value) in rules.fields() {
            match (rule.name(), value) {
                ("const", Value::I32(number)) => {
                    let shown = shown(*number);
                    self.check(quote!(*value == #number), format_args!("must be {shown}"));
                }
                ("defined_only", Value::Bool(true)) => {
                    let path = names::enumeration(kind);
                    self.check(
                        quote!(#path::is_valid(*value)),
                        "must be a value that the contract defines",
                    );
                }
                (name @ ("in" | "not_in"), Value::List(numbers)) => {
                    let numbers: Vec<_> = numbers.iter().filter_map(Value::as_i32).collect();
                    let shown: Vec<_> = numbers.iter().map(|number| shown(*number)).collect();
                    self.listed(name == "in", quote!([#(#numbers),*].contains(value)), &shown);
                }
                ("defined_only" | "example", _) => {}
                (name, _) => self.unsupported(name),
            }
        }
        self.disjoint();
    }

    fn any(&mut self) {
        let rules = self.rules;
        for (rule, _) in rules.fields() {
            match rule.name() {
                name @ ("in" | "not_in") => {
                    let types = rules.texts(name);
                    let (is, list) = (if name == "in" { "" } else { " not" }, types.join(", "));
                    let found = quote!([#(#types),*].contains(&value.type_url.as_str()));
                    let holds = if name == "in" { found } else { quote!(!#found) };
                    self.check(holds, format_args!("must{is} hold one of {list}"));
                }
                name => self.unsupported(name),
            }
        }
        self.disjoint();
    }

    fn field_mask(&mut self) {
        let rules = self.rules;
        for (rule, value) in rules.fields() {
            match rule.name() {
                "const" => {
                    let paths = value.as_message().map(|mask| mask.texts("paths"));
                    let paths = paths.unwrap_or_default();
                    let list = paths.join(", ");
                    self.check(
                        quote!(value.paths.iter().eq([#(#paths),*] as [&str; _])),
                        format_args!("must have exactly the paths {list}"),
                    );
                }
                "in" => {
                    let paths = rules.texts("in");
                    let list = paths.join(", ");
                    self.check(
                        quote!(rules::paths_within(&value.paths, &[#(#paths),*])),
                        format_args!("must have only the paths {list} and paths below them"),
                    );
                }
                "not_in" => {
                    let paths = rules.texts("not_in");
                    let list = paths.join(", ");
                    self.check(
                        quote!(!rules::any_path_within(&value.paths, &[#(#paths),*])),
                        format_args!("must have neither the paths {list} nor paths below them"),
                    );
                }
                "example" => {}
                name => self.unsupported(name),
            }
        }
        self.disjoint();
    }
}

fn is_number(kind: &Kind) -> bool {
    !matches!(kind, Kind::Bool | Kind::String | Kind::Bytes | Kind::Message(_) | Kind::Enum(_))
}
