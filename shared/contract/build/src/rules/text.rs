//! Rules of strings and bytes.

use proc_macro2::{Literal, TokenStream};
use prost_reflect::Value;
use quote::{format_ident, quote};

use super::{
    check::{Count, Typed},
    pattern,
};

/// Formats with a function: rule, function, description.
const FORMATS: &[(&str, &str, &str)] = &[
    ("email", "string::is_email", "an e-mail address"),
    ("hostname", "net::is_hostname", "a host name"),
    ("ip", "net::is_ip", "an IP address"),
    ("ipv4", "net::is_ipv4", "an IPv4 address"),
    ("ipv6", "net::is_ipv6", "an IPv6 address"),
    ("address", "net::is_address", "a host name or an IP address"),
    ("host_and_port", "net::is_host_and_port", "a host and a port"),
    ("uri", "is_uri", "a URI"),
    ("uri_ref", "is_uri_ref", "a URI or a relative reference"),
    ("uuid", "string::is_uuid", "a UUID"),
];

/// Formats of networks: rule, function, address family, description.
const NETWORKS: &[(&str, &str, &str, &str)] = &[
    ("ip_with_prefixlen", "has_prefix_length", "Any", "an IP address with a prefix length"),
    ("ipv4_with_prefixlen", "has_prefix_length", "V4", "an IPv4 address with a prefix length"),
    ("ipv6_with_prefixlen", "has_prefix_length", "V6", "an IPv6 address with a prefix length"),
    ("ip_prefix", "is_prefix", "Any", "an IP network"),
    ("ipv4_prefix", "is_prefix", "V4", "an IPv4 network"),
    ("ipv6_prefix", "is_prefix", "V6", "an IPv6 network"),
];

/// Formats that protovalidate defines by a regular expression: rule, expression, description.
const PATTERNS: &[(&str, &str, &str)] = &[
    ("tuuid", "^[0-9a-fA-F]{32}$", "a UUID without dashes"),
    ("ulid", "^[0-7][0-9A-HJKMNP-TV-Za-hjkmnp-tv-z]{25}$", "a ULID"),
    (
        "protobuf_fqn",
        r"^[A-Za-z_][A-Za-z_0-9]*(\.[A-Za-z_][A-Za-z_0-9]*)*$",
        "a full protobuf name",
    ),
    (
        "protobuf_dot_fqn",
        r"^\.[A-Za-z_][A-Za-z_0-9]*(\.[A-Za-z_][A-Za-z_0-9]*)*$",
        "a full protobuf name with a leading dot",
    ),
];

impl Typed<'_> {
    pub(super) fn string(&mut self) {
        let rules = self.rules;
        for (rule, value) in rules.fields() {
            match (rule.name(), value) {
                ("const", Value::String(text)) => {
                    self.check(quote!(*value == #text), format_args!("must be {text:?}"));
                }
                (name @ ("in" | "not_in"), Value::List(list)) => {
                    let texts: Vec<_> = list.iter().filter_map(Value::as_str).collect();
                    let shown: Vec<_> = texts.iter().map(|text| format!("{text:?}")).collect();
                    self.listed(
                        name == "in",
                        quote!([#(#texts),*].contains(&value.as_str())),
                        &shown,
                    );
                }
                (name, Value::U64(limit)) => self.length(name, *limit),
                ("pattern", Value::String(source)) => {
                    self.pattern(source, |pattern| quote!(#pattern.is_in(value)));
                }
                ("prefix", Value::String(text)) => self.check(
                    quote!(value.starts_with(#text)),
                    format_args!("must begin with {text:?}"),
                ),
                ("suffix", Value::String(text)) => self
                    .check(quote!(value.ends_with(#text)), format_args!("must end with {text:?}")),
                ("contains", Value::String(text)) => {
                    self.check(
                        quote!(value.contains(#text)),
                        format_args!("must contain {text:?}"),
                    );
                }
                ("not_contains", Value::String(text)) => self.check(
                    quote!(!value.contains(#text)),
                    format_args!("must not contain {text:?}"),
                ),
                ("well_known_regex", Value::EnumNumber(which)) => self.header(*which),
                (name, Value::Bool(asked)) => self.format(name, *asked),
                ("example", _) => {}
                (name, _) => self.unsupported(name),
            }
        }
        self.in_order(&[
            ("min_len", "max_len"),
            ("min_len", "len"),
            ("len", "max_len"),
            ("min_bytes", "max_bytes"),
            ("min_bytes", "len_bytes"),
            ("len_bytes", "max_bytes"),
            // A string has at most as many characters as bytes.
            ("min_len", "max_bytes"),
            ("min_len", "len_bytes"),
            ("len", "max_bytes"),
            ("len", "len_bytes"),
        ]);
        self.disjoint();
    }

    fn length(&mut self, rule: &str, limit: u64) {
        let (chars, bytes) = (Count(limit, "character"), Count(limit, "byte"));
        let in_chars = quote!(rules::string::chars(value));
        let in_bytes = quote!(value.len() as u64);
        match rule {
            "len" => {
                self.check(quote!(#in_chars == #limit), format_args!("must have exactly {chars}"));
            }
            "min_len" => {
                self.check(quote!(#in_chars >= #limit), format_args!("must have at least {chars}"));
            }
            "max_len" => self.check(
                quote!(rules::string::has_at_most(value, #limit)),
                format_args!("must have at most {chars}"),
            ),
            "len_bytes" => {
                self.check(quote!(#in_bytes == #limit), format_args!("must have exactly {bytes}"));
            }
            "min_bytes" => {
                self.check(quote!(#in_bytes >= #limit), format_args!("must have at least {bytes}"));
            }
            "max_bytes" => {
                self.check(quote!(#in_bytes <= #limit), format_args!("must have at most {bytes}"));
            }
            other => self.unsupported(other),
        }
    }

    fn format(&mut self, rule: &str, asked: bool) {
        let format = FORMATS.iter().find(|(name, ..)| *name == rule);
        let network = NETWORKS.iter().find(|(name, ..)| *name == rule);
        let pattern = PATTERNS.iter().find(|(name, ..)| *name == rule);
        if rule == "uuid" && asked && self.field.name() == "request_id" {
            // Every mutation needs one, so the error explains it to a human caller.
            self.check(quote!(!value.is_empty()), "is required: a UUID that you generate");
            self.check(quote!(value.is_empty() || rules::string::is_uuid(value)), "must be a UUID");
        } else if let Some((_, function, words)) = format {
            let function: Vec<_> =
                function.split("::").map(|part| format_ident!("{part}")).collect();
            if asked {
                self.check(quote!(rules::#(#function)::*(value)), format_args!("must be {words}"));
            }
        } else if let Some((_, function, family, words)) = network {
            let (function, family) = (format_ident!("{function}"), format_ident!("{family}"));
            if asked {
                self.check(
                    quote!(rules::net::#function(value, rules::net::Family::#family)),
                    format_args!("must be {words}"),
                );
            }
        } else if let Some((_, source, words)) = pattern {
            if asked {
                let pattern = pattern_static(source);
                self.check(
                    quote!({ #pattern PATTERN.is_in(value) }),
                    format_args!("must be {words}"),
                );
            }
        } else if rule != "strict" {
            self.unsupported(rule);
        }
    }

    /// Checks `string.well_known_regex` with the expressions of protovalidate.
    fn header(&mut self, which: i32) {
        use crate::options::Fields;

        let strict = self.rules.set("strict").and_then(|value| value.as_bool()).unwrap_or(true);
        let (source, words) = match (which, strict) {
            (0, _) => return,
            (1, true) => (r"^:?[0-9a-zA-Z!#$%&'*+-.^_|~\x60]+$", "the name of an HTTP header"),
            (1, false) => (r"^[^\x00\x0A\x0D]+$", "the name of an HTTP header (not strict)"),
            (2, true) => (r"^[^\x00-\x08\x0A-\x1F\x7F]*$", "the value of an HTTP header"),
            (2, false) => (r"^[^\x00\x0A\x0D]*$", "the value of an HTTP header (not strict)"),
            _ => return self.unsupported("well_known_regex with this value"),
        };
        let pattern = pattern_static(source);
        self.check(quote!({ #pattern PATTERN.is_in(value) }), format_args!("must be {words}"));
    }

    fn pattern(&mut self, source: &str, holds: impl FnOnce(TokenStream) -> TokenStream) {
        let read = pattern::from_re2(source);
        match regex::Regex::new(&read) {
            Ok(_) => {
                let (pattern, holds) = (pattern_static(&read), holds(quote!(PATTERN)));
                self.check(
                    quote!({ #pattern #holds }),
                    format_args!("must match the pattern {source}"),
                );
            }
            Err(error) => self.problem(format_args!(
                ".pattern is not a regular expression: {}",
                last_line(&error)
            )),
        }
    }

    pub(super) fn bytes(&mut self) {
        let rules = self.rules;
        for (rule, value) in rules.fields() {
            let length = quote!(value.len() as u64);
            match (rule.name(), value) {
                ("const", Value::Bytes(bytes)) => {
                    let literal = Literal::byte_string(bytes);
                    self.check(
                        quote!(value.as_slice() == #literal),
                        format_args!("must be {}", shown(bytes)),
                    );
                }
                (name @ ("in" | "not_in"), Value::List(list)) => {
                    let bytes: Vec<_> = list.iter().filter_map(Value::as_bytes).collect();
                    let literals = bytes.iter().map(|bytes| Literal::byte_string(bytes));
                    let shown: Vec<_> = bytes.iter().map(|bytes| shown(bytes)).collect();
                    self.listed(
                        name == "in",
                        quote!([#(#literals.as_slice()),*].contains(&value.as_slice())),
                        &shown,
                    );
                }
                ("len", Value::U64(n)) => self.check(
                    quote!(#length == #n),
                    format_args!("must have exactly {}", Count(*n, "byte")),
                ),
                ("min_len", Value::U64(n)) => self.check(
                    quote!(#length >= #n),
                    format_args!("must have at least {}", Count(*n, "byte")),
                ),
                ("max_len", Value::U64(n)) => self.check(
                    quote!(#length <= #n),
                    format_args!("must have at most {}", Count(*n, "byte")),
                ),
                ("pattern", Value::String(source)) => {
                    self.pattern(source, |pattern| quote!(rules::bytes::matches(value, &#pattern)));
                }
                (name @ ("prefix" | "suffix" | "contains"), Value::Bytes(bytes)) => {
                    let literal = Literal::byte_string(bytes);
                    let (holds, words) = match name {
                        "prefix" => (quote!(value.starts_with(#literal)), "begin with"),
                        "suffix" => (quote!(value.ends_with(#literal)), "end with"),
                        _ => (quote!(rules::bytes::contains(value, #literal)), "contain"),
                    };
                    self.check(holds, format_args!("must {words} {}", shown(bytes)));
                }
                ("ip", Value::Bool(true)) => self.check(
                    quote!(matches!(value.len(), 4 | 16)),
                    "must be the 4 or 16 bytes of an IP address",
                ),
                ("ipv4", Value::Bool(true)) => {
                    self.check(quote!(value.len() == 4), "must be the 4 bytes of an IPv4 address");
                }
                ("ipv6", Value::Bool(true)) => {
                    self.check(
                        quote!(value.len() == 16),
                        "must be the 16 bytes of an IPv6 address",
                    );
                }
                ("uuid", Value::Bool(true)) => {
                    self.check(quote!(value.len() == 16), "must be the 16 bytes of a UUID");
                }
                ("ip" | "ipv4" | "ipv6" | "uuid" | "example", _) => {}
                (name, _) => self.unsupported(name),
            }
        }
        self.in_order(&[("min_len", "max_len"), ("min_len", "len"), ("len", "max_len")]);
        self.disjoint();
    }
}

fn pattern_static(source: &str) -> TokenStream {
    quote!(static PATTERN: rules::Pattern = rules::Pattern::new(#source);)
}

fn shown(bytes: &[u8]) -> String {
    format!("\"{}\"", bytes.escape_ascii())
}

/// Returns the last line of a regex error, which has the cause.
fn last_line(error: &regex::Error) -> String {
    let text = error.to_string();
    let line = text.lines().last().unwrap_or_default();
    line.trim_start_matches("error: ").to_owned()
}
