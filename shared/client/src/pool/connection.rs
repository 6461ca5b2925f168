//! One HTTP/2 connection, and the calls on it.

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

/// A connection that the peer has answered on.
#[derive(Debug)]
pub(crate) struct Connection {
    sender: Sender,
    /// Whether a call was lost with it, or with another connection to the same endpoint that
    /// was alive when it was made: they die together.
    lost: Arc<AtomicBool>,
}

/// A handle to send on.
#[derive(Clone, Debug)]
pub(crate) struct Sender {
    requests: SendRequest<Bytes>,
    state: Arc<State>,
}

/// State of a connection beside its streams.
#[derive(Debug, Default)]
struct State {
    in_flight: AtomicUsize,
    /// Streams that the peer allows at once, as last heard.
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

/// Stands for a limit that was not heard yet: wider than what a peer can say.
const NOT_HEARD: usize = usize::MAX - 1;

/// Nothing wakes a task when the peer changes its limit. It is looked for this often while
/// no stream is free: else a connection whose limit was 0 once would never recover.
const LOOK: Duration = Duration::from_millis(10);

/// Drives a connection until it ends. Once the last sender is gone it ends by itself,
/// when the calls under way do: that is how a removed endpoint drains.
pub(super) struct Drive {
    driver: Driver,
    keep_alive: KeepAlive,
    state: Arc<State>,
}

/// End of a connection for further calls.
pub(super) enum Closed {
    /// The peer said so, and may still answer those under way.
    Drains(h2::Error),
    Ended(Result<(), Broken>),
}

/// Failure of a connection that was alive.
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

/// Bytes that a peer may send on one connection before they are read: the most that HTTP/2
/// can say. What a peer can make us hold is bounded by the windows of the calls in flight.
const CONNECTION_WINDOW: u32 = (1 << 31) - 1;

/// Bytes that a peer may send on one stream before they are read.
const STREAM_WINDOW: u32 = 2 << 20;

/// Bytes of a request that are buffered before its caller has to wait.
const SEND_BUFFER: usize = 1 << 20;

/// Bytes of a list of headers.
const HEADERS: u32 = 16 << 10;

impl Connection {
    /// Connects, and waits until the peer has sent its settings: a peer that accepts
    /// but is stuck, or speaks something else, must never get a call.
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
                // The peer's settings replace it: that is how their arrival shows.
                .initial_max_send_streams(NOT_HEARD)
                // Counted are also answers to calls that were given up, as all but one of a
                // hedged call are, where they cross our reset: after 1,024 of them in all its
                // life the connection would be closed under everybody else's calls.
                .max_local_error_reset_streams(None)
                // The budget that small frames of such answers take is never returned either.
                .data_frame_budget(usize::MAX)
                .initial_connection_window_size(CONNECTION_WINDOW)
                .initial_window_size(STREAM_WINDOW)
                .max_send_buffer_size(SEND_BUFFER)
                .max_header_list_size(HEADERS)
                .handshake(stream)
                .await?;
            let state = Arc::new(State { traffic, ..State::default() });
            // Nobody else has taken them.
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

    /// A further connection to an endpoint that has this one.
    pub(super) fn beside(self, other: &Self) -> Self {
        Self { lost: Arc::clone(&other.lost), ..self }
    }

    /// To be asked for each call that is lost because the connection broke: whether it is the
    /// first.
    pub(super) fn is_first_lost(&self) -> bool {
        !self.lost.swap(true, Ordering::Relaxed)
    }

    /// A handle to send on.
    pub(crate) fn sender(&self) -> Sender {
        self.sender.clone()
    }

    /// The calls on it.
    pub(crate) fn in_flight(&self) -> usize {
        self.sender.state.in_flight.load(Ordering::Relaxed)
    }

    /// Returns true if it can take a call now.
    pub(crate) fn has_room(&self) -> bool {
        self.sender.state.has_room() && !self.is_closed()
    }

    /// Streams that the peer allows at once, as last heard.
    pub(super) fn limit(&self) -> usize {
        self.sender.state.limit.load(Ordering::Relaxed)
    }

    /// Returns if calls have taken all of the peer's streams. A peer that allows none at the
    /// moment would allow none on another connection either.
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

    /// Gives a stream back.
    pub(super) fn release(&self) {
        self.sender.state.in_flight.fetch_sub(1, Ordering::SeqCst);
    }

    /// Returns true if it takes no further calls.
    pub(super) fn is_closed(&self) -> bool {
        self.sender.state.closed.load(Ordering::Relaxed)
    }
}

impl Sender {
    /// Opens a stream; `is_whole`: nothing follows the head. The error is of no use to the
    /// call: nothing was sent, and nothing will be on this connection.
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

    /// Returns the number of writes. If it is what it was before a stream was opened, nothing of this stream
    /// was written.
    pub(crate) fn writes(&self) -> usize {
        self.state.traffic.writes()
    }

    /// Returns true if the connection was given up because the peer did not answer a ping.
    pub(crate) fn is_dead(&self) -> bool {
        self.state.dead.load(Ordering::Relaxed)
    }
}

impl Drive {
    async fn settings_arrived(&mut self) -> Result<(), ConnectError> {
        // Nothing wakes a task when settings arrive, so they are looked for.
        loop {
            let polled = poll_fn(|cx| Poll::Ready(Pin::new(&mut self.driver).poll(cx))).await;
            if let Poll::Ready(ended) = polled {
                ended?;
                return Err(TransportError::Tcp(io::ErrorKind::ConnectionReset.into()).into());
            }
            if self.driver.max_concurrent_send_streams() != NOT_HEARD {
                self.publish();
                return Ok(());
            }
            sleep(Duration::from_millis(1)).await;
        }
    }

    /// Runs until the connection takes no further calls. Tells when the peer allows more
    /// streams than before.
    pub(super) async fn until_closed(
        &mut self,
        connection: &Weak<Connection>,
        more_room: impl Fn(),
    ) -> Closed {
        let mut look = pin!(sleep(LOOK));
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
                ready!(look.as_mut().poll(cx));
                look.as_mut().reset(Instant::now() + LOOK);
            }
        })
        .await;
        self.state.closed.store(true, Ordering::Relaxed);
        closed
    }

    /// Runs until the calls under way have ended.
    pub(super) async fn until_ended(mut self) {
        // Each of them is told how.
        let _ = poll_fn(|cx| self.poll_driver(cx)).await;
    }

    fn poll_driver(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        // What has arrived comes first: a sign of life counts however late it is looked at, as
        // by a process that stood still meanwhile.
        let polled = Pin::new(&mut self.driver).poll(cx);
        if self.state.traffic.was_read() {
            self.keep_alive.heard();
        }
        let is_idle = self.state.in_flight.load(Ordering::Relaxed) == 0;
        if polled.is_pending() && self.keep_alive.poll_dead(cx, is_idle).is_ready() {
            self.state.dead.store(true, Ordering::Relaxed);
            return Poll::Ready(Err(Broken::Silent));
        }
        polled.map_err(Broken::Http2)
    }

    /// Publishes the peer's limit; gives whether it is higher than before.
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
            // h2 shows the debug data of a GOAWAY in no other way.
            && error.to_string().contains("too_many_pings")
    }
}
#[cfg(test)]
#[path = "connection_tests.rs"]
mod tests;
