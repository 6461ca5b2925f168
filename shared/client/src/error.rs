//! Failures of calls, as the channel reports them.

use std::{fmt, net::SocketAddr, time::Duration};

use gantry_contract::{
    Failure, GantryReason,
    called::{CALLED_SERVICE, Origin, STATUS_ORIGIN},
};
use gantry_resilience::{
    circuit_breaker::{CircuitBreaker, Rejected},
    retry::GiveUp,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::time::Instant;
use tonic::{Code, Status, metadata::MetadataValue};

const ENDPOINT: HeaderName = HeaderName::from_static("gantry-endpoint");
const ATTEMPTS: HeaderName = HeaderName::from_static("gantry-attempts");
const CALLED: HeaderName = HeaderName::from_static(CALLED_SERVICE);
const ORIGIN: HeaderName = HeaderName::from_static(STATUS_ORIGIN);
const FAILED_BEFORE: HeaderName = HeaderName::from_static("gantry-failed-attempts");

/// Failure of a call. Generated clients convert it to its [`Status`], with details.
#[derive(Debug, thiserror::Error)]
#[error("{}", status.message())]
pub struct Error {
    // Boxed by tonic already, so the error is small.
    #[source]
    status: Status,
    reason: Option<GantryReason>,
}

impl Error {
    /// Returns the status for the caller.
    pub fn status(&self) -> &Status {
        &self.status
    }

    /// Returns the code of the status.
    pub fn code(&self) -> Code {
        self.status.code()
    }

    /// Returns the reason; `None` if a foreign peer gave none that is known.
    pub fn reason(&self) -> Option<GantryReason> {
        self.reason
    }

    /// Creates an error from a foreign status, unchanged.
    pub(crate) fn foreign(status: Status) -> Self {
        Self { status, reason: None }
    }

    fn new(code: Code, reason: GantryReason, message: String, about: &About<'_>) -> Self {
        Self::of(Self::failure(code, reason, message, about).into(), Some(reason), about)
    }

    /// Creates an error of the channel. Its message is for our own side only: see
    /// [`gantry_contract::called`].
    fn of(mut status: Status, reason: Option<GantryReason>, about: &About<'_>) -> Self {
        if let Ok(service) = about.service.parse() {
            let metadata = status.metadata_mut();
            metadata.insert(CALLED_SERVICE, service);
            let origin = MetadataValue::from_static(Origin::Channel.as_str());
            metadata.insert(STATUS_ORIGIN, origin);
        }
        Self { status, reason }
    }

    fn failure(
        code: Code,
        reason: GantryReason,
        mut message: String,
        about: &About<'_>,
    ) -> Failure {
        if about.failed.len() > 1 {
            message = format!("{message}; its failed attempts: {}", list(about.failed));
        }
        let mut failure = Failure::new(code, reason, message)
            .metadata("service", about.service)
            .metadata("method", about.path)
            .metadata("attempts", about.attempts.to_string());
        if let Some(endpoint) = about.endpoint {
            failure = failure.metadata("endpoint", endpoint.to_string());
        }
        if let Some(left) = about.left {
            failure = failure.metadata("time_left", format!("{left:?}"));
        }
        if let Some(breaker) = about.breaker {
            let state = breaker.snapshot(Instant::now()).state;
            failure = failure.metadata("circuit_breaker", state.as_str());
        }
        for (number, FailedAttempt { endpoint, why }) in (1..).zip(about.failed) {
            failure = failure.metadata(format!("attempt_{number}"), format!("{endpoint}: {why}"));
        }
        if let Some(why) = about.gave_up {
            failure = failure.metadata("not_retried", why.to_string());
        }
        failure
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        error.status
    }
}

/// Facts of a call, for its errors.
#[derive(Clone, Copy, Debug)]
pub(crate) struct About<'a> {
    pub(crate) service: &'a str,
    pub(crate) path: &'a str,
    /// Number of attempts that were or may have been sent.
    pub(crate) attempts: u32,
    /// Endpoint of the last attempt.
    pub(crate) endpoint: Option<SocketAddr>,
    pub(crate) started: Instant,
    pub(crate) left: Option<Duration>,
    /// Circuit breaker of the service, if the call has reached it.
    pub(crate) breaker: Option<&'a CircuitBreaker>,
    /// All failed attempts, in order.
    pub(crate) failed: &'a [FailedAttempt],
    /// Reason for making no further attempt.
    pub(crate) gave_up: Option<GiveUp>,
    /// The contract allows to execute the method twice.
    pub(crate) repeatable: bool,
    /// The call bears a token of the calling service itself.
    pub(crate) signed: bool,
}

/// Failed attempt, for error messages.
#[derive(Debug)]
pub(crate) struct FailedAttempt {
    pub(crate) endpoint: SocketAddr,
    pub(crate) why: String,
}

/// Returns the failed attempts in one line.
fn list(failed: &[FailedAttempt]) -> String {
    let attempts =
        failed.iter().map(|FailedAttempt { endpoint, why }| format!("{endpoint}: {why}"));
    attempts.collect::<Vec<_>>().join("; ")
}

impl About<'_> {
    /// Adds the origin to a status of the service. Its message stays unchanged.
    pub(crate) fn explain(&self, headers: &mut HeaderMap) {
        // Its details are sanitized: tonic does not panic on them.
        let status = Status::from_header_map(headers);
        let origin = status.map_or(Origin::Peer, |said| Origin::of_answer(&said, self.signed));
        let mut put = |name: HeaderName, text: String| {
            if let Ok(value) = HeaderValue::from_str(&text) {
                headers.insert(name, value);
            }
        };
        if let Some(endpoint) = self.endpoint {
            put(ENDPOINT, endpoint.to_string());
        }
        put(ATTEMPTS, self.attempts.to_string());
        put(CALLED, self.service.to_owned());
        put(ORIGIN, origin.as_str().to_owned());
        if self.failed.len() > 1 {
            put(FAILED_BEFORE, list(self.failed));
        }
    }

    fn at(&self) -> String {
        match self.endpoint {
            Some(endpoint) => format!("{} at {endpoint}", self.service),
            None => self.service.to_owned(),
        }
    }

    fn after(&self) -> Duration {
        Duration::from_millis(self.started.elapsed().as_millis() as u64)
    }

    /// Returns the error of a call without an endpoint. It was not executed.
    pub(crate) fn no_endpoint(&self, why: &str) -> Error {
        let message = format!(
            "no endpoint of {} could take {} within {:?}: {why}",
            self.service,
            self.path,
            self.after()
        );
        Error::new(Code::Unavailable, GantryReason::NoEndpoint, message, self)
    }

    /// Returns the error of a call whose deadline passed, with this reason.
    pub(crate) fn deadline_exceeded(&self, why: &str) -> Error {
        let message = format!("the time for {} of {} is over: {why}", self.path, self.service);
        Error::new(Code::DeadlineExceeded, GantryReason::DeadlineExceeded, message, self)
    }

    /// Returns the error of a call whose deadline passed while the endpoint had it.
    pub(crate) fn unanswered(&self) -> Error {
        let why = format!(
            "{} did not answer within {:?}, attempt {}",
            self.at(),
            self.after(),
            self.attempts
        );
        self.deadline_exceeded(&why)
    }

    /// Returns the error of a call whose connection broke, or whose stream was reset, with this
    /// code. The call may have been executed.
    pub(crate) fn outcome_unknown(&self, code: Code, why: &str) -> Error {
        let may = if self.repeatable { "be repeated" } else { "have been executed" };
        let mut message = format!(
            "{} was lost before it answered {}, which may {may}: {why}",
            self.at(),
            self.path
        );
        if let Some(why) = self.gave_up {
            message = format!("{message}; not retried: {why}");
        }
        Error::new(code, GantryReason::OutcomeUnknown, message, self)
    }

    /// Returns the error of a call that the endpoint refused. It was not executed.
    pub(crate) fn refused(&self, why: &str) -> Error {
        let message = format!("{} took no further calls: {why}", self.at());
        Error::new(Code::Unavailable, GantryReason::NoEndpoint, message, self)
    }

    /// Returns the error of a call that the circuit breaker rejected. It was not executed.
    pub(crate) fn circuit_open(&self, rejected: &Rejected) -> Error {
        let Rejected { state, retry_after, cause } = rejected;
        let message = format!(
            "{} of {} was not tried: the circuit breaker is {state} ({cause}), retry in \
             {retry_after:?}",
            self.path, self.service
        );
        let reason = GantryReason::CircuitOpen;
        let failure = Error::failure(Code::Unavailable, reason, message, self);
        Error::of(failure.retry_after(*retry_after).into(), Some(reason), self)
    }

    /// Returns the error of a response that is not gRPC.
    pub(crate) fn not_grpc(&self, code: Code, what: &str) -> Error {
        Error::of(Status::new(code, format!("{} answered {what}", self.at())), None, self)
    }

    /// Returns the error of a response that was cut off before its status.
    pub(crate) fn no_status(&self) -> Error {
        self.not_grpc(Code::Unknown, "without a status at its end")
    }

    /// Returns the error of a response without exactly one message (statuscodes.md: a violation of
    /// the response's cardinality).
    pub(crate) fn not_one_message(&self, what: &str) -> Error {
        let message = format!("{} answered {} with {what}", self.at(), self.path);
        Error::new(Code::Unimplemented, GantryReason::MalformedMessage, message, self)
    }

    /// Returns the error of an unreadable response.
    pub(crate) fn malformed_answer(&self, what: &str) -> Error {
        let message = format!("{} answered {} with {what}", self.at(), self.path);
        Error::new(Code::Internal, GantryReason::MalformedMessage, message, self)
    }

    /// Returns the error of a response with a message of this many bytes.
    pub(crate) fn too_long(&self, length: impl fmt::Display) -> Error {
        let message = format!(
            "{} answered {} with a message of {length} bytes, more than are taken",
            self.at(),
            self.path
        );
        Error::new(Code::ResourceExhausted, GantryReason::MessageTooLarge, message, self)
    }

    /// Returns the error of a request above the limit.
    pub(crate) fn too_large(&self, limit: usize) -> Error {
        let message = format!("the request of {} is longer than {limit} bytes", self.path);
        Error::new(Code::ResourceExhausted, GantryReason::MessageTooLarge, message, self)
    }

    /// Returns the error of a request with an invalid header.
    pub(crate) fn malformed(&self, what: &str) -> Error {
        let message = format!("{} was not sent: {what}", self.path);
        Error::new(Code::InvalidArgument, GantryReason::MalformedMetadata, message, self)
    }
}

/// Returns the message of an error with those of its causes.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.ends_with(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    text
}
