//! Error statuses with the standard details of `google.rpc`.

use std::{borrow::Cow, collections::HashMap, error::Error, fmt, sync::Arc, time::Duration};

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::{CallContext, GantryReason, Reason, Violations};

/// Maximum length of the encoded details in bytes. Base64 in the header `grpc-status-details-bin`
/// makes them 4 KiB. Clients reject much longer trailers, and the whole response with them.
const MAX_DETAILS: usize = 3072;

/// Maximum length of a metadata value in bytes. Longer values are truncated.
const MAX_METADATA: usize = 1024;

/// An error status under construction. Becomes a [`tonic::Status`] with an `ErrorInfo`.
///
/// ```
/// use gantry_contract::{Failure, GantryReason};
/// use tonic::{Code, Status};
///
/// let status = Status::from(
///     Failure::new(Code::Unavailable, GantryReason::Draining, "user is shutting down")
///         .metadata("service", "user"),
/// );
/// assert_eq!(status.code(), Code::Unavailable);
/// ```
#[derive(Clone, Debug)]
pub struct Failure(Box<Inner>);

/// Boxed to keep `Result` small.
#[derive(Clone, Debug)]
struct Inner {
    code: Code,
    message: String,
    reason: &'static str,
    domain: &'static str,
    metadata: HashMap<String, String>,
    details: ErrorDetails,
    violations: Violations,
}

impl Failure {
    /// Creates an error from a code, a reason for programs and a message for people.
    pub fn new(code: Code, reason: impl Reason, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            code,
            message: message.into(),
            reason: reason.reason(),
            domain: reason.domain(),
            metadata: HashMap::new(),
            details: ErrorDetails::new(),
            violations: Violations::default(),
        }))
    }

    /// Creates UNAVAILABLE with reason STORAGE_UNAVAILABLE: nothing can be written at the moment,
    /// and nothing was changed. Log the cause separately.
    pub fn storage_unavailable() -> Self {
        const WHY: &str = "the storage is unavailable";
        Self::new(Code::Unavailable, GantryReason::StorageUnavailable, WHY)
    }

    /// Creates UNAVAILABLE with reason OUTCOME_UNKNOWN: the storage was lost during the commit of a
    /// change, which may have taken effect. A repetition with the same request id has no further
    /// effect. Log the cause separately.
    pub fn outcome_unknown() -> Self {
        const WHY: &str = "the storage was lost during a commit, which may have taken effect";
        Self::new(Code::Unavailable, GantryReason::OutcomeUnknown, WHY)
    }

    /// Creates DEADLINE_EXCEEDED with reason DEADLINE_EXCEEDED: the deadline passed during the call.
    pub fn deadline_exceeded() -> Self {
        Self::new(Code::DeadlineExceeded, GantryReason::DeadlineExceeded, "the deadline has passed")
    }

    /// Creates RESOURCE_EXHAUSTED with reason OVERLOADED: nothing was changed, and the same call
    /// may succeed in a second.
    pub fn overloaded() -> Self {
        Self::new(Code::ResourceExhausted, GantryReason::Overloaded, "the service is overloaded")
            .retry_after(Duration::from_secs(1))
    }

    /// Creates INTERNAL with the request id of the current call and no other information. Log the
    /// cause separately; the log line has the same request id.
    pub fn internal() -> Self {
        let failure = Self::new(Code::Internal, GantryReason::Internal, "internal error");
        match CallContext::current() {
            Some(call) => failure.request_id(&*call.request_id),
            None => failure,
        }
    }

    /// Adds a value to the reason's metadata. Values above 1 KiB are truncated.
    pub fn metadata(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.0.metadata.insert(key.into(), cut(value.into()));
        self
    }

    /// Adds a violation of one field.
    pub fn violation(mut self, field: impl fmt::Display, description: impl fmt::Display) -> Self {
        self.0.violations.push(field, description);
        self
    }

    /// Replaces all violations.
    pub fn violations(mut self, violations: Violations) -> Self {
        self.0.violations = violations;
        self
    }

    /// Names the resource that is the cause: its type (`shop.user.v1.User`), its name, and a
    /// description of the problem.
    pub fn resource(
        mut self,
        kind: impl Into<String>,
        name: impl Into<String>,
        description: impl Into<String>,
    ) -> Self {
        self.0.details.set_resource_info(kind, name, "", description);
        self
    }

    /// Adds a precondition that does not hold: its type (`STATUS`), its subject, and the action
    /// that the caller must take.
    pub fn precondition(
        mut self,
        kind: impl Into<String>,
        subject: impl Into<String>,
        description: impl Into<String>,
    ) -> Self {
        self.0.details.add_precondition_failure_violation(kind, subject, description);
        self
    }

    /// Appends a hint for the caller to the message.
    pub fn hint(mut self, hint: impl fmt::Display) -> Self {
        self.0.message = format!("{}; {hint}", self.0.message);
        self
    }

    /// Sets the delay before the next attempt (`RetryInfo`).
    pub fn retry_after(mut self, delay: Duration) -> Self {
        self.0.details.set_retry_info(Some(delay));
        self
    }

    /// Sets the request id, as it appears in the logs.
    pub fn request_id(mut self, id: impl Into<String>) -> Self {
        self.0.details.set_request_info(id, "");
        self
    }

    /// Returns the status code.
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// Returns the message for people.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Returns the reason for programs.
    pub fn reason(&self) -> &'static str {
        self.0.reason
    }

    /// Returns the domain of the reason.
    pub fn domain(&self) -> &'static str {
        self.0.domain
    }

    /// Returns a value of the reason's metadata.
    pub fn metadata_of(&self, key: &str) -> Option<&str> {
        self.0.metadata.get(key).map(String::as_str)
    }

    /// Returns the failure from which this process made `status`. None if another process made it.
    /// Avoids decoding the details.
    pub fn of(status: &Status) -> Option<&Self> {
        // The layers of a body wrap its status.
        let mut source = status.source();
        while let Some(error) = source {
            if let Some(failure) = error.downcast_ref() {
                return Some(failure);
            }
            source = error.source();
        }
        None
    }

    /// Returns the reason of a status. Takes it from the failure if the status was made in this
    /// process, otherwise from the `ErrorInfo` in the details.
    pub fn reason_of(status: &Status) -> Option<Cow<'_, str>> {
        match Self::of(status) {
            Some(failure) => Some(Cow::Borrowed(failure.reason())),
            None => Some(Cow::Owned(status.get_details_error_info()?.reason)),
        }
    }

    fn status(&self) -> Status {
        let Inner { code, message, reason, domain, metadata, details, violations } = &*self.0;
        let mut details = details.clone();
        details.set_error_info(*reason, *domain, metadata.clone());
        for violation in violations.iter() {
            details.add_bad_request_violation(&violation.field, &violation.description);
        }
        if violations.more() > 0 {
            details.add_bad_request_violation("", format!("and {} more", violations.more()));
        }
        Status::with_error_details(*code, message, details)
    }
}

impl From<Failure> for Status {
    fn from(mut failure: Failure) -> Self {
        loop {
            let mut status = failure.status();
            if status.details().len() <= MAX_DETAILS || !failure.0.violations.drop_one() {
                status.set_source(Arc::new(failure));
                return status;
            }
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.code, self.0.message)
    }
}

impl Error for Failure {}

/// Truncates a long text and appends an ellipsis.
fn cut(mut text: String) -> String {
    if text.len() > MAX_METADATA {
        text.truncate(text.floor_char_boundary(MAX_METADATA - '…'.len_utf8()));
        text.push('…');
    }
    text
}
