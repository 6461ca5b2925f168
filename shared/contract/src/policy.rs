//! The tables that the build library makes from a team's .proto files.

use std::time::Duration;

/// Everything a set of .proto files declares.
#[derive(Debug)]
pub struct Contract {
    /// One entry per service, in the order of the files.
    pub services: &'static [ServicePolicy],
    /// Every permission there is: the closed set of the access policy.
    pub permissions: &'static [&'static str],
    /// The roles a user can have.
    pub roles: &'static [Role],
    /// Every rate class there is; each is named by a method.
    pub rate_classes: &'static [RateClass],
    /// An encoded `FileDescriptorSet`, for reflection.
    pub descriptor_set: &'static [u8],
}

/// A service and its methods.
#[derive(Debug)]
pub struct ServicePolicy {
    /// The full name: `shop.user.v1.UserService`.
    pub name: &'static str,
    /// One entry per method, in the order of the file.
    pub methods: &'static [MethodPolicy],
}

/// How one method behaves.
#[derive(Debug)]
pub struct MethodPolicy {
    /// The path of the HTTP/2 request: `/shop.user.v1.UserService/GetUser`.
    pub path: &'static str,
    /// Which sides stream.
    pub kind: MethodKind,
    /// The longest a logical call may take, all attempts included.
    pub timeout: Duration,
    /// Who may call it.
    pub access: Access,
    /// What may happen when it is sent more than once.
    pub idempotency: Idempotency,
    /// How the client makes a call more than once, if it does.
    pub repeats: Repeats,
    /// The class whose limit a caller's calls count against; an IDEMPOTENT method that names
    /// none has [`RateClass::WRITES`]. None if they count against the server's limit for all
    /// calls of a caller.
    pub rate_class: Option<&'static RateClass>,
    /// Longest request message in bytes, from the rules of its fields: twice the longest valid
    /// one and 16 KiB, so that newer callers' fields fit and violations can be named. None if a
    /// field has no limit; the server's own limit holds in any case.
    pub max_request_bytes: Option<u32>,
}

/// Which sides of a method stream.
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

/// Who may call a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Anybody, without credentials.
    Public,
    /// Callers that hold this permission.
    Permission(&'static str),
}

/// What may happen when a request is sent more than once: the standard option
/// `idempotency_level`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idempotency {
    /// Changes nothing: may be retried and hedged.
    NoSideEffects,
    /// Once or many times is the same: may be retried, and hedged where the server can be
    /// asked for one thing twice at the same time.
    Idempotent,
    /// May be sent again only where it is certain that it was never executed.
    NotIdempotent,
}

/// How the client makes a call more than once: at most one way (gRFC A6).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Repeats {
    /// Not at all, but where it is certain that it was never executed.
    Never,
    /// Again after it failed.
    Retry(RetryPolicy),
    /// Again before it has failed.
    Hedging(HedgingPolicy),
}

/// How the client retries, as gRFC A6 says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RetryPolicy {
    /// Attempts, the first included: 2 to 5.
    pub max_attempts: u32,
    /// The wait before the second attempt, before jitter.
    pub initial_backoff: Duration,
    /// The longest wait between attempts, before jitter.
    pub max_backoff: Duration,
    /// The factor between one wait and the next.
    pub backoff_multiplier: f64,
}

impl RetryPolicy {
    /// What holds where the contract says nothing else and the method's
    /// idempotency allows a retry: 3 attempts, 50 ms, doubling up to 2 s.
    pub const DEFAULT: Self = Self {
        max_attempts: 3,
        initial_backoff: Duration::from_millis(50),
        max_backoff: Duration::from_secs(2),
        backoff_multiplier: 2.0,
    };
}

/// How the client hedges, as gRFC A6 says: further attempts while none has answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HedgingPolicy {
    /// Attempts, the first included: 2 to 5.
    pub max_attempts: u32,
    /// The time between one attempt and the next; 0 makes all of them at once.
    pub delay: Duration,
}

/// How often one caller may call the methods of a class: the numbers of a token
/// bucket for each caller, which a server's settings may change.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RateClass {
    /// The name, as it stands in settings and measures.
    pub name: &'static str,
    /// Calls a second in the long run: finite and above 0.
    pub per_second: f64,
    /// Calls at once after a pause: at least 1.
    pub burst: u32,
}

impl RateClass {
    /// The name of the class of every IDEMPOTENT method that names none. It holds for users:
    /// anonymous callers have `limits.per_address`, services `limits.per_service`.
    pub const WRITES: &str = "writes";
}

/// A named set of permissions.
#[derive(Debug)]
pub struct Role {
    /// The name as it stands in a token's `roles` claim.
    pub name: &'static str,
    /// Permissions held on everything.
    pub permissions: &'static [&'static str],
    /// Permissions held only on what is the caller's own.
    pub own: &'static [&'static str],
}

impl Contract {
    /// The policy of the method with this path, where the contract has it.
    ///
    /// Walks the tables: callers on a hot path build a map once.
    pub fn method(&self, path: &str) -> Option<&'static MethodPolicy> {
        self.methods().find(|method| method.path == path)
    }

    /// All methods of all services.
    pub fn methods(&self) -> impl Iterator<Item = &'static MethodPolicy> + use<> {
        self.services.iter().flat_map(|service| service.methods)
    }

    /// The role of this name, where the contract has it.
    pub fn role(&self, name: &str) -> Option<&'static Role> {
        self.roles.iter().find(|role| role.name == name)
    }
}
