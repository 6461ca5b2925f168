//! Tables that the build library generates from .proto files.

use std::time::Duration;

/// All declarations of a set of .proto files.
#[derive(Debug)]
pub struct Contract {
    /// Services, in the order of the files.
    pub services: &'static [ServicePolicy],
    /// All permissions.
    pub permissions: &'static [&'static str],
    /// All roles of users.
    pub roles: &'static [Role],
    /// All rate classes. Each has at least one method.
    pub rate_classes: &'static [RateClass],
    /// Encoded `FileDescriptorSet`, for reflection.
    pub descriptor_set: &'static [u8],
}

/// A service and its methods.
#[derive(Debug)]
pub struct ServicePolicy {
    /// Full name: `shop.user.v1.UserService`.
    pub name: &'static str,
    /// Methods, in the order of the file.
    pub methods: &'static [MethodPolicy],
}

/// Policy of a method.
#[derive(Debug)]
pub struct MethodPolicy {
    /// Path of the HTTP/2 request: `/shop.user.v1.UserService/GetUser`.
    pub path: &'static str,
    /// Directions in which the method streams.
    pub kind: MethodKind,
    /// Longest duration of a call, all attempts included.
    pub timeout: Duration,
    /// Callers that may call the method.
    pub access: Access,
    /// Effect of sending a request more than once.
    pub idempotency: Idempotency,
    /// Retries or hedging by the client.
    pub repeats: Repeats,
    /// Rate class that limits the calls of one caller. An IDEMPOTENT method without a class of its
    /// own has [`RateClass::WRITES`]. None: only the server's general limit per caller applies.
    pub rate_class: Option<&'static RateClass>,
    /// Maximum length of the request message in bytes: twice the longest valid request plus 16 KiB.
    /// This leaves room for fields of newer callers, and lets validation name the violations of
    /// requests that are slightly too long. None if a field has no maximum length. The server's own
    /// limit applies in any case.
    pub max_request_bytes: Option<u32>,
}

/// Directions in which a method streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MethodKind {
    /// One request, one response.
    Unary,
    /// Many requests, one response.
    ClientStreaming,
    /// One request, many responses.
    ServerStreaming,
    /// Many requests, many responses.
    Bidirectional,
}

/// Callers that may call a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// All callers, even without credentials.
    Public,
    /// Callers with this permission.
    Permission(&'static str),
}

/// Effect of sending a request more than once: the standard option `idempotency_level`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idempotency {
    /// Changes nothing. Can be retried and hedged.
    NoSideEffects,
    /// Several executions have the effect of one. Can be retried. Can be hedged if the server
    /// handles concurrent executions of one request.
    Idempotent,
    /// Can be sent again only if it certainly was not executed.
    NotIdempotent,
}

/// Retries or hedging of a method; gRFC A6 allows at most one of them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Repeats {
    /// None, except for a call that certainly was not executed.
    Never,
    /// Further attempts after a failure.
    Retry(RetryPolicy),
    /// Further attempts before a failure.
    Hedging(HedgingPolicy),
}

/// Retry policy (gRFC A6).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RetryPolicy {
    /// Number of attempts, the first included: 2 to 5.
    pub max_attempts: u32,
    /// Delay before the second attempt, before jitter.
    pub initial_backoff: Duration,
    /// Maximum delay between attempts, before jitter.
    pub max_backoff: Duration,
    /// Factor between successive delays.
    pub backoff_multiplier: f64,
}

impl RetryPolicy {
    /// Default policy of methods that can be retried: 3 attempts, delays from 50 ms, doubling up to
    /// 2 s.
    pub const DEFAULT: Self = Self {
        max_attempts: 3,
        initial_backoff: Duration::from_millis(50),
        max_backoff: Duration::from_secs(2),
        backoff_multiplier: 2.0,
    };
}

/// Hedging policy (gRFC A6): further attempts while no response has arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HedgingPolicy {
    /// Number of attempts, the first included: 2 to 5.
    pub max_attempts: u32,
    /// Time between the starts of attempts. 0 starts all at once.
    pub delay: Duration,
}

/// Limit of one caller's calls of the methods of a class: a token bucket per caller. A server's
/// settings may change the numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RateClass {
    /// Name, used in settings and metrics.
    pub name: &'static str,
    /// Sustained calls per second: finite and above 0.
    pub per_second: f64,
    /// Maximum number of calls at once after a pause: at least 1.
    pub burst: u32,
}

impl RateClass {
    /// Class of IDEMPOTENT methods that name none. Limits only users: anonymous callers have
    /// `limits.per_address`, services `limits.per_service`.
    pub const WRITES: &str = "writes";
}

/// A named set of permissions.
#[derive(Debug)]
pub struct Role {
    /// Name, as in the claim `roles` of a token.
    pub name: &'static str,
    /// Permissions on all resources.
    pub permissions: &'static [&'static str],
    /// Permissions on the caller's own resources only.
    pub own: &'static [&'static str],
}

impl Contract {
    /// Contract without services, for a process that serves health checks only.
    pub const EMPTY: Self = Self {
        services: &[],
        permissions: &[],
        roles: &[],
        rate_classes: &[],
        descriptor_set: &[],
    };

    /// Returns the policy of the method with this path.
    ///
    /// Searches the tables. On a hot path, build a map once instead.
    pub fn method(&self, path: &str) -> Option<&'static MethodPolicy> {
        self.methods().find(|method| method.path == path)
    }

    /// Returns all methods of all services.
    pub fn methods(&self) -> impl Iterator<Item = &'static MethodPolicy> + use<> {
        self.services.iter().flat_map(|service| service.methods)
    }

    /// Returns the role with this name.
    pub fn role(&self, name: &str) -> Option<&'static Role> {
        self.roles.iter().find(|role| role.name == name)
    }
}
