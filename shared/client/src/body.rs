//! The body of a response: it ends the call, in its trailers as a rule.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use gantry_contract::gzip::InflateError;
use gantry_resilience::{balance, circuit_breaker::Outcome, retry::Failure};
use h2::Reason;
use http::HeaderMap;
use http_body::{Body, Frame};
use tonic::{Code, Status};

use crate::{
    attempt::{Attempt, lost_code},
    ended::Rest,
    error::{About, Error, chain},
    head,
    incoming::Incoming,
    messages::{Malformed, Messages},
    patience::Patience,
    pool::Judged,
    record::Record,
    verdict::{Answer, classify},
};

/// A response's body. It holds its stream on the connection until its trailers have
/// arrived, it has failed, or it is dropped; a body that is dropped before cancels the call.
pub struct ResponseBody {
    inner: Incoming,
    patience: Patience,
    messages: Messages,
    /// Taken when the call has ended.
    open: Option<Open>,
}

/// What a call holds until it has ended. Dropped before, its reader went away.
struct Open {
    record: Record,
    attempt: Attempt,
}

impl Open {
    /// The server ended the call with this status, told in these trailers.
    fn end(mut self, code: Code, trailers: &HeaderMap) {
        let verdict = classify(&head::answer(code, trailers, self.attempt.fair));
        self.attempt.lease.learn(verdict.load);
        let judged = self.record.attempt_ended(&mut self.attempt, code, &verdict);
        if verdict.failure == Some(Failure::Unavailable) && judged == Some(Judged::Counted) {
            // Too late to be made again, but the budget learns of it.
            self.record.pool.health.budget.failed();
        }
        self.record.end(code);
    }

    /// The call failed on its way.
    fn fail(mut self, error: &Error) {
        let code = error.code();
        if code == Code::DeadlineExceeded && self.record.method.streams {
            // Silence, or its age: a stream that has begun may well end so.
            self.record.end_as(code, Outcome::Neutral);
        } else {
            let verdict = classify(&Answer::of(error.fault(), self.attempt.fair));
            if error.fault() != Code::DeadlineExceeded {
                // Else the load learns from the lease's drop how long it took at least.
                self.attempt.lease.learn(verdict.load);
            }
            self.record.attempt_ended(&mut self.attempt, code, &verdict);
            self.record.fail(error);
        }
    }
}

impl ResponseBody {
    pub(crate) fn new(
        inner: Incoming,
        patience: Patience,
        messages: Messages,
        mut record: Record,
        rest: Rest,
    ) -> Self {
        let open = match rest {
            Rest::Body(attempt) => Some(Open { record, attempt }),
            Rest::Nothing(code) => {
                record.end(code);
                None
            }
        };
        Self { inner, patience, messages, open }
    }

    fn end(&mut self, code: Code, trailers: &HeaderMap) {
        if let Some(open) = self.open.take() {
            open.end(code, trailers);
        }
    }

    fn fail(
        &mut self,
        error: impl FnOnce(&About<'_>) -> Error,
    ) -> Option<Result<Frame<Bytes>, Error>> {
        let open = self.open.take()?;
        let error = error(&open.record.about());
        open.fail(&error);
        Some(Err(error))
    }

    /// The caller's request could not be sent to its end.
    fn broke_off(&mut self, status: Status) -> Option<Result<Frame<Bytes>, Error>> {
        let Open { mut record, attempt } = self.open.take()?;
        record.broke_off(&attempt, status.code());
        Some(Err(Error::foreign(status)))
    }

    fn pass(&mut self, frame: Frame<Bytes>) -> Option<Result<Frame<Bytes>, Error>> {
        let Ok(data) = frame.into_data() else { return None };
        match self.messages.pass(&data) {
            // What has come of an answer is not thrown away. What never ends has an end here.
            Ok(()) if self.streams() && self.patience.is_late() => {
                self.fail(|about| about.unanswered())
            }
            Ok(()) => match self.messages.read(data) {
                Ok(data) => Some(Ok(Frame::data(data))),
                Err(InflateError::TooLong(limit)) => {
                    self.fail(|about| about.too_long(format_args!("more than {limit}")))
                }
                Err(InflateError::Malformed) => {
                    let what = "a message that is compressed, but not as one whole gzip stream";
                    self.fail(|about| about.malformed_answer(what))
                }
            },
            Err(Malformed::Flag(flag)) => {
                let what = format!(
                    "a message that begins with {flag}, compressed by nothing that is known"
                );
                self.fail(|about| about.malformed_answer(&what))
            }
            Err(Malformed::TooLong(length)) => self.fail(|about| about.too_long(length)),
            Err(Malformed::TooMany) => self.fail(|about| about.not_one_message("a second message")),
        }
    }

    fn streams(&self) -> bool {
        self.open.as_ref().is_none_or(|open| open.record.method.streams)
    }

    fn poll_inner(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let frame = match Pin::new(&mut self.inner).poll_frame(cx) {
            Poll::Pending => {
                std::task::ready!(self.patience.poll_over(cx));
                return Poll::Ready(self.fail(|about| about.unanswered()));
            }
            Poll::Ready(None) => return Poll::Ready(self.fail(|about| about.no_status())),
            Poll::Ready(Some(Ok(frame))) => frame,
            Poll::Ready(Some(Err(error))) => {
                if let Some(status) = self.inner.broken_request() {
                    return Poll::Ready(self.broke_off(status));
                }
                // A peer that resets the stream at our deadline means the deadline.
                let late = self.patience.poll_over(cx).is_ready()
                    || error.reason() == Some(Reason::CANCEL)
                        && head::is_our_deadline(Code::Cancelled, self.patience.deadline());
                return Poll::Ready(self.fail(|about| {
                    if late {
                        about.unanswered()
                    } else {
                        about.outcome_unknown(lost_code(&error), &chain(&error))
                    }
                }));
            }
        };
        self.patience.sign();
        let mut trailers = match frame.into_trailers() {
            Err(data) => {
                if let Some(open) = self.open.as_mut().filter(|open| open.record.method.streams) {
                    // A message of a stream is an answer, however the stream ends.
                    open.attempt.lease.learn(balance::Outcome::Answered);
                }
                return Poll::Ready(self.pass(data));
            }
            Ok(trailers) => trailers,
        };
        head::sanitize(&mut trailers);
        let Some(code) = head::grpc_code(&trailers) else {
            return Poll::Ready(self.fail(|about| about.no_status()));
        };
        if head::is_our_deadline(code, self.patience.deadline()) {
            return Poll::Ready(self.fail(|about| about.unanswered()));
        }
        if code == Code::Ok {
            if !self.messages.are_whole() {
                let what = "OK in the middle of a message";
                return Poll::Ready(self.fail(|about| about.malformed_answer(what)));
            }
            if self.messages.are_missing() {
                return Poll::Ready(self.fail(|about| about.not_one_message(head::NO_MESSAGE)));
            }
        } else if let Some(open) = &self.open {
            open.record.explain(&mut trailers);
        }
        self.end(code, &trailers);
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = self.get_mut();
        if this.open.is_none() {
            return Poll::Ready(None);
        }
        this.poll_inner(cx)
    }

    fn is_end_stream(&self) -> bool {
        // Not where the peer has said all: what it says without a status is an error yet.
        self.open.is_none()
    }
}

impl fmt::Debug for ResponseBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBody").field("ended", &self.open.is_none()).finish_non_exhaustive()
    }
}
