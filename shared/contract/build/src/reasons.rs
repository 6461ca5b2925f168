//! Enums that are reasons of `google.rpc.ErrorInfo`.

use heck::ToShoutySnakeCase;
use proc_macro2::TokenStream;
use prost_reflect::EnumDescriptor;
use quote::quote;

use crate::{names, options::extension, problems::Problems, sources::Sources};

/// Implements `Reason` for every enum that declares a domain.
pub(crate) fn impls(sources: &Sources, problems: &mut Problems) -> TokenStream {
    let mut impls = TokenStream::new();
    for enumeration in sources.enums() {
        let option = "gantry.contract.v1.reason_domain";
        let domain = extension(&sources.pool, &enumeration.options(), option);
        if let Some(domain) = domain.as_ref().and_then(|domain| domain.as_str()) {
            impls.extend(reason(&enumeration, domain, problems));
        }
    }
    impls
}

fn reason(enumeration: &EnumDescriptor, domain: &str, problems: &mut Problems) -> TokenStream {
    if domain.is_empty() {
        problems.add(enumeration, "reason_domain is empty");
    }
    let prefix = format!("{}_", enumeration.name().to_shouty_snake_case());
    let mut names = Vec::new();
    for value in enumeration.values() {
        match value.name().strip_prefix(&prefix) {
            Some(name) if !name.is_empty() => {
                names.push((value.name().to_owned(), name.to_owned()));
            }
            _ => problems.add(&value, format_args!("a reason's name begins with {prefix}")),
        }
    }
    let path = names::enumeration(enumeration);
    let (long, short): (Vec<_>, Vec<_>) = names.into_iter().unzip();
    quote! {
        impl Reason for #path {
            fn reason(&self) -> &'static str {
                match self.as_str_name() {
                    #(#long => #short,)*
                    other => other,
                }
            }

            fn domain(&self) -> &'static str {
                #domain
            }
        }
    }
}
