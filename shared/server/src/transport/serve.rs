//! HTTP/2 on one connection: accepts calls and passes them to the stack.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use h2::{Reason, server};
use http::Response;
use hyper::service::Service;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, Sleep, sleep},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::debug;

use super::{
    answer::{Answer, SEND_BUFFER},
    body::RequestBody,
    keep_alive::KeepAlive,
    run::{Endable, FINAL_FRAMES},
};
use crate::{
    call::{Received, Timed},
    connection::{Closed, Connection, HeaderLimits, RefusedHeaders, TrackedBytes},
    settings::ConnectionSettings,
};

/// Budget of h2 for small DATA frames, in bytes. Beyond it, h2 ends the connection with all of its
/// calls. A frame costs 256 bytes less its length until it is taken from h2, which the task of its
/// call does at once (see `body`). So at most 2 MiB count at a time, for the frames of one poll.
/// Frames that arrive after their call was answered count for ever; the budget covers 260,000 of
/// them.
const DATA_FRAME_BUDGET: usize = 64 * 1024 * 1024;

/// Returns HTTP/2 with the limits of the settings and at most `max_streams` streams.
pub(crate) fn protocol(settings: &ConnectionSettings, max_streams: u32) -> server::Builder {
    let mut protocol = server::Builder::new();
    protocol
        .max_concurrent_streams(settings.max_streams.min(max_streams))
        // Headers between the limit and twice the limit get a gRPC status.
        .max_header_list_size(settings.max_header_bytes.saturating_mul(2))
        .initial_window_size(settings.stream_window_bytes)
        .initial_connection_window_size(settings.connection_window_bytes)
        .max_pending_accept_reset_streams(settings.max_pending_resets as usize)
        .max_local_error_reset_streams(Some(settings.max_local_resets as usize))
        .data_frame_budget(DATA_FRAME_BUDGET)
        .max_send_buffer_size(SEND_BUFFER);
    protocol
}

/// Connection with a peer that speaks HTTP/2.
pub(crate) struct Serving<T, S> {
    http2: server::Connection<T, TrackedBytes>,
    connection: Arc<Connection>,
    stack: Arc<S>,
    calls: TaskTracker,
    send_timeout: Duration,
    headers: HeaderLimits,
    refused_headers: RefusedHeaders,
    keep_alive: KeepAlive,
    /// Time of the last data from the peer, other than answers to pings.
    last_data: Instant,
    /// Cancelled when the client resets too many calls.
    reset_limit_hit: CancellationToken,
    /// Reason for closing the connection abruptly, and the timeout for sending the peer the GOAWAY.
    broken: Option<(Closed, Pin<Box<Sleep>>)>,
}

impl<T, S> Serving<T, S>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    pub(crate) fn new(
        mut http2: server::Connection<T, TrackedBytes>,
        connection: Arc<Connection>,
        stack: Arc<S>,
        calls: TaskTracker,
        reset_limit_hit: CancellationToken,
        settings: &ConnectionSettings,
    ) -> Self {
        let (interval, timeout) = (settings.keep_alive_interval, settings.keep_alive_timeout);
        Self {
            keep_alive: KeepAlive::new(http2.ping_pong(), interval, timeout),
            http2,
            connection,
            stack,
            calls,
            send_timeout: settings.send_timeout,
            headers: HeaderLimits::new(settings),
            refused_headers: RefusedHeaders::new(),
            last_data: Instant::now(),
            reset_limit_hit,
            broken: None,
        }
    }

    fn break_off(&mut self, why: Closed, reason: Reason) {
        self.http2.abrupt_shutdown(reason);
        self.broken.get_or_insert_with(|| (why, Box::pin(sleep(FINAL_FRAMES))));
    }

    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Self { keep_alive, last_data, connection, .. } = self;
        keep_alive.poll(cx, || {
            if connection.take_data_received() {
                *last_data = Instant::now();
            }
            *last_data
        })
    }
}

impl<T, S, B> Future for Serving<T, S>
where
    T: AsyncRead + AsyncWrite + Unpin,
    S: Service<Received<RequestBody>, Response = Response<B>, Error = Infallible, Future: Send>,
    S::Future: 'static,
    B: Timed<Data = Bytes> + Send + 'static,
{
    type Output = Closed;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Closed> {
        let this = &mut *self;
        loop {
            if this.broken.is_none() && this.poll_silence(cx).is_ready() {
                this.break_off(Closed::Silent, Reason::NO_ERROR);
            }
            if let Some((why, limit)) = &mut this.broken {
                // Do not wait for a peer that does not read the GOAWAY.
                let closed = this.http2.poll_closed(cx).is_ready();
                if closed || limit.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(*why);
                }
                return Poll::Pending;
            }
            let accepted = this.http2.poll_accept(cx);
            if let Some(flood) = this.connection.floods.found() {
                debug!(peer = %this.connection.peer, ?flood, "connection closed for a flood");
                this.break_off(Closed::Flood, Reason::ENHANCE_YOUR_CALM);
                continue;
            }
            let (mut request, respond) = match ready!(accepted) {
                Some(Ok(call)) => call,
                Some(Err(error)) => {
                    debug!(peer = %this.connection.peer, %error, "connection failed");
                    return Poll::Ready(Closed::Error);
                }
                None => return Poll::Ready(Closed::Peer),
            };
            let now = Instant::now();
            this.last_data = now;
            // Health and reflection need no other headers; their packages begin with `grpc`.
            let all = !request.uri().path().starts_with("/grpc.");
            let too_large = this.headers.keep(request.headers_mut(), all).err();
            this.refused_headers.count(too_large.is_some(), &this.connection.floods);
            let connection = Arc::clone(&this.connection);
            let http = request.map(|stream| RequestBody::new(stream, Arc::clone(&connection)));
            let keeper = http.body().keeper();
            let call = this.stack.call(Received {
                connection: Arc::clone(&connection),
                at: now,
                too_large,
                http,
            });
            // The tracker waits for the task; its result is not needed.
            let answer = Answer::new(call, respond, connection, now, this.send_timeout);
            drop(this.calls.spawn(keeper.drive(answer)));
            if this.connection.resets.begin() {
                if this.reset_limit_hit.is_cancelled() {
                    this.break_off(Closed::Resets, Reason::ENHANCE_YOUR_CALM);
                }
                this.reset_limit_hit.cancel();
            }
        }
    }
}

impl<T, S, B> Endable for Serving<T, S>
where
    T: AsyncRead + AsyncWrite + Unpin,
    S: Service<Received<RequestBody>, Response = Response<B>, Error = Infallible, Future: Send>,
    S::Future: 'static,
    B: Timed<Data = Bytes> + Send + 'static,
{
    fn graceful(mut self: Pin<&mut Self>) {
        self.http2.graceful_shutdown();
    }

    fn abrupt(mut self: Pin<&mut Self>, reason: Reason) {
        self.break_off(Closed::Cut, reason);
    }
}
