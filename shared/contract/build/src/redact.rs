//! `Debug` for messages with secrets. Fields with the standard option `debug_redact` appear by name
//! only.

use proc_macro2::TokenStream;
use prost_reflect::{FieldDescriptor, MessageDescriptor};
use quote::quote;

use crate::{names, options::Fields, problems::Problems, sources::Sources};

/// Messages that get this `Debug` instead of prost's.
#[derive(Default)]
pub(crate) struct Redacted {
    /// Names of the messages, as prost expects them.
    pub(crate) paths: Vec<String>,
    /// Implementations of `Debug`.
    pub(crate) impls: TokenStream,
}

/// Implements `Debug` for every message with a redacted field.
pub(crate) fn debug(sources: &Sources, problems: &mut Problems) -> Redacted {
    let mut redacted = Redacted::default();
    for message in sources.messages().iter().filter(|m| m.fields().any(|f| is_secret(&f))) {
        // prost's option also applies to nested declarations, which are not covered here.
        let nested = message.oneofs().any(|oneof| !oneof.is_synthetic())
            || message.child_messages().any(|child| !child.is_map_entry())
            || message.child_enums().len() > 0;
        if nested {
            problems.add(
                message,
                "debug_redact is not supported in a message with oneofs or nested types",
            );
        }
        redacted.paths.push(format!(".{}", message.full_name()));
        redacted.impls.extend(imp(message));
    }
    redacted
}

fn is_secret(field: &FieldDescriptor) -> bool {
    field.options().set("debug_redact").and_then(|value| value.as_bool()).unwrap_or_default()
}

fn imp(message: &MessageDescriptor) -> TokenStream {
    let (path, name) = (names::message(message), message.name());
    let fields = message.fields().map(|field| {
        let (name, member) = (field.name(), names::field(&field));
        if is_secret(&field) {
            quote!(.field(#name, &format_args!("[redacted]")))
        } else {
            quote!(.field(#name, &self.#member))
        }
    });
    quote! {
        impl ::std::fmt::Debug for #path {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.debug_struct(#name) #(#fields)* .finish()
            }
        }
    }
}
