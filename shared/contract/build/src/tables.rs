//! Tables of `gantry_contract::Contract` as code.

use std::time::Duration;

use proc_macro2::TokenStream;
use quote::quote;

use crate::{
    methods::{Idempotency, Policy, Service},
    repeats::Repeats,
};

/// Returns the table of services.
pub(crate) fn services(services: &[Service]) -> TokenStream {
    let services = services.iter().map(|service| {
        let name = service.descriptor.full_name();
        let methods = service.methods.iter().map(method);
        quote!(ServicePolicy { name: #name, methods: &[#(#methods),*] })
    });
    quote!(&[#(#services),*])
}

fn method(policy: &Policy) -> TokenStream {
    let descriptor = &policy.descriptor;
    let path = format!("/{}/{}", descriptor.parent_service().full_name(), descriptor.name());
    let kind = match (descriptor.is_client_streaming(), descriptor.is_server_streaming()) {
        (false, false) => quote!(MethodKind::Unary),
        (true, false) => quote!(MethodKind::ClientStreaming),
        (false, true) => quote!(MethodKind::ServerStreaming),
        (true, true) => quote!(MethodKind::Bidirectional),
    };
    let timeout = duration(policy.timeout);
    let access = match &policy.permission {
        Some(permission) => quote!(Access::Permission(#permission)),
        None => quote!(Access::Public),
    };
    let idempotency = match policy.idempotency {
        Idempotency::NoSideEffects => quote!(Idempotency::NoSideEffects),
        Idempotency::Idempotent => quote!(Idempotency::Idempotent),
        Idempotency::NotIdempotent => quote!(Idempotency::NotIdempotent),
    };
    let repeats = repeats(&policy.repeats);
    let rate_class = match policy.rate_class {
        Some(index) => quote!(Some(&RATE_CLASSES[#index])),
        None => quote!(None),
    };
    let max_request_bytes = match policy.max_request_bytes {
        Some(bytes) => quote!(Some(#bytes)),
        None => quote!(None),
    };
    quote! {
        MethodPolicy {
            path: #path,
            kind: #kind,
            timeout: #timeout,
            access: #access,
            idempotency: #idempotency,
            repeats: #repeats,
            rate_class: #rate_class,
            max_request_bytes: #max_request_bytes,
        }
    }
}

fn repeats(repeats: &Repeats) -> TokenStream {
    match *repeats {
        Repeats::Never => quote!(Repeats::Never),
        Repeats::Retry { attempts, initial_backoff, max_backoff, multiplier } => {
            let (initial, max) = (duration(initial_backoff), duration(max_backoff));
            quote! {
                Repeats::Retry(RetryPolicy {
                    max_attempts: #attempts,
                    initial_backoff: #initial,
                    max_backoff: #max,
                    backoff_multiplier: #multiplier,
                })
            }
        }
        Repeats::Hedging { attempts, delay } => {
            let delay = duration(delay);
            quote!(Repeats::Hedging(HedgingPolicy { max_attempts: #attempts, delay: #delay }))
        }
    }
}

fn duration(duration: Duration) -> TokenStream {
    let (seconds, nanos) = (duration.as_secs(), duration.subsec_nanos());
    quote!(Duration::new(#seconds, #nanos))
}
