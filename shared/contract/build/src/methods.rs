//! The policies of services and methods.

use std::time::Duration;

use proc_macro2::TokenStream;
use prost_reflect::{DynamicMessage, Kind, MethodDescriptor};
use quote::quote;

use crate::{
    access::AccessPolicy,
    options::{Fields, message_extension, positive},
    problems::Problems,
    rates::RatePolicy,
    sources::Sources,
};

/// The table of services.
pub(crate) fn tables(
    sources: &Sources,
    access: &AccessPolicy,
    rates: &RatePolicy,
    problems: &mut Problems,
) -> TokenStream {
    let mut services = Vec::new();
    let mut used = Vec::new();
    for service in sources.files().flat_map(|file| file.services().collect::<Vec<_>>()) {
        let name = service.full_name();
        let methods: Vec<_> = service
            .methods()
            .map(|method| {
                let option = "gantry.contract.v1.policy";
                let policy = message_extension(&sources.pool, &method.options(), option);
                let method = Method { descriptor: method, policy, sources, access };
                let rate_class = method.rate_class(rates, problems);
                used.extend(rate_class);
                method.table(rate_class, problems)
            })
            .collect();
        services.push(quote!(ServicePolicy { name: #name, methods: &[#(#methods),*] }));
    }
    rates.check_used(&used, problems);
    quote!(&[#(#services),*])
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Idempotency {
    NoSideEffects,
    Idempotent,
    NotIdempotent,
}

pub(crate) struct Method<'a> {
    pub(crate) descriptor: MethodDescriptor,
    pub(crate) policy: Option<DynamicMessage>,
    sources: &'a Sources,
    access: &'a AccessPolicy,
}

impl Method<'_> {
    /// What the method declares, as a `MethodPolicy`. What is missing is a problem,
    /// and then the code is never used.
    fn table(&self, rate_class: Option<usize>, problems: &mut Problems) -> TokenStream {
        let service = self.descriptor.parent_service().full_name();
        let path = format!("/{service}/{}", self.descriptor.name());
        let kind = self.kind();
        let timeout = self.timeout(problems);
        let access = self.access(problems);
        let idempotency = self.idempotency(problems);
        let repeats = self.repeats(idempotency, timeout, problems);
        let timeout = duration(timeout);
        let rate_class = match rate_class {
            Some(index) => quote!(Some(&RATE_CLASSES[#index])),
            None => quote!(None),
        };
        let idempotency = match idempotency {
            Idempotency::NoSideEffects => quote!(Idempotency::NoSideEffects),
            Idempotency::Idempotent => quote!(Idempotency::Idempotent),
            Idempotency::NotIdempotent => quote!(Idempotency::NotIdempotent),
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
            }
        }
    }

    /// Where the method's rate class stands in the table, where it has one.
    fn rate_class(&self, rates: &RatePolicy, problems: &mut Problems) -> Option<usize> {
        let name = self.policy.as_ref()?.text("rate_class")?;
        rates.index(&name).map_err(|what| problems.add(&self.descriptor, what)).ok()
    }

    fn kind(&self) -> TokenStream {
        match (self.descriptor.is_client_streaming(), self.descriptor.is_server_streaming()) {
            (false, false) => quote!(MethodKind::Unary),
            (true, false) => quote!(MethodKind::ClientStreaming),
            (false, true) => quote!(MethodKind::ServerStreaming),
            (true, true) => quote!(MethodKind::Bidirectional),
        }
    }

    fn timeout(&self, problems: &mut Problems) -> Duration {
        let declared = self.policy.as_ref().and_then(|policy| policy.span("timeout"));
        let timeout = declared.and_then(positive);
        if declared.is_none() {
            problems.add(
                &self.descriptor,
                "no timeout: (gantry.contract.v1.policy).timeout is required",
            );
        } else if timeout.is_none() {
            problems.add(&self.descriptor, "timeout must be longer than 0");
        }
        timeout.unwrap_or_default()
    }

    fn access(&self, problems: &mut Problems) -> TokenStream {
        let set = |name: &str| self.policy.as_ref().and_then(|policy| policy.set(name));
        if let Some(public) = set("public") {
            if public.as_bool() != Some(true) {
                problems.add(
                    &self.descriptor,
                    "public: false says nothing: name a permission, or public: true",
                );
            }
            return quote!(Access::Public);
        }
        let Some(permission) = set("permission") else {
            problems.add(
                &self.descriptor,
                "no access: (gantry.contract.v1.policy) needs a permission or public: true",
            );
            return TokenStream::new();
        };
        let permission = permission.as_str().unwrap_or_default();
        if !self.access.declared {
            problems.add(
                &self.descriptor,
                format_args!(
                    "permission {permission:?}: the contract has no access policy (gantry.contract.v1.access)"
                ),
            );
        } else if !self.access.permissions.iter().any(|declared| declared == permission) {
            problems.add(
                &self.descriptor,
                format_args!("permission {permission:?} is not in the access policy"),
            );
        }
        quote!(Access::Permission(#permission))
    }

    fn idempotency(&self, problems: &mut Problems) -> Idempotency {
        use prost_types::method_options::IdempotencyLevel;

        // An explicit IDEMPOTENCY_UNKNOWN is a declaration too, so presence counts.
        let options = self.descriptor.method_descriptor_proto().options.as_ref();
        let level = options.and_then(|options| options.idempotency_level);
        match level.map(IdempotencyLevel::try_from) {
            Some(Ok(IdempotencyLevel::NoSideEffects)) => Idempotency::NoSideEffects,
            Some(Ok(IdempotencyLevel::Idempotent)) => {
                self.request_id(problems);
                Idempotency::Idempotent
            }
            Some(_) => Idempotency::NotIdempotent,
            None => {
                problems.add(
                    &self.descriptor,
                    "no idempotency_level: NO_SIDE_EFFECTS, IDEMPOTENT, or IDEMPOTENCY_UNKNOWN for neither",
                );
                Idempotency::NotIdempotent
            }
        }
    }

    /// A mutation is idempotent because its request carries an id that the server
    /// remembers; a method without one only claims to be.
    fn request_id(&self, problems: &mut Problems) {
        let request = self.descriptor.input();
        let ok = request.get_field_by_name("request_id").is_some_and(|field| {
            let rules =
                message_extension(&self.sources.pool, &field.options(), "buf.validate.field");
            let string = rules.as_ref().and_then(|rules| rules.message("string"));
            let uuid = string.and_then(|string| string.set("uuid"));
            let always = rules.is_some_and(|rules| {
                rules.set("ignore").is_none()
                    && (!field.supports_presence() || rules.set("required").is_some())
            });
            matches!(field.kind(), Kind::String)
                && !field.is_list()
                && uuid.and_then(|uuid| uuid.as_bool()) == Some(true)
                && always
        });
        if !ok {
            problems.add(
                &self.descriptor,
                format_args!(
                    "IDEMPOTENT, but {} has no `string request_id` with the rule string.uuid",
                    request.full_name()
                ),
            );
        }
    }
}

/// Written as code.
pub(crate) fn duration(duration: Duration) -> TokenStream {
    let (seconds, nanos) = (duration.as_secs(), duration.subsec_nanos());
    quote!(Duration::new(#seconds, #nanos))
}
