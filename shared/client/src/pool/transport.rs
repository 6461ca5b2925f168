//! Transport below HTTP/2: a socket, with TLS if configured.

use std::{
    io::{self, IoSlice},
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll, ready},
};

use gantry_tls::{ClientTls, Followed, InvalidTls, Live};
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

/// First bytes of a TLS record: an alert, or the handshake (RFC 8446, section 5.1). An HTTP/2 frame
/// with this first byte would exceed the default maximum length.
const TLS_RECORDS: [u8; 2] = [21, 22];

/// TLS of the connections: the name that endpoints must prove, and our own certificate.
#[derive(Debug)]
pub(crate) struct Tls {
    live: Live<ClientConfig>,
    name: ServerName<'static>,
}

impl Tls {
    pub(crate) fn load(settings: &ClientTls, service: &str) -> Result<Self, InvalidTls> {
        Ok(Self { live: settings.load()?, name: settings.certificate_name(service)? })
    }

    /// Returns the state of the followed files.
    pub(crate) fn followed(&self) -> Followed {
        self.live.followed()
    }

    /// Follows the files while polled.
    pub(crate) async fn follow(&self) {
        match self.live.follow().await {}
    }
}

/// Socket, with or without TLS.
pub(super) struct Transport {
    stream: Stream,
    /// True until the first byte is read.
    unread: bool,
    failure: HandshakeFailure,
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Failure of the handshake, recorded here because HTTP/2 reports it in part only.
pub(super) type HandshakeFailure = Arc<OnceLock<String>>;

/// Failure to open a transport.
#[derive(Debug, thiserror::Error)]
pub(super) enum TransportError {
    #[error("{0}")]
    Tcp(#[from] io::Error),
    #[error("no TLS with it: {0}")]
    Tls(String),
}

impl Transport {
    /// Connects, with the TLS handshake if configured.
    pub(super) async fn open(
        address: SocketAddr,
        tls: Option<&Tls>,
    ) -> Result<Self, TransportError> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let stream = match tls {
            None => Stream::Plain(stream),
            Some(tls) => {
                let connector = TlsConnector::from(tls.live.current());
                let shaken = connector.connect(tls.name.clone(), stream).await;
                let stream = shaken.map_err(|error| TransportError::Tls(explain(&error)))?;
                if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
                    let why = "it does not offer HTTP/2 (ALPN h2)";
                    return Err(TransportError::Tls(why.to_owned()));
                }
                Stream::Tls(Box::new(stream))
            }
        };
        Ok(Self { stream, unread: true, failure: HandshakeFailure::default() })
    }

    pub(super) fn failure(&self) -> HandshakeFailure {
        Arc::clone(&self.failure)
    }

    /// Checks the peer's first byte, which must not be TLS.
    fn look(&mut self, first: u8) {
        self.unread = false;
        if matches!(self.stream, Stream::Plain(_)) && TLS_RECORDS.contains(&first) {
            self.failure.get_or_init(|| "it speaks TLS, and client.tls is not set".to_owned());
        }
    }
}

/// Returns the description of a failed handshake.
fn explain(error: &io::Error) -> String {
    match of_tls(error) {
        Some(rustls::Error::InvalidMessage(_)) => "it does not speak TLS".to_owned(),
        Some(error) => error.to_string(),
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            "it closed the connection, as if it did not speak TLS".to_owned()
        }
        None => error.to_string(),
    }
}

fn of_tls(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

impl AsyncRead for Transport {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let read = ready!(match &mut this.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_read(cx, buf),
        });
        if this.unread
            && let Some(first) = buf.filled().get(before)
        {
            this.look(*first);
        }
        if let Err(error) = &read
            && let Some(error) = of_tls(error)
        {
            // In TLS 1.3 the peer rejects our certificate only now.
            this.failure.get_or_init(|| error.to_string());
        }
        Poll::Ready(read)
    }
}

impl AsyncWrite for Transport {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Plain(stream) => stream.is_write_vectored(),
            Stream::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_shutdown(cx),
        }
    }
}
