//! The byte stream of a connection, which its owner can end at any moment.
//!
//! The client library would make the stream itself, with its own TLS. It is given a finished one instead:
//! gantry-tls decides whom to trust, and an owner that gives up ends the library's thread.

use std::{
    io::{self, Read, Write},
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use async_rs::{Runtime, Tokio, traits::Reactor, util::RuntimeParts};
use futures_util::Stream;
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::Sleep,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_util::{
    compat::{Compat, TokioAsyncReadCompatExt},
    sync::{CancellationToken, WaitForCancellationFutureOwned},
};

use crate::quiet::Silence;

/// Runtime of the client library: tokio, with streams that are made beforehand.
pub(crate) type BusRuntime = Runtime<RuntimeParts<Tokio, Ready>>;

/// Stream in the form that the client library takes.
pub(crate) type LibraryStream = Compat<Transport>;

/// Returns the runtime of the current task.
pub(crate) fn runtime() -> BusRuntime {
    let tokio = Tokio::current();
    Runtime::new(RuntimeParts::new(tokio.clone(), Ready { tokio }))
}

/// Connects to a broker, with TLS if there is a configuration for it. `end` ends the stream.
pub(crate) async fn connect(
    host: &str,
    port: u16,
    tls: Option<Arc<ClientConfig>>,
    end: CancellationToken,
    silence: Silence,
) -> io::Result<LibraryStream> {
    let socket = TcpStream::connect((host, port)).await?;
    socket.set_nodelay(true)?;
    let stream = match tls {
        None => Inner::Plain(socket),
        Some(config) => {
            let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
            let stream = TlsConnector::from(config).connect(name, socket).await?;
            Inner::Secure(Box::new(stream))
        }
    };
    let ended = Box::pin(end.clone().cancelled_owned());
    Ok(Transport { stream, end, ended, silence }.compat())
}

/// Stream to a broker.
pub(crate) struct Transport {
    stream: Inner,
    end: CancellationToken,
    /// Wakes the reader once the owner has ended the stream. The library always reads, and tells
    /// readers from writers.
    ended: Pin<Box<WaitForCancellationFutureOwned>>,
    silence: Silence,
}

enum Inner {
    Plain(TcpStream),
    Secure(Box<TlsStream<TcpStream>>),
}

impl Transport {
    /// Fails once the owner has ended the stream.
    fn check(&self) -> io::Result<()> {
        if self.end.is_cancelled() { Err(io::ErrorKind::ConnectionAborted.into()) } else { Ok(()) }
    }
}

impl AsyncRead for Transport {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.silence.look();
        if self.ended.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        match &mut self.stream {
            Inner::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Inner::Secure(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Transport {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        match &mut self.stream {
            Inner::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Inner::Secure(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        match &mut self.stream {
            Inner::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Inner::Secure(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        match &mut self.stream {
            Inner::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Inner::Secure(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

/// Reactor whose only stream is made by [`connect`].
#[derive(Clone, Debug)]
pub(crate) struct Ready {
    tokio: Tokio,
}

#[expect(refining_impl_trait, reason = "neither is used: the stream is made by `connect`")]
impl Reactor for Ready {
    type TcpStream = LibraryStream;
    type Sleep = Sleep;

    fn register<H: Read + Write + Send + 'static>(&self, _: H) -> io::Result<LibraryStream> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn sleep(&self, duration: Duration) -> Sleep {
        self.tokio.sleep(duration)
    }

    fn interval(&self, duration: Duration) -> impl Stream<Item = Instant> + Send + 'static {
        self.tokio.interval(duration)
    }

    fn tcp_connect_addr(&self, _: SocketAddr) -> std::future::Ready<io::Result<LibraryStream>> {
        std::future::ready(Err(io::ErrorKind::Unsupported.into()))
    }
}
