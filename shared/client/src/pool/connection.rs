//! One HTTP/2 connection: how it is made, and the calls it carries.

use std::{
    future::{Future, poll_fn},
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::time::{sleep, timeout};

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
    in_flight: AtomicUsize,
    /// The streams the peer allows at once, as last heard.
    limit: Arc<AtomicUsize>,
}

/// Drives a connection until it ends. Once the last sender is gone it ends by itself,
/// when the calls under way do: that is how a removed endpoint drains.
pub(super) struct Drive {
    driver: Driver,
    limit: Arc<AtomicUsize>,
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
                .initial_max_send_streams(0)
                .handshake(ReadOut::new(TokioIo::new(stream)))
                .await
                .map_err(ConnectError::Http2)?;
            let limit = Arc::new(AtomicUsize::new(0));
            let mut drive = Drive { driver, limit: Arc::clone(&limit) };
            drive.settings_arrived().await.map_err(|error| match trouble.get() {
                Some(why) => TransportError::Tls(why.clone()).into(),
                None => error,
            })?;
            Ok((Self { sender, in_flight: AtomicUsize::new(0), limit }, drive))
        };
        timeout(settings.connect_timeout, connecting)
            .await
            .unwrap_or(Err(ConnectError::Timeout(settings.connect_timeout)))
    }

    /// A handle to send on.
    pub(crate) fn sender(&self) -> SendRequest<RequestBody> {
        self.sender.clone()
    }

    /// The calls on it.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Whether it can take a call now.
    pub(crate) fn has_room(&self) -> bool {
        // Ordered with the count of waiting calls: see `Shared::release`.
        self.in_flight.load(Ordering::SeqCst) < self.limit.load(Ordering::Relaxed)
            && !self.sender.is_closed()
    }

    /// Takes a stream, unless the peer's limit is reached.
    pub(super) fn reserve(&self) -> bool {
        if self.in_flight.fetch_add(1, Ordering::SeqCst) < self.limit.load(Ordering::Relaxed) {
            return true;
        }
        self.in_flight.fetch_sub(1, Ordering::SeqCst);
        false
    }

    /// Gives a stream back.
    pub(super) fn release(&self) {
        self.in_flight.fetch_sub(1, Ordering::SeqCst);
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
            let polled = poll_fn(|cx| Poll::Ready(self.poll(cx))).await;
            if let Poll::Ready(ended) = polled {
                ended.map_err(ConnectError::Http2)?;
                return Err(TransportError::Tcp(io::ErrorKind::ConnectionReset.into()).into());
            }
            if self.limit.load(Ordering::Relaxed) > 0 {
                return Ok(());
            }
            sleep(Duration::from_millis(1)).await;
        }
    }

    /// Runs until the connection takes no further calls.
    pub(super) async fn run(&mut self) -> hyper::Result<()> {
        poll_fn(|cx| self.poll(cx)).await
    }

    /// Drives the connection and publishes the peer's limit.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<hyper::Result<()>> {
        let polled = Pin::new(&mut self.driver).poll(cx);
        self.limit.store(self.driver.current_max_send_streams(), Ordering::Relaxed);
        polled
    }
}
