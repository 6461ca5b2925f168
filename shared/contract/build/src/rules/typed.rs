//! The rules of each type: `StringRules`, `Int32Rules` and so on.

use proc_macro2::{Literal, TokenStream};
use prost_reflect::{DynamicMessage, EnumDescriptor, FieldDescriptor, Kind, Value};
use quote::{format_ident, quote};

use super::Rules;
use crate::{names, options::seconds_and_nanos};

impl Rules<'_> {
    /// The checks of `value` at `at` by typed rules such as `string`.
    pub(super) fn typed(
        &mut self,
        field: &FieldDescriptor,
        kind: &Kind,
        name: &str,
        rules: &DynamicMessage,
    ) -> TokenStream {
        if rules.extensions().next().is_some() {
            self.unsupported(field, &format!("{name}, predefined"));
        }
        match kind {
            Kind::String if name == "string" => self.string(field, rules),
            Kind::Bytes if name == "bytes" => self.bytes(field, rules),
            Kind::Enum(kind) if name == "enum" => self.enumeration(field, kind, rules),
            Kind::Message(message)
                if name == "duration" && message.full_name() == "google.protobuf.Duration" =>
            {
                let checks = self.numbers(field, name, rules);
                quote!(if let Some(value) = rules::Span::read(value, &at, out) {
                    let value = &value;
                    #checks
                })
            }
            kind if is_number(kind) && name == format!("{kind:?}") => {
                self.numbers(field, name, rules)
            }
            Kind::Bool | Kind::Message(_)
                if ["bool", "any", "field_mask", "timestamp"].contains(&name) =>
            {
                for (rule, _) in rules.fields() {
                    self.unsupported(field, &format!("{name}.{}", rule.name()));
                }
                TokenStream::new()
            }
            kind => {
                // A kind's Debug is its name in .proto files.
                self.problems.add(field, format_args!("{name} rules on a value of type {kind:?}"));
                TokenStream::new()
            }
        }
    }

    fn string(&mut self, field: &FieldDescriptor, rules: &DynamicMessage) -> TokenStream {
        let mut checks = TokenStream::new();
        for (rule, limit) in rules.fields() {
            match (rule.name(), limit) {
                (name @ ("len" | "min_len" | "max_len"), Value::U64(limit)) => {
                    let rule = format_ident!("{name}");
                    checks.extend(quote!(rules::string::#rule(value, #limit, &at, out);));
                }
                (name @ ("email" | "uuid"), Value::Bool(true)) => {
                    let rule = format_ident!("{name}");
                    checks.extend(quote!(rules::string::#rule(value, &at, out);));
                }
                ("email" | "uuid", _) => {}
                ("pattern", Value::String(source)) => match regex::Regex::new(source) {
                    Ok(_) => checks.extend(quote!({
                        static PATTERN: rules::string::Pattern = rules::string::Pattern::new(#source);
                        rules::string::pattern(value, &PATTERN, &at, out);
                    })),
                    Err(error) => self.problems.add(
                        field,
                        format_args!("string.pattern is no regular expression: {}", first(&error)),
                    ),
                },
                (name, _) => self.unsupported(field, &format!("string.{name}")),
            }
        }
        self.lengths(field, "string", rules);
        checks
    }

    fn bytes(&mut self, field: &FieldDescriptor, rules: &DynamicMessage) -> TokenStream {
        let mut checks = TokenStream::new();
        for (rule, limit) in rules.fields() {
            match (rule.name(), limit) {
                (name @ ("min_len" | "max_len"), Value::U64(limit)) => {
                    let rule = format_ident!("{name}");
                    checks.extend(quote!(rules::bytes::#rule(value, #limit, &at, out);));
                }
                (name, _) => self.unsupported(field, &format!("bytes.{name}")),
            }
        }
        self.lengths(field, "bytes", rules);
        checks
    }

    /// Lengths between which nothing fits are a mistake.
    fn lengths(&mut self, field: &FieldDescriptor, name: &str, rules: &DynamicMessage) {
        use crate::options::Fields;

        let limit = |name| rules.set(name).and_then(|limit| limit.as_u64());
        if let (Some(least), Some(most)) = (limit("min_len"), limit("max_len"))
            && least > most
        {
            self.problems.add(field, format_args!("{name}.min_len is above {name}.max_len"));
        }
    }

    fn enumeration(
        &mut self,
        field: &FieldDescriptor,
        kind: &EnumDescriptor,
        rules: &DynamicMessage,
    ) -> TokenStream {
        let mut checks = TokenStream::new();
        for (rule, limit) in rules.fields() {
            match (rule.name(), limit) {
                ("defined_only", Value::Bool(true)) => {
                    let path = names::enumeration(kind);
                    checks.extend(quote!(rules::defined(#path::is_valid(*value), &at, out);));
                }
                ("defined_only", _) => {}
                (name @ ("in" | "not_in"), Value::List(numbers)) => {
                    let rule = format_ident!("{}", if name == "in" { "one_of" } else { "none_of" });
                    let numbers: Vec<_> = numbers.iter().filter_map(Value::as_i32).collect();
                    let names = numbers.iter().map(|number| match kind.get_value(*number) {
                        Some(value) => value.name().to_owned(),
                        None => number.to_string(),
                    });
                    checks.extend(quote! {
                        rules::#rule(*value, &[#((#numbers, #names)),*], &at, out);
                    });
                }
                (name, _) => self.unsupported(field, &format!("enum.{name}")),
            }
        }
        checks
    }

    /// The rules that all numbers and durations have.
    fn numbers(
        &mut self,
        field: &FieldDescriptor,
        name: &str,
        rules: &DynamicMessage,
    ) -> TokenStream {
        let mut checks = TokenStream::new();
        let (mut low, mut high) = (None, None);
        for (rule, limit) in rules.fields() {
            match (rule.name(), literal(limit)) {
                (rule @ ("gt" | "gte" | "lt" | "lte"), Some((bound, order))) => {
                    let side = if rule.starts_with('g') { &mut low } else { &mut high };
                    *side = Some((order, rule.ends_with('e')));
                    let rule = format_ident!("{rule}");
                    checks.extend(quote!(rules::#rule(*value, #bound, &at, out);));
                }
                ("gt" | "gte" | "lt" | "lte", None) => {
                    self.problems
                        .add(field, format_args!("{name}.{}: no finite number", rule.name()));
                }
                (rule, _) => self.unsupported(field, &format!("{name}.{rule}")),
            }
        }
        // protovalidate reads crossed bounds as "outside of"; we do not guess.
        if let (Some((low, low_in)), Some((high, high_in))) = (low, high)
            && (low > high || (low == high && !(low_in && high_in)))
        {
            self.problems.add(field, format_args!("no value is within both bounds of {name}"));
        }
        checks
    }
}

/// A bound as a literal, and as something to compare bounds by.
fn literal(value: &Value) -> Option<(TokenStream, Bound)> {
    let (literal, bound) = match value {
        Value::I32(n) => (Literal::i32_suffixed(*n), Bound::Integer((*n).into())),
        Value::I64(n) => (Literal::i64_suffixed(*n), Bound::Integer((*n).into())),
        Value::U32(n) => (Literal::u32_suffixed(*n), Bound::Integer((*n).into())),
        Value::U64(n) => (Literal::u64_suffixed(*n), Bound::Integer((*n).into())),
        Value::F32(n) if n.is_finite() => (Literal::f32_suffixed(*n), Bound::Real((*n).into())),
        Value::F64(n) if n.is_finite() => (Literal::f64_suffixed(*n), Bound::Real(*n)),
        Value::Message(duration) => {
            let (seconds, nanos) = seconds_and_nanos(duration);
            let total = i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
            return Some((quote!(rules::Span::new(#seconds, #nanos)), Bound::Integer(total)));
        }
        _ => return None,
    };
    Some((quote!(#literal), bound))
}

#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum Bound {
    Integer(i128),
    Real(f64),
}

fn is_number(kind: &Kind) -> bool {
    !matches!(kind, Kind::Bool | Kind::String | Kind::Bytes | Kind::Message(_) | Kind::Enum(_))
}

/// The last line of a regular expression's error says what is wrong.
fn first(error: &regex::Error) -> String {
    let text = error.to_string();
    let line = text.lines().last().unwrap_or_default();
    line.trim_start_matches("error: ").to_owned()
}
