//! One attempt: its request on a leased stream, and its outcome. Retrying and hedging share it, and
//! add their schedules.

use std::future::Future;

use gantry_resilience::circuit_breaker::Rejected;
use http::{HeaderMap, HeaderValue, Response};
use tokio::time::Instant;
use tonic::{Code, Status};
use tracing::Instrument;

use crate::{
    call_state::{Attempt, CallState},
    error::{About, Error},
    exchange::{Exchanged, Incoming, Loss, Unanswered, exchange, request},
    payload::RequestBody,
    pool::{Lease, PickError},
    prepare::attempt_headers,
    response_head as head,
    verdict::{Answer, Kind, Retry, is_our_deadline},
};

/// Result of an attempt: what the caller gets if it is the last one.
pub(crate) enum AttemptOutcome {
    Answered(Answered),
    NotGrpc(Code, String),
    /// OK without the required message.
    NoMessage,
    Refused(String),
    Lost {
        code: Code,
        why: String,
    },
    NotPlaced(PickError),
    /// The circuit breaker did not admit the call.
    Rejected(Rejected),
    /// The request's own body broke off.
    BrokenRequest(Status),
    /// The time was over before it could be sent.
    Unsent,
    /// The time was over before it was answered.
    Late,
}

/// A response, which ends the attempts if it is the last.
pub(crate) struct Answered {
    pub(crate) response: Response<Incoming>,
    pub(crate) rest: Rest,
}

/// Rest of a response after its head.
pub(crate) enum Rest {
    /// The body, with the status at its end.
    Body(Attempt),
    /// Nothing: the head brought the status.
    Nothing(Code),
}

impl AttemptOutcome {
    /// Returns the result of the call, whose last attempt this is.
    ///
    /// # Errors
    /// The outcome is not a response.
    pub(crate) fn last(self, call: &CallState) -> Result<Answered, Error> {
        let about = call.about();
        Err(match self {
            Self::Answered(answered) => return Ok(answered),
            Self::NotGrpc(code, what) => about.not_grpc(code, &what),
            Self::Refused(why) => about.refused(&why),
            Self::NoMessage => about.not_one_message(head::NO_MESSAGE),
            Self::Lost { code, why } => about.outcome_unknown(code, &why),
            Self::NotPlaced(error) => not_placed(&about, error),
            Self::Rejected(rejected) => about.circuit_open(&rejected),
            Self::BrokenRequest(status) => Error::foreign(status),
            Self::Unsent => about.deadline_exceeded("nothing was left of it"),
            Self::Late => about.unanswered(),
        })
    }
}

fn not_placed(about: &About<'_>, error: PickError) -> Error {
    match error {
        PickError::NoEndpoint(why) if about.left.is_some() => about.no_endpoint(&why),
        PickError::NoEndpoint(why) | PickError::Full(why) => about.deadline_exceeded(&why),
    }
}

/// Sends an attempt. Returns it with the exchange to await; `None` if no time is left. `previous`
/// is the number of attempts before it.
pub(crate) fn send(
    call: &mut CallState,
    headers: &HeaderMap,
    previous: u32,
    lease: Lease,
    body: RequestBody,
) -> Option<(Attempt, impl Future<Output = Exchanged> + Send + use<>)> {
    let Some(left) = call.deadline.left(Instant::now()) else {
        lease.discard();
        return None;
    };
    let (attempt, span) = call.begin(lease, left);
    let previous = (previous > 0).then(|| HeaderValue::from(previous));
    let headers = attempt_headers(headers, left, previous, &span);
    let request = request(&call.uri, headers);
    let exchanged = exchange(attempt.lease.sender(), request, body).instrument(span);
    Some((attempt, exchanged))
}

/// Unexecuted attempt. It does not count and is repeated at once.
pub(crate) enum Again {
    /// Nothing was sent: the body is complete.
    NeverSent(RequestBody),
    /// The endpoint did not take the stream.
    Refused,
}

/// Ends an attempt with the result of its exchange. Returns its outcome, which is the caller's
/// unless another attempt follows. `again`: true if an attempt that the endpoint refused is
/// repeated at once, which happens once in a call while its body can be sent again.
///
/// # Errors
/// [`Again`]: the attempt was not executed.
pub(crate) fn finish(
    call: &mut CallState,
    attempt: Attempt,
    exchanged: Exchanged,
    again: impl FnOnce() -> bool,
) -> Result<(AttemptOutcome, Retry), Again> {
    let endpoint = attempt.lease.address();
    let not_executed =
        |refused| Answer { code: Code::Unavailable, kind: Kind::NotExecuted { refused } };
    Ok(match exchanged {
        Ok(response) => read(call, attempt, response),
        Err(Unanswered::NeverSent(body)) => {
            call.conclude(attempt, &not_executed(false));
            return Err(Again::NeverSent(body));
        }
        Err(Unanswered::Refused(why)) => {
            if again() {
                call.conclude(attempt, &not_executed(true));
                return Err(Again::Refused);
            }
            call.note(endpoint, format!("refused: {why}"));
            let answer = Answer { code: Code::Unavailable, kind: Kind::Refused };
            (AttemptOutcome::Refused(why), call.conclude(attempt, &answer))
        }
        Err(Unanswered::BrokeOff(status)) => {
            let answer = Answer { code: Code::Cancelled, kind: Kind::BrokenRequest };
            (AttemptOutcome::BrokenRequest(status), call.conclude(attempt, &answer))
        }
        Err(Unanswered::Lost(loss)) => lost(call, attempt, loss),
    })
}

/// Ends an attempt without a response in time.
pub(crate) fn late(call: &mut CallState, attempt: Attempt) -> (AttemptOutcome, Retry) {
    (AttemptOutcome::Late, call.conclude(attempt, &Answer::LATE))
}

/// Reads the head of a response.
fn read(
    call: &mut CallState,
    mut attempt: Attempt,
    mut response: Response<Incoming>,
) -> (AttemptOutcome, Retry) {
    let endpoint = attempt.lease.address();
    let (code, not_grpc) = match head::grpc_code(response.headers()) {
        Some(Code::Ok) if call.method.one_response => {
            call.note(endpoint, head::NO_MESSAGE.to_owned());
            let answer = Answer { code: Code::Unimplemented, kind: Kind::Malformed };
            return (AttemptOutcome::NoMessage, call.conclude(attempt, &answer));
        }
        Some(code) => {
            head::sanitize(response.headers_mut());
            (code, None)
        }
        None => match head::not_grpc(response.status(), response.headers()) {
            Some((code, what)) => (code, Some(what)),
            None => {
                attempt.lease.headed(call.method.streams);
                let rest = Rest::Body(attempt);
                return (AttemptOutcome::Answered(Answered { response, rest }), Retry::Never);
            }
        },
    };
    if is_our_deadline(code, call.deadline) {
        return late(call, attempt);
    }
    let answer = head::answer(code, response.headers());
    let retry = call.conclude(attempt, &answer);
    if let Some(what) = not_grpc {
        call.note(endpoint, what.clone());
        return (AttemptOutcome::NotGrpc(code, what), retry);
    }
    if code != Code::Ok {
        call.note(endpoint, head::describe(code, response.headers()));
    }
    (AttemptOutcome::Answered(Answered { response, rest: Rest::Nothing(code) }), retry)
}

/// Ends an attempt with a broken connection or stream.
fn lost(call: &mut CallState, attempt: Attempt, loss: Loss) -> (AttemptOutcome, Retry) {
    let Loss { why, code, connection } = loss;
    // A reset at our deadline means the deadline.
    if is_our_deadline(code, call.deadline) {
        return late(call, attempt);
    }
    let endpoint = attempt.lease.address();
    // One endpoint died: that is one failure, regardless of the number of lost calls.
    let excused = connection
        && !attempt.lease.is_first_lost()
        && !call.resendable
        && call.pool.has_untried(&[endpoint]);
    call.note(endpoint, format!("lost: {why}"));
    let answer = Answer { code, kind: Kind::Lost { committed: false, excused } };
    (AttemptOutcome::Lost { code, why }, call.conclude(attempt, &answer))
}
