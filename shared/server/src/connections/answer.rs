//! One call: its answer is made, and sent as fast as the peer takes it.

use std::{
    convert::Infallible,
    future::Future,
    ops::Deref,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use h2::{Reason, SendStream, server::SendResponse};
use http::Response;
use http_body::{Body, Frame};
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep};

use super::{
    floods::FloodWatch,
    unsent::{Held, Part},
};
use crate::call::{Connection, Timed};

/// The most of one answer that waits to be written, in bytes: what is longer waits where
/// its time can end it.
pub(super) const SEND_BUFFER: usize = 64 * 1024;

pin_project! {
    /// Makes and sends the answer to one call. Dropped, it resets the call.
    pub(super) struct Answer<F, B> {
        #[pin]
        state: State<F, B>,
        respond: SendResponse<Part>,
        connection: InFlight,
        begun: Instant,
        patience: Duration,
    }
}

pin_project! {
    #[project = StateProject]
    enum State<F, B> {
        Making { #[pin] call: F },
        Sending { #[pin] sending: Sending<B> },
    }
}

impl<F, B> Answer<F, B> {
    /// `patience` is how long the answer waits for the peer to take more of it.
    pub(super) fn new(
        call: F,
        respond: SendResponse<Part>,
        connection: Arc<Connection>,
        begun: Instant,
        patience: Duration,
    ) -> Self {
        let connection = InFlight::begin(connection);
        Self { state: State::Making { call }, respond, connection, begun, patience }
    }
}

impl<F, B> Future for Answer<F, B>
where
    F: Future<Output = Result<Response<B>, Infallible>>,
    B: Timed<Data = Bytes>,
{
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        let sent = loop {
            let (head, body) = match this.state.as_mut().project() {
                StateProject::Sending { sending } => {
                    break ready!(sending.poll(cx, this.respond, &this.connection.floods));
                }
                StateProject::Making { call } => {
                    // Before the handler: it is not to go on with a request that broke off.
                    if this.respond.poll_reset(cx).is_ready() {
                        break Sent::TakenBack;
                    }
                    let Ok(answer) = ready!(call.poll(cx));
                    let (head, body) = answer.into_parts();
                    (Response::from_parts(head, ()), body)
                }
            };
            if body.is_end_stream() {
                this.connection.floods.sent();
                let sent = this.respond.send_response(head, true);
                break sent.map_or(Sent::TakenBack, |_| Sent::Whole);
            }
            let held = Held::new(Arc::clone(&this.connection.unsent));
            let (head, unsent, patience) = (Some(head), Bytes::new(), *this.patience);
            let (ahead, stream, cut, stall) = (None, None, false, None);
            let sending = Sending { body, head, ahead, stream, unsent, cut, patience, stall, held };
            this.state.set(State::Sending { sending });
        };
        match sent {
            Sent::Whole => this.connection.standing.completed_call(),
            Sent::TakenBack => this.connection.resets.taken_back(*this.begun),
            Sent::Reset => {}
        }
        Poll::Ready(())
    }
}

/// Connection of a call in flight.
struct InFlight(Arc<Connection>);

impl InFlight {
    fn begin(connection: Arc<Connection>) -> Self {
        connection.standing.begin_call();
        Self(connection)
    }
}

impl Deref for InFlight {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.0
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.standing.end_call();
    }
}

/// How sending ended.
enum Sent {
    /// All that there was.
    Whole,
    /// A reset of ours in its place.
    Reset,
    /// The peer does not want it any more, or is gone.
    TakenBack,
}

pin_project! {
    /// An answer with a body.
    struct Sending<B> {
        #[pin]
        body: B,
        // Until it is sent.
        head: Option<Response<()>>,
        // What the body gave before the head was sent, after its first frame.
        ahead: Option<Option<Result<Frame<Bytes>, ()>>>,
        // From then on.
        stream: Option<SendStream<Part>>,
        // What the body gave last and the peer has not taken.
        unsent: Bytes,
        // Whether a part of it has been sent.
        cut: bool,
        patience: Duration,
        // Since the peer takes nothing.
        #[pin]
        stall: Option<Sleep>,
        held: Held,
    }
}

impl<B: Timed<Data = Bytes>> Sending<B> {
    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        respond: &mut SendResponse<Part>,
        floods: &FloodWatch,
    ) -> Poll<Sent> {
        loop {
            if let Some(sent) = ready!(self.as_mut().poll_unsent(cx, floods)) {
                return Poll::Ready(sent);
            }
            let mut this = self.as_mut().project();
            let reset = match this.stream {
                Some(stream) => stream.poll_reset(cx),
                None => respond.poll_reset(cx),
            };
            if reset.is_ready() {
                return Poll::Ready(Sent::TakenBack);
            }
            let polled = match this.ahead.take() {
                Some(frame) => Poll::Ready(frame),
                None => poll_frame(this.body.as_mut(), cx),
            };
            if let Some(head) = this.head.take() {
                // A client that got a head must not repeat the call, so a crash before the rest
                // fails it: a short answer is whole before its head is sent.
                if matches!(&polled, Poll::Ready(Some(Ok(frame))) if frame.is_data())
                    && let Poll::Ready(frame) = poll_frame(this.body.as_mut(), cx)
                {
                    *this.ahead = Some(frame);
                }
                floods.sent();
                let Ok(stream) = respond.send_response(head, false) else {
                    return Poll::Ready(Sent::TakenBack);
                };
                *this.stream = Some(stream);
            }
            let Some(stream) = this.stream else { return Poll::Ready(Sent::TakenBack) };
            let frame = match ready!(polled) {
                Some(Ok(frame)) => frame,
                Some(Err(_)) => {
                    stream.send_reset(Reason::INTERNAL_ERROR);
                    return Poll::Ready(Sent::Reset);
                }
                None => {
                    let end = this.held.part(Bytes::new());
                    return Poll::Ready(sent(stream.send_data(end, true)));
                }
            };
            match frame.into_data() {
                Ok(data) => (*this.unsent, *this.cut) = (data, false),
                Err(frame) => {
                    if let Ok(trailers) = frame.into_trailers() {
                        return Poll::Ready(sent(stream.send_trailers(trailers)));
                    }
                }
            }
        }
    }

    /// Ready with nothing once all of it is sent, or with how it ended.
    ///
    /// What is sent goes into the window that the peer has granted and never waits for
    /// more of it in h2, where it could not be called back.
    fn poll_unsent(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        floods: &FloodWatch,
    ) -> Poll<Option<Sent>> {
        let mut this = self.project();
        // Nothing is unsent before the head is sent.
        let Some(stream) = this.stream else { return Poll::Ready(None) };
        while !this.unsent.is_empty() {
            stream.reserve_capacity(this.unsent.len().min(SEND_BUFFER));
            let room = stream.capacity().min(this.unsent.len());
            if room > 0 {
                this.stall.set(None);
                this.held.set(0);
                if this.held.is_over() {
                    stream.send_reset(Reason::ENHANCE_YOUR_CALM);
                    return Poll::Ready(Some(Sent::Reset));
                }
                *this.cut = true;
                let part = this.held.part(this.unsent.split_to(room));
                floods.sent();
                if stream.send_data(part, false).is_err() {
                    return Poll::Ready(Some(Sent::TakenBack));
                }
                continue;
            }
            match stream.poll_capacity(cx) {
                Poll::Ready(Some(Ok(_))) => continue,
                Poll::Ready(Some(Err(_)) | None) => return Poll::Ready(Some(Sent::TakenBack)),
                Poll::Pending => {}
            }
            if let Poll::Ready(trailers) = this.body.as_mut().poll_over(cx) {
                // In the middle of a message nobody expects them.
                if *this.cut {
                    stream.send_reset(Reason::CANCEL);
                    return Poll::Ready(Some(Sent::Reset));
                }
                return Poll::Ready(Some(sent(stream.send_trailers(trailers))));
            }
            this.held.set(this.unsent.len());
            if this.held.is_over() {
                stream.send_reset(Reason::ENHANCE_YOUR_CALM);
                return Poll::Ready(Some(Sent::Reset));
            }
            if this.stall.is_none() {
                this.stall.set(Some(sleep(*this.patience)));
            }
            if let Some(stall) = this.stall.as_mut().as_pin_mut() {
                ready!(stall.poll(cx));
            }
            stream.send_reset(Reason::CANCEL);
            return Poll::Ready(Some(Sent::Reset));
        }
        Poll::Ready(None)
    }
}

fn sent(result: Result<(), h2::Error>) -> Sent {
    result.map_or(Sent::TakenBack, |()| Sent::Whole)
}

/// Polls a body. An error needs no detail: it only resets the call.
fn poll_frame<B: Body>(
    body: Pin<&mut B>,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<Frame<B::Data>, ()>>> {
    body.poll_frame(cx).map(|frame| frame.map(|frame| frame.map_err(drop)))
}
