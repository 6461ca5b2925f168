//! One logical call: attempts until one is executed or the call has failed.
//!
//! A call that was certainly not executed is repeated at once, for every method and uncounted:
//!
//! - *Never sent*: the connection closed before the request was written. The call goes to the next
//!   live connection, or waits for one, bounded.
//! - *Refused*: the peer sent REFUSED_STREAM, or GOAWAY with an earlier last stream. Repeated once,
//!   on another endpoint if possible. A streamed body is gone by then, so such a call fails.
//!
//! After any other failure the call may have been executed. If the contract allows a second
//! execution, the call is repeated within the method's policy, the budget and the peer's pushback:
//! after a failure (`retrying`) or before (`hedging`). A lost call that is not repeated is
//! `OUTCOME_UNKNOWN`. Response headers without a status commit: all that follows goes to the
//! caller.

use std::future::Future;

use gantry_resilience::retry::Policy;
use http::{HeaderMap, Response};
use tokio::task::coop::consume_budget;
use tonic::Code;

use crate::{
    attempt::{Answered, AttemptOutcome, Rest},
    body::ResponseBody,
    call_state::CallState,
    call_timer::CallTimer,
    error::Error,
    hedging,
    messages::Messages,
    payload::Payload,
    policy::Repeats,
    prepare::{ENCODING, Encoding},
    retrying,
};

/// Prepared call.
pub(crate) struct Call {
    /// Boxed: it moves from here to the body of the response.
    pub(crate) state: Box<CallState>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: tonic::body::Body,
    pub(crate) encoding: Encoding,
}

impl Call {
    /// Makes the call.
    ///
    /// Not an async function: its future would hold the parts of the call twice.
    pub(crate) fn run(
        self,
    ) -> impl Future<Output = Result<Response<ResponseBody>, Error>> + Send + use<> {
        let Self { mut state, headers, body, encoding } = self;
        async move {
            let mut timer = CallTimer::new(state.started, state.deadline, state.method.silence());
            match attempts(&mut state, &headers, body, encoding, &mut timer).await {
                Ok(answered) => Ok(respond(state, answered, timer, encoding)),
                Err(error) => {
                    state.end(error.code());
                    // A call that an open circuit breaker rejects waits for nothing. Without this,
                    // a caller that repeats it at once would starve all other tasks.
                    consume_budget().await;
                    Err(error)
                }
            }
        }
    }
}

/// Returns the response to the caller. Its body ends the call.
fn respond(
    mut state: Box<CallState>,
    answered: Answered,
    timer: CallTimer,
    encoding: Encoding,
) -> Response<ResponseBody> {
    let Answered { response, rest } = answered;
    state.responded();
    let (mut head, body) = response.into_parts();
    match &rest {
        Rest::Body(attempt) => state.answered(attempt),
        Rest::Nothing(Code::Ok) => {}
        Rest::Nothing(_) => state.about().explain(&mut head.headers),
    }
    let limit = state.pool.settings.max_response_bytes;
    let single = state.method.one_response;
    let messages = if encoding.inflate {
        let encoding = head.headers.remove(ENCODING);
        Messages::inflating(encoding, limit, single)
    } else {
        Messages::new(&head.headers, limit, single)
    };
    Response::from_parts(head, ResponseBody::new(body, timer, messages, state, rest))
}

/// Makes the attempts that the circuit breaker and the method's policy allow.
async fn attempts(
    call: &mut CallState,
    headers: &HeaderMap,
    body: tonic::body::Body,
    encoding: Encoding,
    timer: &mut CallTimer,
) -> Result<Answered, Error> {
    let probe = match call.admit() {
        Ok(probe) => probe,
        Err(rejected) => return AttemptOutcome::Rejected(rejected).last(call),
    };
    let payload = match Payload::new(body, encoding, call, timer).await {
        Ok(payload) => payload,
        Err(error) => {
            call.end_unsent(error.code());
            return Err(error);
        }
    };
    let once = probe || !call.method.repeats.are_many();
    let kept = once || payload.is_replayable(call.pool.settings.retry.max_request_bytes);
    call.resendable = call.method.repeatable && kept;
    match (call.method.repeats, payload) {
        // A probe is one attempt.
        (Repeats::Hedging(policy), Payload::Whole(message)) if call.resendable && !probe => {
            // Boxed, so that the calls that are not hedged stay small.
            Box::pin(hedging::run(call, headers, message, timer, policy)).await
        }
        (repeats, payload) => {
            let policy = match repeats {
                Repeats::Retry(policy) if !probe => policy,
                Repeats::Retry(_) | Repeats::Hedging(_) => Policy::NEVER,
            };
            retrying::run(call, headers, payload, timer, policy, probe).await
        }
    }
}
