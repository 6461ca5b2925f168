//! Reasons of error statuses, for programs.

use tonic_types::StatusExt;

/// A reason of `google.rpc.ErrorInfo`: a word that is unique in its domain.
///
/// The build library implements this trait for enums with the option `reason_domain`.
pub trait Reason {
    /// Returns the reason: `USER_NOT_FOUND`.
    fn reason(&self) -> &'static str;

    /// Returns the domain: `shop`.
    fn domain(&self) -> &'static str;

    /// Returns true if `status` has this reason.
    ///
    /// A status without details, or with malformed details, has no reason.
    fn is_given_by(&self, status: &tonic::Status) -> bool {
        status
            .get_details_error_info()
            .is_some_and(|info| info.reason == self.reason() && info.domain == self.domain())
    }
}

/// Reasons of Gantry's own crates. Their domain is `gantry`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GantryReason {
    /// INVALID_ARGUMENT: the request violates rules of the contract.
    ValidationFailed,
    /// INVALID_ARGUMENT: the request cannot be decoded. INTERNAL: the response cannot be decoded.
    /// UNIMPLEMENTED: the body does not have exactly one message, but the method requires that.
    MalformedMessage,
    /// INVALID_ARGUMENT: a header that the server needs is malformed.
    MalformedMetadata,
    /// RESOURCE_EXHAUSTED: the request has more headers, or longer ones, than the server accepts.
    MetadataTooLarge,
    /// RESOURCE_EXHAUSTED: the message is longer than the server accepts.
    MessageTooLarge,
    /// UNIMPLEMENTED: the server does not know the method.
    MethodUnknown,
    /// UNIMPLEMENTED: the server does not accept this message encoding.
    EncodingUnknown,
    /// UNAUTHENTICATED: the method requires credentials, and the call has none.
    TokenMissing,
    /// UNAUTHENTICATED: the credentials are invalid.
    TokenInvalid,
    /// UNAUTHENTICATED: the credentials have expired.
    TokenExpired,
    /// PERMISSION_DENIED: the caller's roles or grant do not include the method's permission.
    PermissionMissing,
    /// UNAVAILABLE: no instance of the service could be reached in time.
    NoEndpoint,
    /// DEADLINE_EXCEEDED: the deadline of the call has passed.
    DeadlineExceeded,
    /// UNAVAILABLE: calls to this service are failing, so this call was not attempted.
    CircuitOpen,
    /// UNAVAILABLE, or the code of a reset stream: the call was lost before its response and was
    /// not repeated, or the service lost its storage during a commit. It may have been executed.
    OutcomeUnknown,
    /// RESOURCE_EXHAUSTED: the server is overloaded.
    Overloaded,
    /// RESOURCE_EXHAUSTED: the caller exceeds its rate limit.
    RateLimited,
    /// RESOURCE_EXHAUSTED: too many requests have started and are incomplete.
    TooManyUploads,
    /// DEADLINE_EXCEEDED: the request message did not arrive in time. This time is shorter than
    /// the deadline of the call.
    UploadTooSlow,
    /// UNAVAILABLE: the server is shutting down.
    Draining,
    /// UNAVAILABLE: the server cannot write at the moment (a full disk). Nothing was changed.
    StorageUnavailable,
    /// INTERNAL: a fault of the server. Its log has the cause, with the request id.
    Internal,
}

impl Reason for GantryReason {
    fn reason(&self) -> &'static str {
        match self {
            Self::ValidationFailed => "VALIDATION_FAILED",
            Self::MalformedMessage => "MALFORMED_MESSAGE",
            Self::MalformedMetadata => "MALFORMED_METADATA",
            Self::MetadataTooLarge => "METADATA_TOO_LARGE",
            Self::MessageTooLarge => "MESSAGE_TOO_LARGE",
            Self::MethodUnknown => "METHOD_UNKNOWN",
            Self::EncodingUnknown => "ENCODING_UNKNOWN",
            Self::TokenMissing => "TOKEN_MISSING",
            Self::TokenInvalid => "TOKEN_INVALID",
            Self::TokenExpired => "TOKEN_EXPIRED",
            Self::PermissionMissing => "PERMISSION_MISSING",
            Self::NoEndpoint => "NO_ENDPOINT",
            Self::DeadlineExceeded => "DEADLINE_EXCEEDED",
            Self::CircuitOpen => "CIRCUIT_OPEN",
            Self::OutcomeUnknown => "OUTCOME_UNKNOWN",
            Self::Overloaded => "OVERLOADED",
            Self::RateLimited => "RATE_LIMITED",
            Self::TooManyUploads => "TOO_MANY_UPLOADS",
            Self::UploadTooSlow => "UPLOAD_TOO_SLOW",
            Self::Draining => "DRAINING",
            Self::StorageUnavailable => "STORAGE_UNAVAILABLE",
            Self::Internal => "INTERNAL",
        }
    }

    fn domain(&self) -> &'static str {
        "gantry"
    }
}
