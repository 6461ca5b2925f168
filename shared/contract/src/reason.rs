//! Why a call is refused, as a word that programs can act on.

use tonic_types::StatusExt;

/// A reason of `google.rpc.ErrorInfo`: a word that is unique within its domain.
///
/// The build library implements it for the enums of a contract that declare a
/// `reason_domain`.
pub trait Reason {
    /// The word: `USER_NOT_FOUND`.
    fn reason(&self) -> &'static str;

    /// Whose word it is: `shop`.
    fn domain(&self) -> &'static str;

    /// Whether this is the reason that `status` gives.
    ///
    /// A status without details, or with details that do not parse, gives none.
    fn is_given_by(&self, status: &tonic::Status) -> bool {
        status
            .get_details_error_info()
            .is_some_and(|info| info.reason == self.reason() && info.domain == self.domain())
    }
}

/// The reasons for which Gantry's own crates refuse a call. Their domain is `gantry`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GantryReason {
    /// INVALID_ARGUMENT: the request breaks rules of the contract.
    ValidationFailed,
    /// INVALID_ARGUMENT: the request's bytes are not the message they should be.
    /// INTERNAL if it is a response. UNIMPLEMENTED if there is not exactly one message where
    /// the method has one.
    MalformedMessage,
    /// INVALID_ARGUMENT: a header that the server reads cannot be read.
    MalformedMetadata,
    /// RESOURCE_EXHAUSTED: the request has more headers, or bytes of them, than the server
    /// takes.
    MetadataTooLarge,
    /// RESOURCE_EXHAUSTED: the message is longer than the server takes.
    MessageTooLarge,
    /// UNIMPLEMENTED: the server does not know the method.
    MethodUnknown,
    /// UNIMPLEMENTED: the server does not take messages in this encoding.
    EncodingUnknown,
    /// UNAUTHENTICATED: the method needs credentials and there were none.
    TokenMissing,
    /// UNAUTHENTICATED: the credentials prove nothing.
    TokenInvalid,
    /// UNAUTHENTICATED: the credentials were good once.
    TokenExpired,
    /// PERMISSION_DENIED: the caller's roles or grant lack the method's permission.
    PermissionMissing,
    /// UNAVAILABLE: no instance of the service could be reached in time.
    NoEndpoint,
    /// DEADLINE_EXCEEDED: the time for the call is over.
    DeadlineExceeded,
    /// UNAVAILABLE: calls to this service fail, so this one was not tried.
    CircuitOpen,
    /// UNAVAILABLE, or the code of a stream that was reset: the call was lost before it was
    /// answered and was not repeated. It may have been executed.
    OutcomeUnknown,
    /// RESOURCE_EXHAUSTED: the server has more work than it can do.
    Overloaded,
    /// RESOURCE_EXHAUSTED: this caller calls too often.
    RateLimited,
    /// RESOURCE_EXHAUSTED: too many requests have begun and are not complete.
    TooManyUploads,
    /// DEADLINE_EXCEEDED: the request's message was not complete in its time, which is
    /// shorter than the call's.
    UploadTooSlow,
    /// UNAVAILABLE: the server is shutting down.
    Draining,
    /// UNAVAILABLE: the server cannot write for now (a full disk); nothing was done.
    StorageUnavailable,
    /// INTERNAL: a fault of ours; the cause is in the log, under the request id.
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
