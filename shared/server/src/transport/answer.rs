//! Response to one call: produced by the stack, and sent as fast as the peer reads.

use std::{
    convert::Infallible,
    future::Future,
    mem::take,
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

use crate::{
    call::Timed,
    connection::{Connection, FloodWatch, Reservation, TrackedBytes},
};

/// Maximum number of bytes of one response that wait in h2. The rest waits outside of h2, so that
/// the timeout can discard it.
pub(super) const SEND_BUFFER: usize = 64 * 1024;

pin_project! {
    /// Produces and sends the response to one call. Dropping it resets the call.
    pub(super) struct Answer<F, B> {
        #[pin]
        state: State<F, B>,
        respond: SendResponse<TrackedBytes>,
        connection: InFlight,
        begun: Instant,
        send_timeout: Duration,
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
    /// Creates the response. `send_timeout` is the longest wait for the peer to read more of it.
    pub(super) fn new(
        call: F,
        respond: SendResponse<TrackedBytes>,
        connection: Arc<Connection>,
        begun: Instant,
        send_timeout: Duration,
    ) -> Self {
        let connection = InFlight::begin(connection);
        Self { state: State::Making { call }, respond, connection, begun, send_timeout }
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
                    // Checked before the handler runs, so that it does not continue with a broken
                    // request.
                    if this.respond.poll_reset(cx).is_ready() {
                        break Sent::ClientReset;
                    }
                    let Ok(answer) = ready!(call.poll(cx));
                    let (head, body) = answer.into_parts();
                    (Response::from_parts(head, ()), body)
                }
            };
            if body.is_end_stream() {
                this.connection.floods.sent();
                let sent = this.respond.send_response(head, true);
                break sent.map_or(Sent::ClientReset, |_| Sent::Whole);
            }
            let sending = Sending {
                body,
                progress: Progress::Head(head),
                unsent: Bytes::new(),
                cut: false,
                send_timeout: *this.send_timeout,
                stall: None,
                reservation: Reservation::new(Arc::clone(&this.connection.usage)),
            };
            this.state.set(State::Sending { sending });
        };
        match sent {
            Sent::Whole => this.connection.standing.completed_call(),
            Sent::ClientReset => this.connection.resets.client_reset(*this.begun),
            Sent::Reset => {}
        }
        Poll::Ready(())
    }
}

/// Connection with a call in flight, until this is dropped.
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

/// Result of sending.
enum Sent {
    /// The whole response was sent.
    Whole,
    /// The server reset the call.
    Reset,
    /// The client reset the call or closed the connection.
    ClientReset,
}

type NextFrame = Option<Result<Frame<Bytes>, ()>>;

/// Progress of a response with a body.
enum Progress {
    /// Head, not sent yet.
    Head(Response<()>),
    /// Body; the head was sent.
    Body {
        stream: SendStream<TrackedBytes>,
        /// Frames that the body produced before the head was sent.
        ahead: [Option<NextFrame>; 2],
    },
}

pin_project! {
    /// Response with a body.
    struct Sending<B> {
        #[pin]
        body: B,
        progress: Progress,
        // Rest of the last frame, which the peer has not read.
        unsent: Bytes,
        // True if a part of that frame was sent.
        cut: bool,
        send_timeout: Duration,
        // Timer that runs while the peer reads nothing.
        #[pin]
        stall: Option<Sleep>,
        reservation: Reservation,
    }
}

impl<B: Timed<Data = Bytes>> Sending<B> {
    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        respond: &mut SendResponse<TrackedBytes>,
        floods: &FloodWatch,
    ) -> Poll<Sent> {
        loop {
            if let Some(sent) = ready!(self.as_mut().poll_unsent(cx, floods)) {
                return Poll::Ready(sent);
            }
            let mut this = self.as_mut().project();
            let (stream, ahead) = match this.progress {
                Progress::Body { stream, ahead } => (stream, ahead),
                Progress::Head(head) => {
                    if respond.poll_reset(cx).is_ready() {
                        return Poll::Ready(Sent::ClientReset);
                    }
                    // A client that received a head must not retry the call, so a crash after it
                    // fails the call. Complete a short response before its head is sent.
                    let mut ahead = [ready_frame(this.body.as_mut(), cx), None];
                    if matches!(&ahead[0], Some(Some(Ok(frame))) if frame.is_data()) {
                        ahead[1] = ready_frame(this.body.as_mut(), cx);
                    }
                    floods.sent();
                    let Ok(stream) = respond.send_response(take(head), false) else {
                        return Poll::Ready(Sent::ClientReset);
                    };
                    *this.progress = Progress::Body { stream, ahead };
                    continue;
                }
            };
            if stream.poll_reset(cx).is_ready() {
                return Poll::Ready(Sent::ClientReset);
            }
            let frame = match ahead.iter_mut().find_map(Option::take) {
                Some(frame) => frame,
                None => ready!(poll_frame(this.body.as_mut(), cx)),
            };
            let frame = match frame {
                Some(Ok(frame)) => frame,
                Some(Err(())) => {
                    stream.send_reset(Reason::INTERNAL_ERROR);
                    return Poll::Ready(Sent::Reset);
                }
                None => {
                    let end = this.reservation.track(Bytes::new());
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

    /// Sends the pending data. Ready with None when all is sent, or with the result if sending
    /// ended.
    ///
    /// Passes data to h2 only within the window that the peer granted, because data that waits in
    /// h2 cannot be recalled.
    fn poll_unsent(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        floods: &FloodWatch,
    ) -> Poll<Option<Sent>> {
        let mut this = self.project();
        // Nothing is pending before the head is sent.
        let Progress::Body { stream, .. } = this.progress else { return Poll::Ready(None) };
        while !this.unsent.is_empty() {
            stream.reserve_capacity(this.unsent.len().min(SEND_BUFFER));
            let room = stream.capacity().min(this.unsent.len());
            if room > 0 {
                this.stall.set(None);
                this.reservation.set(0);
                if this.reservation.is_over() {
                    stream.send_reset(Reason::ENHANCE_YOUR_CALM);
                    return Poll::Ready(Some(Sent::Reset));
                }
                *this.cut = true;
                let part = this.reservation.track(this.unsent.split_to(room));
                floods.sent();
                if stream.send_data(part, false).is_err() {
                    return Poll::Ready(Some(Sent::ClientReset));
                }
                continue;
            }
            match stream.poll_capacity(cx) {
                Poll::Ready(Some(Ok(_))) => continue,
                Poll::Ready(Some(Err(_)) | None) => return Poll::Ready(Some(Sent::ClientReset)),
                Poll::Pending => {}
            }
            if let Poll::Ready(trailers) = this.body.as_mut().poll_over(cx) {
                // Trailers within a message would violate gRPC's framing.
                if *this.cut {
                    stream.send_reset(Reason::CANCEL);
                    return Poll::Ready(Some(Sent::Reset));
                }
                return Poll::Ready(Some(sent(stream.send_trailers(trailers))));
            }
            this.reservation.set(this.unsent.len());
            if this.reservation.is_over() {
                stream.send_reset(Reason::ENHANCE_YOUR_CALM);
                return Poll::Ready(Some(Sent::Reset));
            }
            if this.stall.is_none() {
                this.stall.set(Some(sleep(*this.send_timeout)));
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
    result.map_or(Sent::ClientReset, |()| Sent::Whole)
}

/// Returns the next frame of a body, if it is ready.
fn ready_frame<B: Body<Data = Bytes>>(
    body: Pin<&mut B>,
    cx: &mut Context<'_>,
) -> Option<NextFrame> {
    match poll_frame(body, cx) {
        Poll::Ready(frame) => Some(frame),
        Poll::Pending => None,
    }
}

/// Polls a body. Discards the error, because any error resets the call.
fn poll_frame<B: Body<Data = Bytes>>(body: Pin<&mut B>, cx: &mut Context<'_>) -> Poll<NextFrame> {
    body.poll_frame(cx).map(|frame| frame.map(|frame| frame.map_err(drop)))
}
