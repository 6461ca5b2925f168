//! What an attempt came to: for the call, for its endpoint, for the caller.

use gantry_resilience::{
    balance,
    retry::{Failed, Failure},
};
use http::Response;
use tonic::{Code, Status};

use crate::{
    attempt::{Attempt, Loss},
    error::{About, Error},
    head,
    incoming::Incoming,
    pool::{Judged, NotPlaced},
    record::{Record, describe},
    verdict::{Answer, classify},
};

/// How an attempt ended: what the caller gets if it is the last one.
pub(crate) enum Ended {
    Answered(Answered),
    NotGrpc(Code, String),
    /// OK and no message, where one is meant.
    NoMessage,
    Refused(String),
    Lost {
        code: Code,
        why: String,
        /// Whether it went down with its connection, as others did before it.
        with_others: bool,
    },
    NotPlaced(NotPlaced),
    /// With the request's own body.
    BrokeOff(Status),
    /// The patience is over.
    Late,
}

/// A response, which ends the attempts if it is the last.
pub(crate) struct Answered {
    pub(crate) response: Response<Incoming>,
    pub(crate) rest: Rest,
}

/// What comes after the head of a response.
pub(crate) enum Rest {
    /// The body, with the status at its end.
    Body(Attempt),
    /// Nothing: the head brought the status.
    Nothing(Code),
}

impl Ended {
    /// Hands it to the caller.
    ///
    /// # Errors
    /// It is no response.
    pub(crate) fn last(self, record: &Record) -> Result<Answered, Error> {
        Err(match self {
            Self::Answered(answered) => return Ok(answered),
            Self::NotGrpc(code, what) => record.about().not_grpc(code, &what),
            Self::Refused(why) => record.about().refused(&why),
            Self::NoMessage => record.about().not_one_message(head::NO_MESSAGE),
            Self::Lost { code, why, .. } => record.about().outcome_unknown(code, &why),
            Self::NotPlaced(not_placed) => explain(&record.about(), not_placed),
            Self::BrokeOff(status) => Error::foreign(status),
            Self::Late => record.about().unanswered(),
        })
    }
}

fn explain(about: &About<'_>, not_placed: NotPlaced) -> Error {
    match not_placed {
        NotPlaced::NoEndpoint(why) if about.left.is_some() => about.no_endpoint(&why),
        NotPlaced::NoEndpoint(why) | NotPlaced::Full(why) => about.deadline_exceeded(&why),
    }
}

/// Reads the head of a response: whether the attempt failed, and how it ended.
pub(crate) fn read(
    record: &mut Record,
    mut response: Response<Incoming>,
    mut attempt: Attempt,
) -> (Option<Failed>, Ended) {
    let (code, not_grpc) = match head::grpc_code(response.headers()) {
        Some(Code::Ok) if record.method.one_response => return no_message(record, attempt),
        Some(code) => {
            head::sanitize(response.headers_mut());
            (Some(code), None)
        }
        None => {
            let not_grpc = head::not_grpc(response.status(), response.headers());
            (not_grpc.as_ref().map(|(code, _)| *code), not_grpc)
        }
    };
    let Some(code) = code else {
        attempt.lease.headed(record.method.streams);
        return (None, Ended::Answered(Answered { response, rest: Rest::Body(attempt) }));
    };
    let answer = head::answer(code, response.headers(), attempt.fair);
    if head::is_our_deadline(code, record.deadline) {
        record.late(attempt);
        return (None, Ended::Late);
    }
    let verdict = classify(&answer);
    attempt.lease.learn(verdict.load);
    let judged = record.attempt_ended(&mut attempt, code, &verdict);
    let endpoint = attempt.lease.address();
    let answered = |response| Answered { response, rest: Rest::Nothing(code) };
    let Some(failure) = verdict.failure else {
        return (None, Ended::Answered(answered(response)));
    };
    let was_ejected = judged == Some(Judged::WasEjected);
    let failed = Failed { failure, pushback: answer.pushback, was_ejected };
    if let Some((code, what)) = not_grpc {
        record.note(endpoint, what.clone());
        return (Some(failed), Ended::NotGrpc(code, what));
    }
    record.note(endpoint, describe(code, response.headers()));
    (Some(failed), Ended::Answered(answered(response)))
}

/// The answer is OK without the message that is meant.
fn no_message(record: &mut Record, mut attempt: Attempt) -> (Option<Failed>, Ended) {
    let verdict = classify(&Answer::of(Code::Internal, attempt.fair));
    attempt.lease.learn(verdict.load);
    let judged = record.attempt_ended(&mut attempt, Code::Unimplemented, &verdict);
    record.note(attempt.lease.address(), head::NO_MESSAGE.to_owned());
    let was_ejected = judged == Some(Judged::WasEjected);
    (Some(Failed { failure: Failure::Final, pushback: None, was_ejected }), Ended::NoMessage)
}

/// The connection or the stream broke: whether the attempt failed by that, and how it ended.
pub(crate) fn lost(
    record: &mut Record,
    mut attempt: Attempt,
    loss: Loss,
) -> (Option<Failed>, Ended) {
    let Loss { why, code, connection, cancelled } = loss;
    // A peer that resets the stream at our deadline means the deadline.
    if cancelled && head::is_our_deadline(Code::Cancelled, record.deadline) {
        record.late(attempt);
        return (None, Ended::Late);
    }
    let with_others = connection && !attempt.lease.is_first_lost();
    let verdict = classify(&Answer::of(Code::Unavailable, attempt.fair));
    attempt.lease.learn(verdict.load);
    let judged = record.attempt_ended(&mut attempt, code, &verdict);
    record.note(attempt.lease.address(), format!("lost: {why}"));
    let was_ejected = judged == Some(Judged::WasEjected);
    // Another attempt may do better, except on a peer that has too much to do.
    let failure = match code {
        Code::ResourceExhausted => Failure::Exhausted,
        _ => Failure::Unavailable,
    };
    let failed = Failed { failure, pushback: None, was_ejected };
    (Some(failed), Ended::Lost { code, why, with_others })
}

/// The request's own body broke off.
pub(crate) fn broke_off(
    record: &mut Record,
    attempt: &Attempt,
    status: Status,
) -> (Option<Failed>, Ended) {
    record.broke_off(attempt, status.code());
    (None, Ended::BrokeOff(status))
}

/// The endpoint would not take the stream. It was not executed.
pub(crate) fn refused(
    record: &mut Record,
    mut attempt: Attempt,
    why: String,
) -> (Option<Failed>, Ended) {
    attempt.lease.learn(balance::Outcome::Failed);
    record.note(attempt.lease.address(), format!("refused: {why}"));
    (Some(Failure::Unavailable.into()), Ended::Refused(why))
}
