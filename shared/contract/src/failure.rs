//! How a refusal is said: a status with the standard details of `google.rpc`.

use std::{collections::HashMap, fmt, time::Duration};

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::{Reason, Violations};

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
pub struct Failure {
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
        Self {
            code,
            message: message.into(),
            reason: reason.reason(),
            domain: reason.domain(),
            metadata: HashMap::new(),
            details: ErrorDetails::new(),
            violations: Violations::default(),
        }
    }

    /// Adds a value to the reason's metadata. Long values are cut at 1 KiB.
    pub fn metadata(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.metadata.insert(key.into(), cut(value.into()));
        self
    }

    /// Adds a field that is wrong.
    pub fn violation(mut self, field: impl fmt::Display, description: impl fmt::Display) -> Self {
        self.violations.push(field, description);
        self
    }

    /// Replaces the fields that are wrong.
    pub fn violations(mut self, violations: Violations) -> Self {
        self.violations = violations;
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
        self.details.set_resource_info(kind, name, "", description);
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
        self.details.add_precondition_failure_violation(kind, subject, description);
        self
    }

    /// Says how long to wait before trying again.
    pub fn retry_after(mut self, delay: Duration) -> Self {
        self.details.set_retry_info(Some(delay));
        self
    }

    /// Names the request, as it stands in the logs.
    pub fn request_id(mut self, id: impl Into<String>) -> Self {
        self.details.set_request_info(id, "");
        self
    }

    /// The status code.
    pub fn code(&self) -> Code {
        self.code
    }

    /// The message for people.
    pub fn message(&self) -> &str {
        &self.message
    }

    fn status(&self) -> Status {
        let mut details = self.details.clone();
        details.set_error_info(self.reason, self.domain, self.metadata.clone());
        for violation in self.violations.iter() {
            details.add_bad_request_violation(&violation.field, &violation.description);
        }
        if self.violations.more() > 0 {
            details.add_bad_request_violation("", format!("and {} more", self.violations.more()));
        }
        Status::with_error_details(self.code, &self.message, details)
    }
}

impl From<Failure> for Status {
    fn from(mut failure: Failure) -> Self {
        loop {
            let status = failure.status();
            if status.details().len() <= MAX_DETAILS || !failure.violations.drop_one() {
                return status;
            }
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for Failure {}

/// Cuts a text that is too long, visibly.
fn cut(mut text: String) -> String {
    if text.len() > MAX_METADATA {
        text.truncate(text.floor_char_boundary(MAX_METADATA - '…'.len_utf8()));
        text.push('…');
    }
    text
}
