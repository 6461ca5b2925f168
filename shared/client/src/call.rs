//! One logical call: attempts, until one was executed or can be said to have failed.
//!
//! Made again at once, whatever the method and uncounted, are calls of which it is
//! certain that they were not executed:
//!
//! - *never sent*: the connection closed before the request was written. It goes on
//!   to the next live connection, and when there is none it waits for one, bounded;
//! - *refused*: the peer said REFUSED_STREAM, or GOAWAY with a last stream before ours.
//!   Once, and preferably elsewhere; a stream's body is gone by then, so it fails.
//!
//! What else fails on the way may have been executed, and a status says that it was.
//! Where the contract allows to execute it twice, it is made again as the method's policy,
//! the budget and the peer's pushback say; `OUTCOME_UNKNOWN` where it was lost and is
//! not. Response headers without a status commit: what comes after them is the caller's.

use std::sync::Arc;

use fastrand::Rng;
use gantry_resilience::{
    balance,
    deadline::Deadline,
    retry::{Attempts, Decision, Failed, Failure, GiveUp, Policy, Pushback},
};
use http::{HeaderMap, Response, Uri, request::Parts};
use hyper::body::Incoming;
use tokio::time::{Instant, sleep};
use tonic::Code;
use tracing::{Instrument, Span};

use crate::{
    attempt::{Unanswered, request, send},
    body::ResponseBody,
    error::{About, Error},
    head,
    patience::Patience,
    payload::Payload,
    policy::Method,
    pool::{Judged, Lease, NotPlaced, Placing, Shared},
    prepare::attempt_headers,
    record::{Record, describe},
};

/// A call that is decided on and not yet made.
pub(crate) struct Call {
    pub(crate) pool: Arc<Shared>,
    pub(crate) uri: Uri,
    pub(crate) parts: Parts,
    pub(crate) body: tonic::body::Body,
    pub(crate) method: Arc<Method>,
    pub(crate) started: Instant,
    pub(crate) deadline: Deadline,
    pub(crate) span: Span,
}

/// A response whose head ends the attempts.
struct Answered {
    response: Response<Incoming>,
    lease: Lease,
    /// The status, where the head brought it.
    code: Option<Code>,
}

/// How an attempt ended: what the caller gets if it is the last one.
enum Ended {
    Answered(Answered),
    NotGrpc(Code, String),
    Refused(String),
    Lost(String),
    Late,
}

impl Ended {
    fn last(self, record: &Record) -> Result<Answered, Error> {
        match self {
            Self::Answered(answered) => Ok(answered),
            Self::NotGrpc(code, what) => Err(record.about().not_grpc(code, &what)),
            Self::Refused(why) => Err(record.about().refused(&why)),
            Self::Lost(why) => Err(record.about().outcome_unknown(&why)),
            Self::Late => Err(record.about().unanswered()),
        }
    }
}

impl Call {
    /// Makes the call.
    pub(crate) async fn run(self) -> Result<Response<ResponseBody>, Error> {
        let Self { pool, uri, parts, body, method, started, deadline, span } = self;
        let mut record = Record::new(pool, uri, method, started, deadline, span);
        let probe = match record.admit() {
            Ok(probe) => probe,
            Err(rejected) => {
                let error = record.about().circuit_open(&rejected);
                record.end(error.code());
                return Err(error);
            }
        };
        let mut patience = Patience::new(started, deadline, record.method.silence());
        match attempts(&mut record, &parts.headers, body, &mut patience, probe).await {
            Ok(Answered { response, lease, code }) => {
                record.answered();
                let (mut head, body) = response.into_parts();
                if code.is_some_and(|code| code != Code::Ok) {
                    record.explain(&mut head.headers);
                }
                let body = ResponseBody::new(body, patience, lease, record, code);
                Ok(Response::from_parts(head, body))
            }
            Err(error) => {
                record.end(error.code());
                Err(error)
            }
        }
    }
}

/// Makes attempts until one of them is the last.
async fn attempts(
    record: &mut Record,
    headers: &HeaderMap,
    body: tonic::body::Body,
    patience: &mut Patience,
    probe: bool,
) -> Result<Answered, Error> {
    let (deadline, pool) = (record.deadline, Arc::clone(&record.pool));
    let mut payload = Payload::new(body, record, patience).await?;
    let kept = payload.is_replayable(pool.settings.retry.max_request_bytes);
    // A probe is one attempt.
    let policy = if probe { Policy::NEVER } else { record.method.retry };
    let repeatable = record.method.repeatable && kept;
    let mut attempts = Attempts::new(policy, repeatable, deadline);
    let out_of_turn = repeatable && policy.max_attempts() > 1;
    let mut placing =
        Placing { deadline, patience: None, repeatable: out_of_turn, tried: Vec::new(), probe };
    loop {
        let placed = pool.place(&mut placing).await;
        let mut lease = placed.map_err(|not_placed| explain(&record.about(), not_placed))?;
        let (Some(left), Some(body)) = (deadline.left(Instant::now()), payload.take()) else {
            lease.unused();
            return Err(record.about().deadline_exceeded("nothing was left of it"));
        };
        let endpoint = lease.address();
        let span = record.sending(endpoint, left);
        let headers = attempt_headers(headers, left, attempts.previous_header(), &span);
        let request = request(&record.uri, headers, body);
        let (failed, ended) = match send(&lease, request, patience).instrument(span).await {
            Ok(response) => {
                patience.sign();
                read(record, response, lease)
            }
            Err(Unanswered::NeverSent(body)) => {
                record.not_executed(&lease);
                lease.unused();
                payload.put_back(body);
                continue;
            }
            Err(Unanswered::Refused(why)) => {
                lease.learn(balance::Outcome::Failed);
                if !payload.is_gone() && attempts.refused() {
                    record.not_executed(&lease);
                    placing.tried.push(endpoint);
                    continue;
                }
                record.note(format!("refused: {why}"));
                (Some(Failure::Unavailable.into()), Ended::Refused(why))
            }
            Err(Unanswered::Lost(why)) => {
                lease.learn(balance::Outcome::Failed);
                let judged = record.attempt_ended(&mut lease, Code::Unavailable);
                let was_ejected = judged == Some(Judged::WasEjected);
                record.note(format!("lost: {why}"));
                let failure = Failure::Unavailable;
                (Some(Failed { failure, pushback: None, was_ejected }), Ended::Lost(why))
            }
            Err(Unanswered::Late) => {
                // The load learns from the lease's drop how long it took at least.
                record.attempt_ended(&mut lease, Code::DeadlineExceeded);
                (None, Ended::Late)
            }
        };
        let Some(failed) = failed else { return ended.last(record) };
        let budget = &pool.health.budget;
        match attempts.failed(Instant::now(), failed, budget, &mut Rng::new()) {
            Decision::GiveUp(why) => {
                if why == GiveUp::NotRepeatable
                    && matches!(ended, Ended::Lost(_))
                    && pool.has_other(endpoint)
                {
                    // All calls on a connection are lost at once: one endpoint died.
                    record.excuse();
                }
                record.give_up(why);
                return ended.last(record);
            }
            Decision::Retry { after } => {
                // Its stream is free while the call waits.
                drop(ended);
                record.retrying(after);
                placing.tried.push(endpoint);
                sleep(after).await;
            }
        }
    }
}

/// Reads the head of a response: whether the attempt failed, and how it ended.
fn read(
    record: &mut Record,
    mut response: Response<Incoming>,
    mut lease: Lease,
) -> (Option<Failed>, Ended) {
    let (code, not_grpc) = match head::grpc_code(response.headers()) {
        Some(code) => {
            head::sanitize(response.headers_mut());
            (Some(code), None)
        }
        None => {
            let not_grpc = head::not_grpc(response.status(), response.headers());
            (not_grpc.as_ref().map(|(code, _)| *code), not_grpc)
        }
    };
    let pushback = code.and_then(|_| Pushback::of_grpc(response.headers()));
    lease.learn(match (code.map_or(balance::Outcome::Answered, head::outcome), pushback) {
        (balance::Outcome::Failed, Some(Pushback::After(time))) => {
            balance::Outcome::FailedFor(time)
        }
        (outcome, _) => outcome,
    });
    let Some(code) = code.filter(|code| *code != Code::Ok) else {
        return (None, Ended::Answered(Answered { response, lease, code }));
    };
    if head::is_our_deadline(code, record.deadline) {
        record.attempt_ended(&mut lease, Code::DeadlineExceeded);
        return (None, Ended::Late);
    }
    let failed = Failed {
        failure: Failure::of_grpc(code as i32),
        pushback,
        was_ejected: record.attempt_ended(&mut lease, code) == Some(Judged::WasEjected),
    };
    if let Some((code, what)) = not_grpc {
        record.note(what.clone());
        return (Some(failed), Ended::NotGrpc(code, what));
    }
    record.note(describe(code, response.headers()));
    (Some(failed), Ended::Answered(Answered { response, lease, code: Some(code) }))
}

fn explain(about: &About<'_>, not_placed: NotPlaced) -> Error {
    match not_placed {
        NotPlaced::NoEndpoint(why) if about.left.is_some() => about.no_endpoint(&why),
        NotPlaced::NoEndpoint(why) | NotPlaced::Full(why) => about.deadline_exceeded(&why),
    }
}
