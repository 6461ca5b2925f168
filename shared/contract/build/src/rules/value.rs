//! Access to the value of a field, and its presence.

use proc_macro2::{Ident, TokenStream};
use prost_reflect::{FieldDescriptor, Kind};
use quote::quote;

use crate::names;

/// Access to the value of a field.
pub(super) enum Value {
    /// May be absent. The code is `if let PATTERN = &self.MEMBER`.
    Optional { member: Ident, pattern: TokenStream },
    /// Always present. `set` is the condition that it is neither zero nor empty.
    Plain { member: Ident, set: TokenStream },
}

impl Value {
    pub(super) fn of(field: &FieldDescriptor) -> Self {
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

/// Returns the condition that a field is set: present or, without presence, not empty.
pub(super) fn is_given(field: &FieldDescriptor) -> TokenStream {
    match Value::of(field) {
        Value::Optional { member, pattern } => quote!(matches!(&self.#member, #pattern)),
        Value::Plain { member, set } => quote!({ let value = &self.#member; #set }),
    }
}

/// Returns the condition that `value` is neither zero nor empty. None for messages.
pub(super) fn is_set(kind: &Kind) -> Option<TokenStream> {
    match kind {
        Kind::String | Kind::Bytes => Some(quote!(!value.is_empty())),
        Kind::Bool => Some(quote!(*value)),
        Kind::Float | Kind::Double => Some(quote!(*value != 0.0)),
        Kind::Message(_) => None,
        _ => Some(quote!(*value != 0)),
    }
}

/// Returns the condition that `value` (an item, key or map value) is neither zero nor empty. A
/// message is empty if no field is set.
pub(super) fn element_is_set(kind: &Kind) -> TokenStream {
    let message = || quote!(*value != ::core::default::Default::default());
    is_set(&unwrapped(kind)).unwrap_or_else(message)
}

/// Returns the scalar kind of Google's wrapper messages, which prost represents as the scalar.
/// Returns other kinds unchanged.
pub(super) fn unwrapped(kind: &Kind) -> Kind {
    let Kind::Message(message) = kind else { return kind.clone() };
    match message.full_name() {
        "google.protobuf.BoolValue"
        | "google.protobuf.BytesValue"
        | "google.protobuf.DoubleValue"
        | "google.protobuf.FloatValue"
        | "google.protobuf.Int32Value"
        | "google.protobuf.Int64Value"
        | "google.protobuf.StringValue"
        | "google.protobuf.UInt32Value"
        | "google.protobuf.UInt64Value" => {
            message.get_field_by_name("value").map_or_else(|| kind.clone(), |field| field.kind())
        }
        _ => kind.clone(),
    }
}
