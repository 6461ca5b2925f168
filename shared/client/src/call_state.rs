//! State of a logical call, and the one place that applies a verdict.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use gantry_resilience::{
    circuit_breaker::{Outcome, Permit, Rejected},
    deadline::Deadline,
    retry::GiveUp,
};
use http::Uri;
use tokio::time::Instant;
use tonic::Code;
use tracing::Span;

use crate::{
    error::{About, FailedAttempt},
    metrics::{AttemptEnded, CallEnded},
    observer::CallObserver,
    policy::Method,
    pool::{Lease, Shared},
    verdict::{Answer, Budget, Circumstances, Kind, Load, Retry, Verdict, classify},
};

/// One logical call. Dropping it before its end cancels it.
#[derive(Debug)]
pub(crate) struct CallState {
    pub(crate) pool: Arc<Shared>,
    pub(crate) uri: Uri,
    pub(crate) method: Arc<Method>,
    pub(crate) started: Instant,
    pub(crate) deadline: Deadline,
    /// True if the call bears a token of the calling service itself.
    signed: bool,
    /// True if the call may be executed again, and its request was kept to be sent again.
    pub(crate) resendable: bool,
    observer: CallObserver,
    /// Permit of the circuit breaker, until its outcome is recorded.
    permit: Option<Permit>,
    progress: Progress,
}

/// Progress of a call.
#[derive(Debug, Default)]
struct Progress {
    /// Attempts that were sent, or may have been.
    attempts: u32,
    /// Endpoint of the attempt that was sent or ended last.
    endpoint: Option<SocketAddr>,
    /// Failed attempts, in order.
    failed: Vec<FailedAttempt>,
    /// Verdict on the last answer, unless another attempt was begun since.
    verdict: Option<Verdict>,
    /// Reason for the end of the attempts.
    gave_up: Option<GiveUp>,
}

/// An attempt under way. Dropping it returns its stream.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) lease: Lease,
    /// True if it had at least half of the method's timeout.
    had_time: bool,
}

impl CallState {
    pub(crate) fn new(
        pool: Arc<Shared>,
        uri: Uri,
        method: Arc<Method>,
        started: Instant,
        deadline: Deadline,
        signed: bool,
    ) -> Self {
        let observer = CallObserver::new(&pool.service, uri.path(), pool.health.metrics.clone());
        let progress = Progress::default();
        Self {
            pool,
            uri,
            method,
            started,
            deadline,
            signed,
            resendable: false,
            observer,
            permit: None,
            progress,
        }
    }

    /// Returns the span of the call.
    pub(crate) fn span(&self) -> &Span {
        self.observer.span()
    }

    /// Requests admission by the circuit breaker. Returns true if the call is a probe.
    ///
    /// # Errors
    /// [`Rejected`]: nothing may be sent.
    pub(crate) fn admit(&mut self) -> Result<bool, Rejected> {
        let mut permit = self.pool.health.breaker.admit(Instant::now())?;
        if !self.method.streams && self.had_time() {
            permit.due(self.deadline);
        }
        Ok(self.permit.insert(permit).is_probe())
    }

    /// Returns true if the caller left at least half of the method's timeout.
    fn had_time(&self) -> bool {
        self.deadline.left(self.started).is_some_and(|left| self.method.is_fair(left))
    }

    /// Begins an attempt with this time left. Returns it with its span.
    pub(crate) fn begin(&mut self, lease: Lease, left: Duration) -> (Attempt, Span) {
        let endpoint = lease.address();
        self.progress.attempts += 1;
        self.progress.endpoint = Some(endpoint);
        let span = self.observer.attempt(self.progress.attempts, endpoint);
        (Attempt { lease, had_time: self.method.is_fair(left) }, span)
    }

    /// Ends an attempt and applies the meaning of its answer: to the load and the ejection of its
    /// endpoint, to the retry budget and, if it is the last answer, to the breaker.
    pub(crate) fn conclude(&mut self, mut attempt: Attempt, answer: &Answer) -> Retry {
        let (lease, now) = (&mut attempt.lease, Instant::now());
        let mut verdict = classify(
            answer,
            Circumstances {
                attempt_had_time: attempt.had_time,
                call_had_time: self.had_time(),
                // Read before this answer counts: the ejecting failure itself is not one of an
                // ejected endpoint.
                was_ejected: lease.is_ejected(now),
            },
        );
        match verdict.load {
            Load::Learn(outcome) => lease.learn(outcome),
            Load::AtLeast => {}
            Load::Nothing => lease.forget(),
        }
        lease.judge(verdict.ejection, now);
        if verdict.budget == Budget::Charge {
            self.pool.health.budget.failed();
        }
        // The endpoint gets no further calls. If its failures counted, the non-repeatable calls
        // would open the breaker for the healthy endpoints. This hides no outage: by default at
        // least half of the endpoints are never ejected, and a call to an ejected endpoint counts
        // if there was no better one.
        if verdict.breaker == Outcome::Failed && lease.is_ejected(now) {
            verdict.breaker = Outcome::Neutral;
        }
        let executed = !matches!(answer.kind, Kind::NotExecuted { .. });
        if executed {
            self.progress.endpoint = Some(lease.address());
            self.progress.verdict = Some(verdict);
        } else {
            self.progress.attempts -= 1;
        }
        self.ended(&attempt.lease, executed.then_some(answer.code));
        verdict.retry
    }

    /// Ends an attempt that lost against another one, which is no evidence of its endpoint's
    /// health.
    pub(crate) fn outrun(&self, attempt: Attempt) {
        self.ended(&attempt.lease, Some(Code::Cancelled));
    }

    fn ended(&self, lease: &Lease, code: Option<Code>) {
        self.observer.attempt_ended(|| AttemptEnded {
            service: &self.pool.service,
            method: self.uri.path(),
            endpoint: lease.address(),
            code,
            took: lease.started().elapsed(),
        });
    }

    /// Records the endpoint of the response headers, if they bring no status.
    pub(crate) fn answered(&mut self, attempt: &Attempt) {
        self.progress.endpoint = Some(attempt.lease.address());
    }

    /// Records the start of the response: later time does not make the call slow.
    pub(crate) fn responded(&mut self) {
        if let Some(permit) = &mut self.permit {
            permit.answered(Instant::now());
        }
    }

    /// Records the failure of an attempt, for error messages.
    pub(crate) fn note(&mut self, endpoint: SocketAddr, why: String) {
        self.progress.failed.push(FailedAttempt { endpoint, why });
    }

    /// Records the reason for making no further attempt, for error messages.
    pub(crate) fn give_up(&mut self, why: GiveUp) {
        self.progress.gave_up = Some(why);
    }

    /// Records that another attempt follows after a wait.
    pub(crate) fn retrying(&mut self, after: Duration) {
        self.progress.verdict = None;
        self.observer.retrying(&self.pool.service, self.uri.path(), after);
    }

    /// Records that another attempt starts beside the open ones.
    pub(crate) fn hedging(&mut self) {
        self.progress.verdict = None;
        self.observer.hedging(&self.pool.service, self.uri.path());
    }

    /// Discards the verdict: the call ends with a failure of its own.
    pub(crate) fn unanswered(&mut self) {
        self.progress.verdict = None;
    }

    /// Returns the facts of the call for an error.
    pub(crate) fn about(&self) -> About<'_> {
        let Progress { attempts, endpoint, failed, gave_up, .. } = &self.progress;
        About {
            service: &self.pool.service,
            path: self.uri.path(),
            attempts: *attempts,
            endpoint: *endpoint,
            started: self.started,
            left: self.deadline.left(Instant::now()),
            breaker: Some(&self.pool.health.breaker),
            failed,
            gave_up: *gave_up,
            repeatable: self.method.repeatable,
            signed: self.signed,
        }
    }

    /// Ends the call with this status. The breaker records the verdict on the last answer; without
    /// one, that on the status.
    pub(crate) fn end(&mut self, code: Code) {
        let verdict = self.progress.verdict.unwrap_or_else(|| {
            let call_had_time = self.had_time();
            let circumstances =
                Circumstances { attempt_had_time: false, call_had_time, was_ejected: false };
            classify(&Answer::status(code), circumstances)
        });
        if let Some(permit) = self.permit.take() {
            permit.record(verdict.breaker, Instant::now());
            if verdict.budget == Budget::Refund {
                self.pool.health.budget.succeeded();
            }
        }
        self.finish(code);
    }

    /// Ends a call before anything was sent, which is no evidence of the service's health.
    pub(crate) fn end_unsent(&mut self, code: Code) {
        if let Some(permit) = self.permit.take() {
            permit.record(Outcome::Neutral, Instant::now());
        }
        self.finish(code);
    }

    fn finish(&mut self, code: Code) {
        let Self { pool, uri, started, observer, progress, .. } = self;
        observer.call_ended(code, || CallEnded {
            service: &pool.service,
            method: uri.path(),
            code,
            attempts: progress.attempts,
            took: started.elapsed(),
        });
    }
}

impl Drop for CallState {
    fn drop(&mut self) {
        // The caller dropped the call. The permit, dropped after this, informs the breaker.
        self.finish(Code::Cancelled);
    }
}
