//! One logical call: attempts, until one was executed or can be said to have failed.
//!
//! A call that was certainly not executed is sent again at once, whatever the method and uncounted:
//!
//! - *never sent*: the connection closed before the request was written. The call goes on to the next
//!   live connection, or waits for one, bounded;
//! - *refused*: the peer said REFUSED_STREAM, or GOAWAY with a last stream before ours. Once, and
//!   preferably elsewhere. The body of a stream is gone by then, so the call fails.
//!
//! Anything else that fails on the way may have been executed, and a status says that it was. If the
//! contract allows to execute it twice, it is sent again as the method's policy, the budget and the
//! peer's pushback say: after it failed (`retrying`) or before (`hedging`). A lost call that is not
//! sent again is `OUTCOME_UNKNOWN`. Response headers without a status commit: what follows them is the
//! caller's.

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

/// A call that was prepared and not yet made.
pub(crate) struct Call {
    pub(crate) state: CallState,
    pub(crate) headers: HeaderMap,
    pub(crate) body: tonic::body::Body,
    pub(crate) encoding: Encoding,
}

impl Call {
    /// Makes the call.
    pub(crate) async fn run(self) -> Result<Response<ResponseBody>, Error> {
        let Self { mut state, headers, body, encoding } = self;
        let mut timer = CallTimer::new(state.started, state.deadline, state.method.silence());
        let Answered { response, rest } =
            match attempts(&mut state, &headers, body, encoding, &mut timer).await {
                Ok(answered) => answered,
                Err(error) => {
                    state.end(error.code());
                    // A call that an open circuit breaker rejects waits for nothing. Callers that
                    // repeat it at once must not keep the runtime from everything else.
                    consume_budget().await;
                    return Err(error);
                }
            };
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
        let body = ResponseBody::new(body, timer, messages, state, rest);
        Ok(Response::from_parts(head, body))
    }
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
