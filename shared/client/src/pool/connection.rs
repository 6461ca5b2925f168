//! HTTP/2 connection with its calls.

use std::{
    future::{Future, poll_fn},
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use gantry_http2::{EmptyDataPolicy, FrameFilter};
use h2::{
    Reason, SendStream,
    client::{self, ResponseFuture, SendRequest},
};
use http::Request;
use tokio::time::{Instant, sleep, timeout};

use super::{
    drain_before_close::{DrainBeforeClose, Traffic},
    keep_alive::{KeepAlive, Pace},
    transport::{Tls, Transport, TransportError},
};
use crate::settings::ClientSettings;

type Driver = client::Connection<FrameFilter<DrainBeforeClose<Transport>, EmptyDataPolicy>, Bytes>;

/// Connection with a peer that has sent its settings.
#[derive(Debug)]
pub(crate) struct Connection {
    sender: Sender,
    /// True once a call was lost with it, or with another connection to the same endpoint that was
    /// open when this one was made: they die together.
    lost: Arc<AtomicBool>,
}

/// Handle for sending requests.
#[derive(Clone, Debug)]
pub(crate) struct Sender {
    requests: SendRequest<Bytes>,
    state: Arc<State>,
}

/// State of a connection beside its streams.
#[derive(Debug, Default)]
struct State {
    in_flight: AtomicUsize,
    /// Number of concurrent streams that the peer allows, as last read.
    limit: AtomicUsize,
    /// True if it takes no further calls.
    closed: AtomicBool,
    /// True if the peer did not answer a ping.
    dead: AtomicBool,
    traffic: Arc<Traffic>,
}

impl State {
    fn has_room(&self) -> bool {
        // Ordered with the count of waiting calls: see the lease's drop.
        self.in_flight.load(Ordering::SeqCst) < self.limit.load(Ordering::Relaxed)
    }
}

/// Placeholder before the peer's limit is known: above every valid limit.
const UNKNOWN_LIMIT: usize = usize::MAX - 1;

/// Interval for reading the peer's limit while no stream is free. A changed limit wakes no task, so
/// a connection whose limit was once 0 would never recover.
const READ_LIMIT_EVERY: Duration = Duration::from_millis(10);

/// Driver of a connection until its end. Once the last sender is dropped, the connection ends with
/// its last call: a removed endpoint drains this way.
pub(super) struct Drive {
    driver: Driver,
    keep_alive: KeepAlive,
    state: Arc<State>,
}

/// End of a connection for further calls.
pub(super) enum Closed {
    /// The peer sent GOAWAY, and may still answer the calls under way.
    Drains(h2::Error),
    Ended(Result<(), Broken>),
}

/// Failure of an open connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    #[error(transparent)]
    Http2(#[from] h2::Error),
    #[error("it did not answer a ping")]
    Silent,
}

/// Failure to connect an endpoint.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    #[error(transparent)]
    Transport(#[from] TransportError),
    #[error("it does not speak HTTP/2: {}", crate::error::chain(.0))]
    Http2(#[from] h2::Error),
    #[error("no answer within {0:?}")]
    Timeout(Duration),
}

/// Window of a connection, in bytes: the maximum of HTTP/2. The windows of the calls in flight
/// bound the memory that a peer can occupy.
const CONNECTION_WINDOW: u32 = (1 << 31) - 1;

/// Window of a stream, in bytes.
const STREAM_WINDOW: u32 = 2 << 20;

/// Buffer for the data of requests, in bytes. Beyond it, the caller waits.
const SEND_BUFFER: usize = 1 << 20;

/// Maximum size of a list of headers, in bytes.
const HEADERS: u32 = 16 << 10;

impl Connection {
    /// Connects, and waits for the peer's settings: a peer that is stuck after accepting, or speaks
    /// another protocol, must never get a call.
    pub(super) async fn open(
        address: SocketAddr,
        pace: Pace,
        tls: Option<&Tls>,
        settings: &ClientSettings,
    ) -> Result<(Self, Drive), ConnectError> {
        let connecting = async {
            let stream = Transport::open(address, tls).await?;
            let failure = stream.failure();
            let traffic = Arc::<Traffic>::default();
            let stream = DrainBeforeClose::new(stream, Arc::clone(&traffic));
            let stream = FrameFilter::for_client(stream, EmptyDataPolicy::new());
            let (requests, mut driver) = client::Builder::new()
                .enable_push(false)
                // The peer's settings replace it, which shows their arrival.
                .initial_max_send_streams(UNKNOWN_LIMIT)
                // h2 also counts responses that cross the reset of a cancelled call, as in all but
                // one attempt of a hedged call. After 1,024 of them it would close the connection
                // under all other calls.
                .max_local_error_reset_streams(None)
                // Such responses never return their share of this budget either.
                .data_frame_budget(usize::MAX)
                .initial_connection_window_size(CONNECTION_WINDOW)
                .initial_window_size(STREAM_WINDOW)
                .max_send_buffer_size(SEND_BUFFER)
                .max_header_list_size(HEADERS)
                .handshake(stream)
                .await?;
            let state = Arc::new(State { traffic, ..State::default() });
            // Taken only here.
            let pings = driver.ping_pong().ok_or(io::Error::from(io::ErrorKind::NotConnected));
            let pings = pings.map_err(TransportError::Tcp)?;
            let keep_alive = KeepAlive::new(pings, pace);
            let mut drive = Drive { driver, keep_alive, state: Arc::clone(&state) };
            drive.settings_arrived().await.map_err(|error| match failure.get() {
                Some(why) => TransportError::Tls(why.clone()).into(),
                None => error,
            })?;
            Ok((Self { sender: Sender { requests, state }, lost: Arc::default() }, drive))
        };
        timeout(settings.connect_timeout, connecting)
            .await
            .unwrap_or(Err(ConnectError::Timeout(settings.connect_timeout)))
    }

    /// Returns a further connection to the endpoint of another one.
    pub(super) fn beside(self, other: &Self) -> Self {
        Self { lost: Arc::clone(&other.lost), ..self }
    }

    /// Returns true at the first call that is lost with a broken connection of the endpoint. Call
    /// it once for each lost call.
    pub(super) fn is_first_lost(&self) -> bool {
        !self.lost.swap(true, Ordering::Relaxed)
    }

    /// Returns a handle for sending requests.
    pub(crate) fn sender(&self) -> Sender {
        self.sender.clone()
    }

    /// Returns the number of calls on it.
    pub(crate) fn in_flight(&self) -> usize {
        self.sender.state.in_flight.load(Ordering::Relaxed)
    }

    /// Returns true if it can take a call now.
    pub(crate) fn has_room(&self) -> bool {
        self.sender.state.has_room() && !self.is_closed()
    }

    /// Returns the number of concurrent streams that the peer allows, as last read.
    pub(super) fn limit(&self) -> usize {
        self.sender.state.limit.load(Ordering::Relaxed)
    }

    /// Returns true if calls have taken all of the peer's streams. A limit of 0 does not count as
    /// full: another connection would allow none either.
    pub(super) fn is_full(&self) -> bool {
        let limit = self.limit();
        limit > 0 && self.in_flight() >= limit && !self.is_closed()
    }

    /// Takes a stream, unless the peer's limit is reached.
    pub(super) fn reserve(&self) -> bool {
        let State { in_flight, limit, .. } = &*self.sender.state;
        if in_flight.fetch_add(1, Ordering::SeqCst) < limit.load(Ordering::Relaxed) {
            return true;
        }
        self.release();
        false
    }

    /// Returns a stream.
    pub(super) fn release(&self) {
        self.sender.state.in_flight.fetch_sub(1, Ordering::SeqCst);
    }

    /// Returns true if it takes no further calls.
    pub(super) fn is_closed(&self) -> bool {
        self.sender.state.closed.load(Ordering::Relaxed)
    }
}

impl Sender {
    /// Opens a stream. `is_whole`: nothing follows the head. On an error nothing was sent, and the
    /// connection takes no further calls.
    pub(crate) fn open(
        &mut self,
        request: Request<()>,
        is_whole: bool,
    ) -> Result<(ResponseFuture, SendStream<Bytes>), h2::Error> {
        let opened = self.requests.send_request(request, is_whole);
        if opened.is_err() {
            self.state.closed.store(true, Ordering::Relaxed);
        }
        opened
    }

    /// Returns the number of writes. If it has not changed since a stream was opened, nothing of
    /// the stream was written.
    pub(crate) fn writes(&self) -> usize {
        self.state.traffic.writes()
    }

    /// Returns true if the connection was closed because the peer did not answer a ping.
    pub(crate) fn is_dead(&self) -> bool {
        self.state.dead.load(Ordering::Relaxed)
    }
}

impl Drive {
    async fn settings_arrived(&mut self) -> Result<(), ConnectError> {
        // The arrival of settings wakes no task.
        loop {
            let polled = poll_fn(|cx| Poll::Ready(Pin::new(&mut self.driver).poll(cx))).await;
            if let Poll::Ready(ended) = polled {
                ended?;
                return Err(TransportError::Tcp(io::ErrorKind::ConnectionReset.into()).into());
            }
            if self.driver.max_concurrent_send_streams() != UNKNOWN_LIMIT {
                self.publish();
                return Ok(());
            }
            sleep(Duration::from_millis(1)).await;
        }
    }

    /// Runs until the connection takes no further calls. Calls `more_room` when the peer allows
    /// more streams than before.
    pub(super) async fn until_closed(
        &mut self,
        connection: &Weak<Connection>,
        more_room: impl Fn(),
    ) -> Closed {
        let mut next_read = pin!(sleep(READ_LIMIT_EVERY));
        let closed = poll_fn(|cx| {
            loop {
                let polled = self.poll_driver(cx);
                if self.publish() {
                    more_room();
                }
                if let Poll::Ready(ended) = polled {
                    return Poll::Ready(Closed::Ended(ended));
                }
                if let Some(error) = goes_away(connection, cx) {
                    return Poll::Ready(Closed::Drains(error));
                }
                if self.state.has_room() {
                    return Poll::Pending;
                }
                ready!(next_read.as_mut().poll(cx));
                next_read.as_mut().reset(Instant::now() + READ_LIMIT_EVERY);
            }
        })
        .await;
        self.state.closed.store(true, Ordering::Relaxed);
        closed
    }

    /// Runs until the calls under way have ended.
    pub(super) async fn until_ended(mut self) {
        // Each call gets its own error.
        let _ = poll_fn(|cx| self.poll_driver(cx)).await;
    }

    fn poll_driver(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        // Reads first: a pong counts even if it is read late, for example after the process was
        // stopped.
        let polled = Pin::new(&mut self.driver).poll(cx);
        if self.state.traffic.was_read() {
            self.keep_alive.record_arrival();
        }
        let is_idle = self.state.in_flight.load(Ordering::Relaxed) == 0;
        if polled.is_pending() && self.keep_alive.poll_dead(cx, is_idle).is_ready() {
            self.state.dead.store(true, Ordering::Relaxed);
            return Poll::Ready(Err(Broken::Silent));
        }
        polled.map_err(Broken::Http2)
    }

    /// Publishes the peer's limit. Returns true if it has grown.
    fn publish(&self) -> bool {
        let limit = self.driver.max_concurrent_send_streams();
        self.state.limit.swap(limit, Ordering::Relaxed) < limit
    }
}

/// Returns the error if the peer takes no further calls on a connection that is in use.
fn goes_away(connection: &Weak<Connection>, cx: &mut Context<'_>) -> Option<h2::Error> {
    let connection = connection.upgrade()?;
    match connection.sender.requests.clone().poll_ready(cx) {
        Poll::Ready(Err(error)) => Some(error),
        Poll::Ready(Ok(())) | Poll::Pending => None,
    }
}

impl Closed {
    /// Returns the failure, if there was one.
    pub(super) fn why(&self) -> Option<String> {
        match self {
            Self::Drains(error) if error.reason() == Some(Reason::NO_ERROR) => None,
            Self::Drains(error) => Some(crate::error::chain(error)),
            Self::Ended(ended) => ended.as_ref().err().map(|error| crate::error::chain(error)),
        }
    }

    /// Returns `true` if the peer complained of too many pings (gRFC A8).
    pub(super) fn complains_of_pings(&self) -> bool {
        let (Self::Drains(error) | Self::Ended(Err(Broken::Http2(error)))) = self else {
            return false;
        };
        error.is_go_away()
            && error.is_remote()
            && error.reason() == Some(Reason::ENHANCE_YOUR_CALM)
            // h2 exposes the debug data of a GOAWAY only in the message.
            && error.to_string().contains("too_many_pings")
    }
}
#[cfg(test)]
mod tests;
