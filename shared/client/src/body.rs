//! Body of a response. It ends the call, usually with its trailers.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use gantry_contract::gzip::InflateError;
use gantry_resilience::balance;
use h2::Reason;
use http::HeaderMap;
use http_body::{Body, Frame};
use tonic::{Code, Status};

use crate::{
    attempt::Rest,
    call_state::{Attempt, CallState},
    call_timer::CallTimer,
    error::{About, Error, chain},
    exchange::{Incoming, lost_code},
    messages::{Malformed, Messages},
    response_head as head,
    verdict::{Answer, Kind, is_our_deadline},
};

/// Body of a response. It holds its stream until the trailers have arrived, it has failed, or it is
/// dropped. Dropping it earlier cancels the call.
pub struct ResponseBody {
    inner: Incoming,
    timer: CallTimer,
    messages: Messages,
    /// Taken when the call has ended.
    open: Option<Open>,
}

/// State of an open call. Dropping it cancels the call.
struct Open {
    call: Box<CallState>,
    attempt: Attempt,
}

impl Open {
    /// Ends the call with an answer, and with this status for the caller.
    fn end(self, answer: &Answer, code: Code) {
        let Self { mut call, attempt } = self;
        call.conclude(attempt, answer);
        call.end(code);
    }
}

impl ResponseBody {
    pub(crate) fn new(
        inner: Incoming,
        timer: CallTimer,
        messages: Messages,
        mut call: Box<CallState>,
        rest: Rest,
    ) -> Self {
        let open = match rest {
            Rest::Body(attempt) => Some(Open { call, attempt }),
            Rest::Nothing(code) => {
                call.end(code);
                None
            }
        };
        Self { inner, timer, messages, open }
    }

    /// Fails the call with this kind of answer and this error.
    fn fail(
        &mut self,
        kind: Kind,
        error: impl FnOnce(&About<'_>) -> Error,
    ) -> Option<Result<Frame<Bytes>, Error>> {
        let open = self.open.take()?;
        let error = error(&open.call.about());
        open.end(&Answer { code: error.code(), kind }, error.code());
        Some(Err(error))
    }

    fn malformed(
        &mut self,
        error: impl FnOnce(&About<'_>) -> Error,
    ) -> Option<Result<Frame<Bytes>, Error>> {
        self.fail(Kind::Malformed, error)
    }

    /// Ends the call at the deadline or the idle timeout. For a stream that is no failure.
    fn late(&mut self) -> Option<Result<Frame<Bytes>, Error>> {
        let kind = if self.streams() { Kind::StreamOver } else { Kind::Late };
        self.fail(kind, |about| about.unanswered())
    }

    /// Ends the call with the failure of the request's own body.
    fn broke_off(&mut self, status: Status) -> Option<Result<Frame<Bytes>, Error>> {
        let answer = Answer { code: Code::Cancelled, kind: Kind::BrokenRequest };
        self.open.take()?.end(&answer, status.code());
        Some(Err(Error::foreign(status)))
    }

    fn pass(&mut self, frame: Frame<Bytes>) -> Option<Result<Frame<Bytes>, Error>> {
        let Ok(data) = frame.into_data() else { return None };
        match self.messages.pass(&data) {
            // A late response counts: it has arrived already. An endless stream ends here.
            Ok(()) if self.streams() && self.timer.is_late() => self.late(),
            Ok(()) => match self.messages.read(data) {
                Ok(data) => Some(Ok(Frame::data(data))),
                Err(InflateError::TooLong(limit)) => {
                    self.too_long(&format_args!("more than {limit}"))
                }
                Err(InflateError::Malformed) => {
                    let what = "a message that is compressed, but not as one whole gzip stream";
                    self.malformed(|about| about.malformed_answer(what))
                }
            },
            Err(Malformed::Flag(flag)) => {
                let what = format!(
                    "a message that begins with {flag}, compressed by nothing that is known"
                );
                self.malformed(|about| about.malformed_answer(&what))
            }
            Err(Malformed::TooLong(length)) => self.too_long(&length),
            Err(Malformed::TooMany) => {
                self.malformed(|about| about.not_one_message("a second message"))
            }
        }
    }

    /// Fails the call with a message above the caller's limit, which is no evidence of the
    /// service's health.
    fn too_long(&mut self, length: &dyn fmt::Display) -> Option<Result<Frame<Bytes>, Error>> {
        let answer = Answer::status(Code::ResourceExhausted);
        self.fail(answer.kind, |about| about.too_long(length))
    }

    fn no_status(&mut self) -> Option<Result<Frame<Bytes>, Error>> {
        self.fail(Answer::status(Code::Unknown).kind, |about| about.no_status())
    }

    fn streams(&self) -> bool {
        self.open.as_ref().is_none_or(|open| open.call.method.streams)
    }

    /// Fails the call with the error of its stream or connection.
    fn lost(
        &mut self,
        cx: &mut Context<'_>,
        error: &h2::Error,
    ) -> Option<Result<Frame<Bytes>, Error>> {
        if let Some(status) = self.inner.broken_request() {
            return self.broke_off(status);
        }
        // A reset at our deadline means the deadline.
        let reset_at_deadline = error.reason() == Some(Reason::CANCEL)
            && is_our_deadline(Code::Cancelled, self.timer.deadline());
        if reset_at_deadline || self.timer.poll_over(cx).is_ready() {
            return self.late();
        }
        let lost = Kind::Lost { committed: true, excused: false };
        self.fail(lost, |about| about.outcome_unknown(lost_code(error), &chain(error)))
    }

    fn poll_inner(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let frame = match Pin::new(&mut self.inner).poll_frame(cx) {
            Poll::Pending => {
                std::task::ready!(self.timer.poll_over(cx));
                return Poll::Ready(self.late());
            }
            Poll::Ready(None) => return Poll::Ready(self.no_status()),
            Poll::Ready(Some(Ok(frame))) => frame,
            Poll::Ready(Some(Err(error))) => return Poll::Ready(self.lost(cx, &error)),
        };
        self.timer.record_activity();
        Poll::Ready(match frame.into_trailers() {
            Err(data) => {
                if let Some(open) = self.open.as_mut().filter(|open| open.call.method.streams) {
                    // A message of a stream counts as an answer, regardless of the stream's end.
                    open.attempt.lease.learn(balance::Outcome::Answered);
                }
                self.pass(data)
            }
            Ok(trailers) => self.end(trailers),
        })
    }

    /// Ends the call with the server's trailers.
    fn end(&mut self, mut trailers: HeaderMap) -> Option<Result<Frame<Bytes>, Error>> {
        head::sanitize(&mut trailers);
        let Some(code) = head::grpc_code(&trailers) else { return self.no_status() };
        if is_our_deadline(code, self.timer.deadline()) {
            return self.late();
        }
        if code == Code::Ok {
            if !self.messages.are_whole() {
                let what = "OK in the middle of a message";
                return self.malformed(|about| about.malformed_answer(what));
            }
            if self.messages.are_missing() {
                return self.malformed(|about| about.not_one_message(head::NO_MESSAGE));
            }
        }
        let open = self.open.take()?;
        let answer = head::answer(code, &trailers);
        if code != Code::Ok {
            open.call.about().explain(&mut trailers);
        }
        open.end(&answer, code);
        Some(Ok(Frame::trailers(trailers)))
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
        // False even after the last data: a missing status is still an error.
        self.open.is_none()
    }
}

impl fmt::Debug for ResponseBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBody").field("ended", &self.open.is_none()).finish_non_exhaustive()
    }
}
