//! What a call is known by, what has happened to it so far, and what is told of its end.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use gantry_contract::called::{CALLED_SERVICE, Origin, STATUS_ORIGIN};
use gantry_resilience::{
    circuit_breaker::{Outcome, Permit, Rejected},
    deadline::Deadline,
    retry::{Failure, GiveUp},
};
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use tokio::time::Instant;
use tonic::{Code, Status};
use tracing::Span;

use crate::{
    attempt::Attempt,
    ended::Rest,
    error::{About, Error},
    metrics::{AttemptEnded, CallEnded},
    policy::Method,
    pool::{Judged, Lease, Shared},
    trace,
    verdict::{Answer, Verdict, classify},
};

const ENDPOINT: HeaderName = HeaderName::from_static("gantry-endpoint");
const ATTEMPTS: HeaderName = HeaderName::from_static("gantry-attempts");
const CALLED: HeaderName = HeaderName::from_static(CALLED_SERVICE);
const ORIGIN: HeaderName = HeaderName::from_static(STATUS_ORIGIN);
const FAILED_BEFORE: HeaderName = HeaderName::from_static("gantry-failed-attempts");

/// What is kept of a peer's message, for people.
const MESSAGE_CHARS: usize = 120;

/// One logical call. Dropped before it ended, it was given up by its caller.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) pool: Arc<Shared>,
    pub(crate) uri: Uri,
    pub(crate) method: Arc<Method>,
    pub(crate) span: Span,
    pub(crate) deadline: Deadline,
    pub(crate) started: Instant,
    /// Whether it bears a token of the calling service itself.
    signed: bool,
    /// The attempts that were sent, or may have been.
    attempts: u32,
    /// Where the last one went, or the one that ended last.
    endpoint: Option<SocketAddr>,
    /// Those that failed, in their order.
    failed: Vec<FailedAttempt>,
    /// Whether the last failure says nothing of the service: it is the endpoint's alone, or
    /// that of a dependency behind it.
    excused: bool,
    gave_up: Option<GiveUp>,
    permit: Option<Permit>,
    ended: bool,
}

/// How an attempt failed.
#[derive(Debug)]
pub(crate) struct FailedAttempt {
    pub(crate) endpoint: SocketAddr,
    pub(crate) why: String,
}

impl Record {
    pub(crate) fn new(
        pool: Arc<Shared>,
        uri: Uri,
        method: Arc<Method>,
        started: Instant,
        deadline: Deadline,
        span: Span,
        signed: bool,
    ) -> Self {
        Self {
            pool,
            uri,
            method,
            span,
            deadline,
            started,
            signed,
            attempts: 0,
            endpoint: None,
            failed: Vec::new(),
            excused: false,
            gave_up: None,
            permit: None,
            ended: false,
        }
    }

    /// Asks the breaker. Says whether the call is a probe.
    ///
    /// # Errors
    /// [`Rejected`]: nothing is to be sent.
    pub(crate) fn admit(&mut self) -> Result<bool, Rejected> {
        let mut permit = self.pool.health.breaker.admit(Instant::now())?;
        if !self.method.streams && self.had_time() {
            permit.due(self.deadline);
        }
        Ok(self.permit.insert(permit).is_probe())
    }

    /// Whether the caller left the service a fair time.
    fn had_time(&self) -> bool {
        self.deadline.left(self.started).is_some_and(|left| self.method.is_fair(left))
    }

    /// An attempt is sent, with so much time left.
    pub(crate) fn sending(&mut self, lease: Lease, left: Duration) -> (Attempt, Span) {
        let endpoint = lease.address();
        self.attempts += 1;
        self.endpoint = Some(endpoint);
        let span = trace::attempt(&self.span, self.attempts, endpoint);
        (Attempt { lease, fair: self.method.is_fair(left) }, span)
    }

    /// The attempt was certainly not executed: it does not count.
    pub(crate) fn not_executed(&mut self, attempt: &Attempt) {
        self.attempts -= 1;
        self.tell(&attempt.lease, None);
    }

    /// The attempt got no answer in time. The load of its endpoint learns from the lease's
    /// drop how long it took at least.
    pub(crate) fn late(&mut self, mut attempt: Attempt) {
        // Its load learns on its own: how long it took at least.
        let answer = Answer::of(Code::DeadlineExceeded, attempt.fair);
        self.attempt_ended(&mut attempt, answer.code, &classify(&answer));
    }

    /// Another attempt was faster. That says nothing of the endpoint's health.
    pub(crate) fn cancelled(&self, attempt: &Attempt) {
        self.tell(&attempt.lease, Some(Code::Cancelled));
    }

    /// The caller's own request came to no end. That says nothing of anybody else.
    pub(crate) fn broke_off(&mut self, attempt: &Attempt, code: Code) {
        self.cancelled(attempt);
        self.end_as(code, Outcome::Neutral);
    }

    /// The service began to answer.
    pub(crate) fn answered(&mut self, rest: &Rest) {
        if let Rest::Body(attempt) = rest {
            self.endpoint = Some(attempt.lease.address());
        }
        if let Some(permit) = &mut self.permit {
            permit.answered(Instant::now());
        }
    }

    /// The attempt has ended with this status; `None` where that was known already.
    pub(crate) fn attempt_ended(
        &mut self,
        attempt: &mut Attempt,
        code: Code,
        verdict: &Verdict,
    ) -> Option<Judged> {
        let lease = &mut attempt.lease;
        self.endpoint = Some(lease.address());
        let judged = lease.judge(verdict.ejection);
        if judged.is_some() {
            self.tell(lease, Some(code));
            // The endpoint gets no further calls: were its failures to count, the calls
            // that must not be repeated would open the breaker for the healthy ones. No
            // outage hides here: at least half of the endpoints are never ejected by default,
            // and a call that gets an ejected one for want of a better one counts.
            // A peer that passes on that a breaker on its side is open is not what fails.
            self.excused = verdict.failure == Some(Failure::Rejected)
                || code != Code::Ok && lease.is_ejected();
        }
        judged
    }

    fn tell(&self, lease: &Lease, code: Option<Code>) {
        if let Some(metrics) = &self.pool.health.metrics {
            metrics.attempt(&AttemptEnded {
                service: &self.pool.service,
                method: self.uri.path(),
                endpoint: lease.address(),
                code,
                took: lease.started().elapsed(),
            });
        }
    }

    /// Keeps how an attempt failed, for people.
    pub(crate) fn note(&mut self, endpoint: SocketAddr, why: String) {
        self.failed.push(FailedAttempt { endpoint, why });
    }

    /// No other attempt is made.
    pub(crate) fn give_up(&mut self, why: GiveUp) {
        self.gave_up = Some(why);
    }

    /// The failure says nothing of the service.
    pub(crate) fn excuse(&mut self) {
        self.excused = true;
    }

    /// Another attempt is made after a wait.
    pub(crate) fn retrying(&mut self, after: Duration) {
        self.excused = false;
        if let Some(metrics) = &self.pool.health.metrics {
            metrics.retry(&self.pool.service, self.uri.path(), after);
        }
    }

    /// Another attempt is made beside those that have not ended.
    pub(crate) fn hedging(&mut self) {
        self.excused = false;
        if let Some(metrics) = &self.pool.health.metrics {
            metrics.hedge(&self.pool.service, self.uri.path());
        }
    }

    /// What an error says of the call now.
    pub(crate) fn about(&self) -> About<'_> {
        About {
            service: &self.pool.service,
            path: self.uri.path(),
            attempts: self.attempts,
            endpoint: self.endpoint,
            started: self.started,
            left: self.deadline.left(Instant::now()),
            breaker: Some(&self.pool.health.breaker),
            failed: &self.failed,
            gave_up: self.gave_up,
            repeatable: self.method.repeatable,
        }
    }

    /// Adds to a status that the service gave where it came from. Its own words stay as
    /// they are.
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
        put(CALLED, self.pool.service.to_string());
        put(ORIGIN, origin.as_str().to_owned());
        if self.failed.len() > 1 {
            put(FAILED_BEFORE, list(&self.failed));
        }
    }

    /// The call has ended with this status.
    pub(crate) fn end(&mut self, code: Code) {
        self.end_as(code, self.judge(code));
    }

    /// The call has failed with this error.
    pub(crate) fn fail(&mut self, error: &Error) {
        self.end_as(error.code(), self.judge(error.fault()));
    }

    fn judge(&self, code: Code) -> Outcome {
        match classify(&Answer::of(code, self.had_time())).breaker {
            Outcome::Failed if self.excused => Outcome::Neutral,
            outcome => outcome,
        }
    }

    /// The same where the status alone does not tell what to think of the service.
    pub(crate) fn end_as(&mut self, code: Code, outcome: Outcome) {
        if let Some(permit) = self.permit.take() {
            permit.record(outcome, Instant::now());
            if outcome == Outcome::Success {
                self.pool.health.budget.succeeded();
            }
        }
        self.finish(code);
    }

    fn finish(&mut self, code: Code) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        trace::ended(&self.span, code);
        if let Some(metrics) = &self.pool.health.metrics {
            metrics.call(&CallEnded {
                service: &self.pool.service,
                method: self.uri.path(),
                code,
                attempts: self.attempts,
                took: self.started.elapsed(),
            });
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        // The caller went away. The permit, dropped after this, tells the breaker.
        self.finish(Code::Cancelled);
    }
}

/// The failed attempts in one line.
pub(crate) fn list(failed: &[FailedAttempt]) -> String {
    let attempts =
        failed.iter().map(|FailedAttempt { endpoint, why }| format!("{endpoint}: {why}"));
    attempts.collect::<Vec<_>>().join("; ")
}

/// A status in a few words.
pub(crate) fn describe(code: Code, headers: &HeaderMap) -> String {
    // Its details are sanitized: tonic does not panic on them.
    let message = Status::from_header_map(headers).map(|status| status.message().to_owned());
    match message.as_deref() {
        Some("") | None => format!("{code:?}"),
        Some(message) => {
            let short: String = message.chars().take(MESSAGE_CHARS).collect();
            format!("{code:?}: {short}")
        }
    }
}
