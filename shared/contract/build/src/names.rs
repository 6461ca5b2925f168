//! Rust names that prost generates for the declarations of a .proto file.

use heck::{ToSnakeCase, ToUpperCamelCase};
use proc_macro2::{Ident, TokenStream};
use prost_reflect::{EnumDescriptor, FieldDescriptor, MessageDescriptor, OneofDescriptor};
use quote::{format_ident, quote};

/// Rust keywords that can be raw identifiers.
const KEYWORDS: &[&str] = &[
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "do", "dyn",
    "else", "enum", "false", "final", "fn", "for", "gen", "if", "impl", "in", "let", "loop",
    "macro", "match", "mod", "move", "mut", "override", "priv", "pub", "ref", "return", "static",
    "struct", "trait", "true", "try", "type", "typeof", "unsafe", "unsized", "use", "virtual",
    "where", "while", "yield",
];

/// Rust keywords that cannot be raw identifiers.
const RESERVED: &[&str] = &["_", "super", "self", "Self", "extern", "crate"];

fn ident(name: &str) -> Ident {
    if KEYWORDS.contains(&name) {
        format_ident!("r#{name}")
    } else if RESERVED.contains(&name) {
        format_ident!("{name}_")
    } else if name.starts_with(char::is_numeric) {
        format_ident!("_{name}")
    } else {
        format_ident!("{name}")
    }
}

fn snake(name: &str) -> Ident {
    ident(&name.to_snake_case())
}

fn upper_camel(name: &str) -> Ident {
    ident(&name.to_upper_camel_case())
}

/// Returns the struct field of a message field.
pub(crate) fn field(field: &FieldDescriptor) -> Ident {
    snake(field.name())
}

/// Returns the struct field of a oneof.
pub(crate) fn oneof_field(oneof: &OneofDescriptor) -> Ident {
    snake(oneof.name())
}

/// Returns the enum variant of a field of a oneof.
pub(crate) fn variant(field: &FieldDescriptor) -> Ident {
    upper_camel(field.name())
}

/// Returns the path of a message's struct.
pub(crate) fn message(message: &MessageDescriptor) -> TokenStream {
    path(message.package_name(), message.full_name())
}

/// Returns the path of an enum.
pub(crate) fn enumeration(enumeration: &EnumDescriptor) -> TokenStream {
    path(enumeration.package_name(), enumeration.full_name())
}

/// Returns the path of a oneof's enum.
pub(crate) fn oneof(oneof: &OneofDescriptor) -> TokenStream {
    let parent = oneof.parent_message();
    let name = upper_camel(oneof.name());
    let nested = parent.child_messages().map(|child| child.name().to_owned());
    let mut nested = nested.chain(parent.child_enums().map(|child| child.name().to_owned()));
    let name = if nested.any(|nested| upper_camel(&nested) == name) {
        format_ident!("{name}OneOf")
    } else {
        name
    };
    let module = modules(parent.package_name(), parent.full_name());
    quote!(self #(::#module)* ::#name)
}

/// Returns the path of a type, relative to the module that includes the contract.
fn path(package: &str, full_name: &str) -> TokenStream {
    let (parents, name) = full_name.rsplit_once('.').unwrap_or(("", full_name));
    let name = upper_camel(name);
    if package == "google.protobuf" {
        return quote!(::prost_types::#name);
    }
    let module = modules(package, parents);
    quote!(self #(::#module)* ::#name)
}

/// Returns the modules of `scope`, which is a package or a message in it.
fn modules(package: &str, scope: &str) -> Vec<Ident> {
    let messages = scope.strip_prefix(package).unwrap_or_default();
    let parts = package.split('.').chain(messages.split('.'));
    parts.filter(|part| !part.is_empty()).map(snake).collect()
}
