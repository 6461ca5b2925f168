//! How a refusal is said: a status with the standard details of `google.rpc`.

use std::{borrow::Cow, collections::HashMap, error::Error, fmt, sync::Arc, time::Duration};

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::{CallContext, GantryReason, Reason, Violations};

/// The longest encoded details. As the header `grpc-status-details-bin` they are a
/// third longer, 4 KiB: clients refuse trailers much above that, and with them
/// the whole answer.
const MAX_DETAILS: usize = 3072;

/// The longest value in the metadata of a reason; what is longer is cut.
const MAX_METADATA: usize = 1024;

/// One refusal. Becomes a [`tonic::Status`] that always has an `ErrorInfo`.
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

/// Boxed, so that a `Result` that can fail stays small.
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
    /// A refusal with a code, a reason for programs and a message for people.
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

    /// UNAVAILABLE, reason STORAGE_UNAVAILABLE: nothing can be written for now, and nothing was done.
    /// The cause belongs into the log.
    pub fn storage_unavailable() -> Self {
        const WHY: &str = "nothing can be stored at the moment";
        Self::new(Code::Unavailable, GantryReason::StorageUnavailable, WHY)
    }

    /// RESOURCE_EXHAUSTED, reason OVERLOADED: nothing was done, and the same call may succeed in a second.
    pub fn overloaded() -> Self {
        Self::new(Code::ResourceExhausted, GantryReason::Overloaded, "too much to do")
            .retry_after(Duration::from_secs(1))
    }

    /// INTERNAL, a fault of ours: names the request that is being served, under whose id the
    /// log has the cause, and says nothing of it.
    pub fn internal() -> Self {
        let failure = Self::new(Code::Internal, GantryReason::Internal, "internal error");
        match CallContext::current() {
            Some(call) => failure.request_id(&*call.request_id),
            None => failure,
        }
    }

    /// Adds a value to the reason's metadata. Long values are cut at 1 KiB.
    pub fn metadata(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.0.metadata.insert(key.into(), cut(value.into()));
        self
    }

    /// Adds a field that is wrong.
    pub fn violation(mut self, field: impl fmt::Display, description: impl fmt::Display) -> Self {
        self.0.violations.push(field, description);
        self
    }

    /// Replaces the fields that are wrong.
    pub fn violations(mut self, violations: Violations) -> Self {
        self.0.violations = violations;
        self
    }

    /// Names the resource that is missing, taken or otherwise in the way: its
    /// type (`shop.user.v1.User`), its name, and what is the matter with it.
    pub fn resource(
        mut self,
        kind: impl Into<String>,
        name: impl Into<String>,
        description: impl Into<String>,
    ) -> Self {
        self.0.details.set_resource_info(kind, name, "", description);
        self
    }

    /// Adds a precondition that does not hold: its type (`STATUS`), what it is
    /// about, and what would have to be done.
    pub fn precondition(
        mut self,
        kind: impl Into<String>,
        subject: impl Into<String>,
        description: impl Into<String>,
    ) -> Self {
        self.0.details.add_precondition_failure_violation(kind, subject, description);
        self
    }

    /// Adds to the message what the caller can do.
    pub fn hint(mut self, hint: impl fmt::Display) -> Self {
        self.0.message = format!("{}; {hint}", self.0.message);
        self
    }

    /// Says how long to wait before trying again.
    pub fn retry_after(mut self, delay: Duration) -> Self {
        self.0.details.set_retry_info(Some(delay));
        self
    }

    /// Names the request, as it stands in the logs.
    pub fn request_id(mut self, id: impl Into<String>) -> Self {
        self.0.details.set_request_info(id, "");
        self
    }

    /// The status code.
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// The message for people.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The word for programs.
    pub fn reason(&self) -> &'static str {
        self.0.reason
    }

    /// Whose word it is.
    pub fn domain(&self) -> &'static str {
        self.0.domain
    }

    /// A value of the reason's metadata.
    pub fn metadata_of(&self, key: &str) -> Option<&str> {
        self.0.metadata.get(key).map(String::as_str)
    }

    /// What the status was made of, where that was done in this process: nothing of it has
    /// to be decoded.
    pub fn of(status: &Status) -> Option<&Self> {
        // A body's status has been wrapped on its way through its layers.
        let mut source = status.source();
        while let Some(error) = source {
            if let Some(failure) = error.downcast_ref() {
                return Some(failure);
            }
            source = error.source();
        }
        None
    }

    /// Reason of a status: of the failure that it was made of in this process, else of the `ErrorInfo` in
    /// the details that a peer sent.
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

/// Cuts a text that is too long, visibly.
fn cut(mut text: String) -> String {
    if text.len() > MAX_METADATA {
        text.truncate(text.floor_char_boundary(MAX_METADATA - '…'.len_utf8()));
        text.push('…');
    }
    text
}
