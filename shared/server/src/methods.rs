//! Methods of a server, with their policies.

use std::{collections::HashMap, time::Duration};

use gantry_contract::{
    Access, Contract, Idempotency, MethodKind, MethodPolicy, Repeats, ServicePolicy,
};

use crate::settings::ReflectionAccess;

/// A method of this server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Method {
    pub(crate) policy: &'static MethodPolicy,
    /// True for health and reflection, which probes and tools call: exempt from rate limits, and
    /// too frequent to log.
    pub(crate) infrastructure: bool,
    /// True if any caller with credentials may call it, whatever its permissions.
    needs_credentials: bool,
    /// Index among the methods of the server.
    pub(crate) index: usize,
    /// Index of its service among those of the server.
    pub(crate) service: usize,
}

impl Method {
    /// Returns true if every caller may call it, even without credentials.
    pub(crate) fn is_public(self) -> bool {
        self.policy.access == Access::Public && !self.needs_credentials
    }

    /// Name in OpenTelemetry's form: `package.Service/Method`.
    pub(crate) fn name(self) -> &'static str {
        self.policy.path.trim_start_matches('/')
    }

    /// Returns the contract's timeout, if it has one.
    pub(crate) fn timeout(self) -> Option<Duration> {
        (self.policy.timeout != UNLIMITED).then_some(self.policy.timeout)
    }

    /// Returns true if a request has exactly one message.
    pub(crate) fn takes_one_message(self) -> bool {
        matches!(self.policy.kind, MethodKind::Unary | MethodKind::ServerStreaming)
    }

    /// Returns the maximum size of a request message in bytes, on a server whose maximum is `most`.
    pub(crate) fn max_request_bytes(self, most: u32) -> u32 {
        self.policy.max_request_bytes.map_or(most, |own| own.min(most))
    }

    /// Returns true if the response is a stream.
    pub(crate) fn streams_answers(self) -> bool {
        matches!(self.policy.kind, MethodKind::ServerStreaming | MethodKind::Bidirectional)
    }
}

/// Methods of a server by path.
#[derive(Debug)]
pub(crate) struct Methods(HashMap<&'static str, Method>);

impl Methods {
    /// Methods of the given services, of health, and of reflection unless it is off. Indices follow
    /// this order.
    pub(crate) fn new(services: &[&'static ServicePolicy], reflection: ReflectionAccess) -> Self {
        let own = services.iter().map(|service| (service.methods, false, false));
        let health = [(HEALTH.methods, true, false)];
        // If reflection needs credentials, its calls have the rate limits of their caller, like any
        // other method.
        let needs_credentials = reflection == ReflectionAccess::Authenticated;
        let reflection = (reflection != ReflectionAccess::Off).then_some(&REFLECTION);
        let reflection = reflection.into_iter().flatten();
        let reflection =
            reflection.map(|service| (service.methods, !needs_credentials, needs_credentials));
        let methods = own.chain(health).chain(reflection).enumerate().flat_map(
            |(service, (methods, infrastructure, needs_credentials))| {
                let numbered = move |policy| (service, policy, infrastructure, needs_credentials);
                methods.iter().map(numbered)
            },
        );
        let methods = methods.enumerate().map(|(index, numbered)| {
            let (service, policy, infrastructure, needs_credentials) = numbered;
            (policy.path, Method { policy, infrastructure, needs_credentials, index, service })
        });
        Self(methods.collect())
    }

    /// Returns the number of methods.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns all methods in the order of their indices.
    pub(crate) fn by_number(&self) -> impl Iterator<Item = Method> {
        let mut methods: Vec<_> = self.0.values().copied().collect();
        methods.sort_by_key(|method| method.index);
        methods.into_iter()
    }

    pub(crate) fn get(&self, path: &str) -> Option<Method> {
        self.0.get(path).copied()
    }

    /// Returns a method that needs credentials or a permission, if there is one.
    pub(crate) fn restricted(&self) -> Option<Method> {
        self.0.values().copied().find(|method| !method.is_public())
    }
}

/// Returns the contract's service of this name.
pub(crate) fn service(contract: &Contract, name: &str) -> Option<&'static ServicePolicy> {
    contract.services.iter().find(|service| service.name == name)
}

/// Timeout of a health watch, which lasts as long as its connection.
const UNLIMITED: Duration = Duration::MAX;

/// Maximum size of a message to health or reflection, in bytes: enough for a name. The limits of
/// uploads do not apply to these messages.
const MAX_INFRASTRUCTURE_BYTES: u32 = 4096;

/// Policy of health, which every server has besides the services of its contract.
pub(crate) static HEALTH: ServicePolicy = ServicePolicy {
    name: "grpc.health.v1.Health",
    methods: &[
        MethodPolicy {
            timeout: Duration::from_secs(5),
            ..infrastructure("/grpc.health.v1.Health/Check")
        },
        MethodPolicy {
            timeout: Duration::from_secs(5),
            ..infrastructure("/grpc.health.v1.Health/List")
        },
        MethodPolicy {
            kind: MethodKind::ServerStreaming,
            ..infrastructure("/grpc.health.v1.Health/Watch")
        },
    ],
};

/// Policies of reflection, in both of its versions.
pub(crate) static REFLECTION: [ServicePolicy; 2] = [
    ServicePolicy {
        name: "grpc.reflection.v1.ServerReflection",
        methods: &[MethodPolicy {
            kind: MethodKind::Bidirectional,
            ..infrastructure("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo")
        }],
    },
    ServicePolicy {
        name: "grpc.reflection.v1alpha.ServerReflection",
        methods: &[MethodPolicy {
            kind: MethodKind::Bidirectional,
            ..infrastructure("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo")
        }],
    },
];

const fn infrastructure(path: &'static str) -> MethodPolicy {
    MethodPolicy {
        path,
        kind: MethodKind::Unary,
        timeout: UNLIMITED,
        access: Access::Public,
        idempotency: Idempotency::NoSideEffects,
        repeats: Repeats::Never,
        rate_class: None,
        max_request_bytes: Some(MAX_INFRASTRUCTURE_BYTES),
    }
}
