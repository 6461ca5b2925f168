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
//! the budget and the peer's pushback say: after it failed (`retrying`) or before
//! (`hedging`); `OUTCOME_UNKNOWN` where it was lost and is not. Response headers without a status commit: what comes after them is the caller's.

use std::sync::Arc;

use gantry_resilience::{circuit_breaker::Outcome, deadline::Deadline, retry::Policy};
use http::{HeaderMap, Response, Uri, request::Parts};
use tokio::time::Instant;
use tonic::Code;
use tracing::Span;

use crate::{
    body::ResponseBody,
    ended::{Answered, Rest},
    error::Error,
    hedging,
    messages::Messages,
    patience::Patience,
    payload::Payload,
    policy::{Method, Repeats},
    pool::Shared,
    prepare::{ENCODING, Encoding},
    record::Record,
    retrying,
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
    pub(crate) encoding: Encoding,
    /// Whether it bears a token of the calling service itself.
    pub(crate) signed: bool,
}

impl Call {
    /// Makes the call.
    pub(crate) async fn run(self) -> Result<Response<ResponseBody>, Error> {
        let Self { pool, uri, parts, body, method, started, deadline, span, encoding, signed } =
            self;
        let mut record = Record::new(pool, uri, method, started, deadline, span, signed);
        let probe = match record.admit() {
            Ok(probe) => probe,
            Err(rejected) => {
                let error = record.about().circuit_open(&rejected);
                record.end(error.code());
                return Err(error);
            }
        };
        let mut patience = Patience::new(started, deadline, record.method.silence());
        match attempts(&mut record, &parts.headers, body, encoding, &mut patience, probe).await {
            Ok(Answered { response, rest }) => {
                record.answered(&rest);
                let (mut head, body) = response.into_parts();
                if matches!(rest, Rest::Nothing(code) if code != Code::Ok) {
                    record.explain(&mut head.headers);
                }
                let limit = record.pool.settings.max_response_bytes;
                let single = record.method.one_response;
                let messages = if encoding.inflate {
                    let encoding = head.headers.remove(ENCODING);
                    Messages::inflating(encoding, limit, single)
                } else {
                    Messages::new(&head.headers, limit, single)
                };
                let body = ResponseBody::new(body, patience, messages, record, rest);
                Ok(Response::from_parts(head, body))
            }
            Err(error) => {
                record.fail(&error);
                Err(error)
            }
        }
    }
}

/// Makes the attempts that the method's policy and the breaker allow.
async fn attempts(
    record: &mut Record,
    headers: &HeaderMap,
    body: tonic::body::Body,
    encoding: Encoding,
    patience: &mut Patience,
    probe: bool,
) -> Result<Answered, Error> {
    let payload = match Payload::new(body, encoding, record, patience).await {
        Ok(payload) => payload,
        Err(error) => {
            // Nothing was sent, which says nothing of the service.
            record.end_as(error.code(), Outcome::Neutral);
            return Err(error);
        }
    };
    let once = probe || !record.method.repeats.are_many();
    let kept = once || payload.is_replayable(record.pool.settings.retry.max_request_bytes);
    let repeatable = record.method.repeatable && kept;
    match (record.method.repeats, payload) {
        // A probe is one attempt.
        (Repeats::Hedging(policy), Payload::Whole(message)) if repeatable && !probe => {
            // Boxed, so that the calls that are not hedged stay small.
            Box::pin(hedging::run(record, headers, message, patience, policy)).await
        }
        (repeats, payload) => {
            let policy = match repeats {
                Repeats::Retry(policy) if !probe => policy,
                Repeats::Retry(_) | Repeats::Hedging(_) => Policy::NEVER,
            };
            retrying::run(record, headers, payload, patience, policy, repeatable, probe).await
        }
    }
}
