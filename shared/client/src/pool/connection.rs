//! One HTTP/2 connection: how it is made, and the calls it carries.

use std::{
    future::{Future, poll_fn},
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Poll, ready},
    time::Duration,
};

use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::time::{Instant, sleep, timeout};

use super::{
    io::ReadOut,
    transport::{Tls, Transport, TransportError},
};
use crate::{request_body::RequestBody, settings::ClientSettings};

type Driver = http2::Connection<ReadOut<TokioIo<Transport>>, RequestBody, TokioExecutor>;

/// A connection that the peer has answered on.
#[derive(Debug)]
pub(crate) struct Connection {
    sender: SendRequest<RequestBody>,
    streams: Arc<Streams>,
    /// Whether a call was lost with it, or with another connection to the same endpoint that
    /// was alive when it was made: they die together.
    lost: Arc<AtomicBool>,
}

/// The streams of a connection.
#[derive(Debug, Default)]
struct Streams {
    in_flight: AtomicUsize,
    /// What the peer allows at once, as last heard.
    limit: AtomicUsize,
}

impl Streams {
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
    streams: Arc<Streams>,
}

/// Why an endpoint could not be connected.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    #[error(transparent)]
    Transport(#[from] TransportError),
    #[error("it does not speak HTTP/2: {}", crate::error::chain(.0))]
    Http2(hyper::Error),
    #[error("no answer within {0:?}")]
    Timeout(Duration),
}

/// Bytes that a peer may send on one connection before they are read: the most that HTTP/2
/// can say. What a peer can make us hold is bounded by the windows of the calls in flight.
///
/// h2 lets small frames cost up to half of this window in all, gives that back when they are
/// read, and never where their call was given up: with hyper's 5 MiB some thousand late
/// answers end a connection under everybody else's calls, with this window some million.
const CONNECTION_WINDOW: u32 = (1 << 31) - 1;

impl Connection {
    /// Connects, and waits until the peer has sent its settings: a peer that accepts
    /// but is stuck, or speaks something else, must never get a call.
    pub(super) async fn open(
        address: SocketAddr,
        ping_when_idle: bool,
        tls: Option<&Tls>,
        settings: &ClientSettings,
    ) -> Result<(Self, Drive), ConnectError> {
        let connecting = async {
            let stream = Transport::open(address, tls).await?;
            let trouble = stream.trouble();
            let (sender, driver) = http2::Builder::new(TokioExecutor::new())
                .timer(TokioTimer::new())
                .keep_alive_interval(settings.keep_alive_interval)
                .keep_alive_timeout(settings.keep_alive_timeout)
                .keep_alive_while_idle(ping_when_idle)
                // The peer's settings replace it: that is how their arrival shows.
                .initial_max_send_streams(NOT_HEARD)
                // Counted are also answers to calls that were given up, as all but one of a
                // hedged call are, where they cross our reset: after 1,024 of them in all its
                // life the connection would be closed under everybody else's calls.
                .max_local_error_reset_streams(None)
                .initial_connection_window_size(CONNECTION_WINDOW)
                .handshake(ReadOut::new(TokioIo::new(stream)))
                .await
                .map_err(ConnectError::Http2)?;
            let streams = Arc::<Streams>::default();
            let mut drive = Drive { driver, streams: Arc::clone(&streams) };
            drive.settings_arrived().await.map_err(|error| match trouble.get() {
                Some(why) => TransportError::Tls(why.clone()).into(),
                None => error,
            })?;
            Ok((Self { sender, streams, lost: Arc::default() }, drive))
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
    pub(crate) fn sender(&self) -> SendRequest<RequestBody> {
        self.sender.clone()
    }

    /// The calls on it.
    pub(crate) fn in_flight(&self) -> usize {
        self.streams.in_flight.load(Ordering::Relaxed)
    }

    /// Whether it can take a call now.
    pub(crate) fn has_room(&self) -> bool {
        self.streams.has_room() && !self.sender.is_closed()
    }

    /// Takes a stream, unless the peer's limit is reached.
    pub(super) fn reserve(&self) -> bool {
        let Streams { in_flight, limit } = &*self.streams;
        if in_flight.fetch_add(1, Ordering::SeqCst) < limit.load(Ordering::Relaxed) {
            return true;
        }
        self.release();
        false
    }

    /// Gives a stream back.
    pub(super) fn release(&self) {
        self.streams.in_flight.fetch_sub(1, Ordering::SeqCst);
    }

    /// Whether it takes no further calls.
    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }
}

impl Drive {
    async fn settings_arrived(&mut self) -> Result<(), ConnectError> {
        // Nothing wakes a task when settings arrive, so they are looked for.
        loop {
            let polled = poll_fn(|cx| Poll::Ready(Pin::new(&mut self.driver).poll(cx))).await;
            if let Poll::Ready(ended) = polled {
                ended.map_err(ConnectError::Http2)?;
                return Err(TransportError::Tcp(io::ErrorKind::ConnectionReset.into()).into());
            }
            if self.driver.current_max_send_streams() != NOT_HEARD {
                self.publish();
                return Ok(());
            }
            sleep(Duration::from_millis(1)).await;
        }
    }

    /// Runs until the connection takes no further calls. Tells when the peer allows more
    /// streams than before.
    pub(super) async fn run(&mut self, more_room: impl Fn()) -> hyper::Result<()> {
        let mut look = pin!(sleep(LOOK));
        poll_fn(|cx| {
            loop {
                let polled = Pin::new(&mut self.driver).poll(cx);
                if self.publish() {
                    more_room();
                }
                if polled.is_ready() || self.streams.has_room() {
                    return polled;
                }
                ready!(look.as_mut().poll(cx));
                look.as_mut().reset(Instant::now() + LOOK);
            }
        })
        .await
    }

    /// Publishes the peer's limit; gives whether it is higher than before.
    fn publish(&self) -> bool {
        let limit = self.driver.current_max_send_streams();
        self.streams.limit.swap(limit, Ordering::Relaxed) < limit
    }
}
