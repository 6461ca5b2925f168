//! `Debug` for messages with secrets: fields with the standard option
//! `debug_redact` are named, never shown.

use proc_macro2::TokenStream;
use prost_reflect::{FieldDescriptor, MessageDescriptor};
use quote::quote;

use crate::{names, options::Fields, problems::Problems, sources::Sources};

/// The messages whose `Debug` is ours instead of prost's.
#[derive(Default)]
pub(crate) struct Redacted {
    /// Their names, as prost takes them.
    pub(crate) paths: Vec<String>,
    /// Their implementations.
    pub(crate) impls: TokenStream,
}

/// Implements `Debug` for every message that has a redacted field.
pub(crate) fn debug(sources: &Sources, problems: &mut Problems) -> Redacted {
    let mut redacted = Redacted::default();
    for message in sources.messages().iter().filter(|m| m.fields().any(|f| is_secret(&f))) {
        // prost's switch reaches everything within the message, and we do not.
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
