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
        connection: InFlight,
        begun: Instant,
        patience: Duration,
    }
}

pin_project! {
    #[project = StateProject]
    enum State<F, B> {
        Making { #[pin] call: F, respond: SendResponse<Part> },
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
        Self { state: State::Making { call, respond }, connection, begun, patience }
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
            let (head, body, respond) = match this.state.as_mut().project() {
                StateProject::Sending { sending } => {
                    break ready!(sending.poll(cx, &this.connection.floods));
                }
                StateProject::Making { call, respond } => {
                    // Before the handler: it is not to go on with a request that broke off.
                    if respond.poll_reset(cx).is_ready() {
                        break Sent::TakenBack;
                    }
                    let Ok(answer) = ready!(call.poll(cx));
                    let (head, body) = answer.into_parts();
                    (Response::from_parts(head, ()), body, respond)
                }
            };
            let whole = body.is_end_stream();
            this.connection.floods.sent();
            match respond.send_response(head, whole) {
                Err(_) => break Sent::TakenBack,
                Ok(_) if whole => break Sent::Whole,
                Ok(stream) => {
                    let held = Held::new(Arc::clone(&this.connection.unsent));
                    let (unsent, patience) = (Bytes::new(), *this.patience);
                    let sending =
                        Sending { body, stream, unsent, cut: false, patience, stall: None, held };
                    this.state.set(State::Sending { sending });
                }
            }
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
    /// The rest of an answer, after its head.
    struct Sending<B> {
        #[pin]
        body: B,
        stream: SendStream<Part>,
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
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>, floods: &FloodWatch) -> Poll<Sent> {
        loop {
            if let Some(sent) = ready!(self.as_mut().poll_unsent(cx, floods)) {
                return Poll::Ready(sent);
            }
            let this = self.as_mut().project();
            if this.stream.poll_reset(cx).is_ready() {
                return Poll::Ready(Sent::TakenBack);
            }
            let frame = match ready!(this.body.poll_frame(cx)) {
                Some(Ok(frame)) => frame,
                Some(Err(_)) => {
                    this.stream.send_reset(Reason::INTERNAL_ERROR);
                    return Poll::Ready(Sent::Reset);
                }
                None => {
                    let end = this.held.part(Bytes::new());
                    return Poll::Ready(sent(this.stream.send_data(end, true)));
                }
            };
            match frame.into_data() {
                Ok(data) => (*this.unsent, *this.cut) = (data, false),
                Err(frame) => {
                    if let Ok(trailers) = frame.into_trailers() {
                        return Poll::Ready(sent(this.stream.send_trailers(trailers)));
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
        while !this.unsent.is_empty() {
            this.stream.reserve_capacity(this.unsent.len().min(SEND_BUFFER));
            let room = this.stream.capacity().min(this.unsent.len());
            if room > 0 {
                this.stall.set(None);
                this.held.set(0);
                if this.held.is_over() {
                    this.stream.send_reset(Reason::ENHANCE_YOUR_CALM);
                    return Poll::Ready(Some(Sent::Reset));
                }
                *this.cut = true;
                let part = this.held.part(this.unsent.split_to(room));
                floods.sent();
                if this.stream.send_data(part, false).is_err() {
                    return Poll::Ready(Some(Sent::TakenBack));
                }
                continue;
            }
            match this.stream.poll_capacity(cx) {
                Poll::Ready(Some(Ok(_))) => continue,
                Poll::Ready(Some(Err(_)) | None) => return Poll::Ready(Some(Sent::TakenBack)),
                Poll::Pending => {}
            }
            if let Poll::Ready(trailers) = this.body.as_mut().poll_over(cx) {
                // In the middle of a message nobody expects them.
                if *this.cut {
                    this.stream.send_reset(Reason::CANCEL);
                    return Poll::Ready(Some(Sent::Reset));
                }
                return Poll::Ready(Some(sent(this.stream.send_trailers(trailers))));
            }
            this.held.set(this.unsent.len());
            if this.held.is_over() {
                this.stream.send_reset(Reason::ENHANCE_YOUR_CALM);
                return Poll::Ready(Some(Sent::Reset));
            }
            if this.stall.is_none() {
                this.stall.set(Some(sleep(*this.patience)));
            }
            if let Some(stall) = this.stall.as_mut().as_pin_mut() {
                ready!(stall.poll(cx));
            }
            this.stream.send_reset(Reason::CANCEL);
            return Poll::Ready(Some(Sent::Reset));
        }
        Poll::Ready(None)
    }
}

fn sent(result: Result<(), h2::Error>) -> Sent {
    result.map_or(Sent::TakenBack, |()| Sent::Whole)
}
