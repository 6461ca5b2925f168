//! Policies of services and methods.

use std::time::Duration;

use heck::ToSnakeCase;
use prost_reflect::{DynamicMessage, Kind, MethodDescriptor, ServiceDescriptor};

use crate::{
    access::AccessPolicy,
    options::{Fields, message_extension, positive},
    problems::Problems,
    rates::RatePolicy,
    repeats::Repeats,
    rules::max_request_bytes,
    sources::Sources,
};

/// Methods that every client of tonic has.
const OF_EVERY_CLIENT: [&str; 7] = [
    "new",
    "with_origin",
    "with_interceptor",
    "send_compressed",
    "accept_compressed",
    "max_decoding_message_size",
    "max_encoding_message_size",
];

/// Declared policies of a service and its methods.
pub(crate) struct Service {
    pub(crate) descriptor: ServiceDescriptor,
    pub(crate) methods: Vec<Policy>,
}

/// Declared policy of a method. Missing declarations are problems, so their placeholder values here
/// are never used.
pub(crate) struct Policy {
    pub(crate) descriptor: MethodDescriptor,
    pub(crate) timeout: Duration,
    /// Required permission. None: the method is public.
    pub(crate) permission: Option<String>,
    pub(crate) idempotency: Idempotency,
    pub(crate) repeats: Repeats,
    /// Index of its rate class. An IDEMPOTENT method that names none has the class of all writes.
    pub(crate) rate_class: Option<usize>,
    /// Maximum length of the request message in bytes. None if a field has no maximum length.
    pub(crate) max_request_bytes: Option<u32>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Idempotency {
    NoSideEffects,
    Idempotent,
    NotIdempotent,
}

/// Reads the declarations of all methods.
pub(crate) fn read(
    sources: &Sources,
    access: &AccessPolicy,
    rates: &mut RatePolicy,
    problems: &mut Problems,
) -> Vec<Service> {
    let services = sources.files().flat_map(|file| file.services().collect::<Vec<_>>());
    let declared = &*rates;
    let mut services: Vec<_> = services
        .map(|service| {
            names(&service, problems);
            let methods = service.methods().map(|method| {
                let option = "gantry.contract.v1.policy";
                let policy = message_extension(&sources.pool, &method.options(), option);
                Method { descriptor: method, policy, sources, access, rates: declared }
                    .read(problems)
            });
            Service { methods: methods.collect(), descriptor: service }
        })
        .collect();
    let methods = services.iter_mut().flat_map(|service| &mut service.methods);
    for method in methods.filter(|method| method.idempotency == Idempotency::Idempotent) {
        method.rate_class.get_or_insert_with(|| rates.writes());
    }
    let used: Vec<_> =
        services.iter().flat_map(|service| &service.methods).filter_map(|m| m.rate_class).collect();
    rates.check_used(&used, problems);
    services
}

/// Reports method names that would clash in generated code. The compiler's error would not name the
/// .proto file.
fn names(service: &ServiceDescriptor, problems: &mut Problems) {
    let mut names = Vec::new();
    for method in service.methods() {
        let name = method.name().to_snake_case();
        if OF_EVERY_CLIENT.contains(&&*name) {
            let what = format_args!("generated clients have a method `{name}` of their own");
            problems.add(&method, what);
        } else if names.contains(&name) {
            problems.add(&method, format_args!("a second method `{name}` in generated code"));
        }
        names.push(name);
    }
}

/// A method whose options are being read.
pub(crate) struct Method<'a> {
    pub(crate) descriptor: MethodDescriptor,
    pub(crate) policy: Option<DynamicMessage>,
    sources: &'a Sources,
    access: &'a AccessPolicy,
    rates: &'a RatePolicy,
}

impl Method<'_> {
    fn read(self, problems: &mut Problems) -> Policy {
        let timeout = self.timeout(problems);
        let permission = self.access(problems);
        let idempotency = self.idempotency(problems);
        let repeats = self.repeats(idempotency, timeout, problems);
        let rate_class = self.rate_class(problems);
        let max_request_bytes = max_request_bytes(self.sources, &self.descriptor.input());
        Policy {
            descriptor: self.descriptor,
            timeout,
            permission,
            idempotency,
            repeats,
            rate_class,
            max_request_bytes,
        }
    }

    /// Returns the index of the method's rate class, if it names one.
    fn rate_class(&self, problems: &mut Problems) -> Option<usize> {
        let name = self.policy.as_ref()?.text("rate_class")?;
        self.rates.index(&name).map_err(|what| problems.add(&self.descriptor, what)).ok()
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

    /// Returns the required permission. None: the method is public.
    fn access(&self, problems: &mut Problems) -> Option<String> {
        let set = |name: &str| self.policy.as_ref().and_then(|policy| policy.set(name));
        if let Some(public) = set("public") {
            if public.as_bool() != Some(true) {
                problems.add(
                    &self.descriptor,
                    "public: false has no effect: name a permission, or set public: true",
                );
            }
            return None;
        }
        let Some(permission) = set("permission") else {
            problems.add(
                &self.descriptor,
                "no access: (gantry.contract.v1.policy) needs a permission or public: true",
            );
            return None;
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
        Some(permission.to_owned())
    }

    fn idempotency(&self, problems: &mut Problems) -> Idempotency {
        use prost_types::method_options::IdempotencyLevel;

        // An explicit IDEMPOTENCY_UNKNOWN is a declaration too, so only absence is a problem.
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

    /// Checks the request id of an IDEMPOTENT method. The server recognises repeated calls by it;
    /// without it, the method would only claim to be idempotent.
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
                    "IDEMPOTENT, but {} has no `string request_id` with the rule string.uuid \
                     (required where it is optional, and not ignored)",
                    request.full_name()
                ),
            );
        }
    }
}
