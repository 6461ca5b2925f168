//! Security of a connection: plaintext, or TLS before HTTP/2.

use std::{convert::Infallible, future::pending, net::SocketAddr, sync::Arc, time::Duration};

use gantry_tls::{Followed, InvalidTls, Live, ServerTls, dns_names};
use rustls::ServerConfig;
use tokio::{
    io::{self, AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::{either::Either, sync::CancellationToken};
use tracing::{debug, warn};

/// First byte of every TLS handshake (RFC 8446, section 5.1). No other expected protocol begins
/// with it.
const HANDSHAKE: u8 = 22;

/// Longest wait for a peer to read the alert of a failed handshake and close.
const ALERT_TIMEOUT: Duration = Duration::from_secs(1);
/// Most bytes that are read meanwhile.
const MAX_UNREAD: u64 = 64 * 1024;

/// Stream of a connection.
pub(crate) type Stream = Either<TcpStream, TlsStream<TcpStream>>;

/// Returns the DNS names of the peer's certificate, if it presented one.
pub(crate) fn certified_names(stream: &Stream) -> Option<Vec<String>> {
    let Either::Right(stream) = stream else { return None };
    let (_, session) = stream.get_ref();
    session.peer_certificates()?.first().map(dns_names)
}

/// TLS configuration of a server's connections; none for plain text.
#[derive(Clone, Debug)]
pub(crate) struct Security(Option<Arc<Live<ServerConfig>>>);

impl Security {
    pub(crate) fn load(settings: Option<&ServerTls>) -> Result<Self, InvalidTls> {
        Ok(Self(settings.map(ServerTls::load).transpose()?.map(Arc::new)))
    }

    pub(crate) fn is_tls(&self) -> bool {
        self.0.is_some()
    }

    /// Returns the state of its certificate files, if it has any.
    pub(crate) fn followed(&self) -> Option<Followed> {
        self.0.as_ref().map(|live| live.followed())
    }

    /// Reloads changed certificates for as long as it is polled.
    pub(crate) async fn follow(&self) -> Infallible {
        match &self.0 {
            Some(live) => live.follow().await,
            None => pending().await,
        }
    }

    /// Returns the stream on which HTTP/2 is spoken. `None` if the peer did not complete the TLS
    /// handshake within `handshake_timeout`, or the server is closing.
    pub(crate) async fn secure(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        handshake_timeout: Duration,
        goaway: &CancellationToken,
    ) -> Option<Stream> {
        let Some(live) = &self.0 else {
            return expect_plaintext(stream, peer).await.map(Either::Left);
        };
        let shake_hands = timeout(handshake_timeout, shake_hands(stream, peer, live.current()));
        let shaken = tokio::select! {
            shaken = shake_hands => shaken,
            () = goaway.cancelled() => return None,
        };
        let why = match shaken {
            Ok(Ok(stream)) => return Some(Either::Right(stream)),
            Ok(Err(why)) => why,
            Err(_) => format!("it did not end within {handshake_timeout:?}"),
        };
        debug!(%peer, why, "no TLS handshake");
        None
    }
}

/// Returns the connection if its first bytes may be HTTP/2. Otherwise logs the peer's protocol and
/// the remedy.
async fn expect_plaintext(stream: TcpStream, peer: SocketAddr) -> Option<TcpStream> {
    match Protocol::of_peer(&stream).await {
        Some(Protocol::Tls) => warn!(
            %peer,
            "a peer speaks TLS to a plaintext port: call it without TLS (http://, grpcurl -plaintext), or set server.tls"
        ),
        Some(Protocol::Http1) => warn!(
            %peer,
            "a peer speaks HTTP/1 to a gRPC port: gRPC needs HTTP/2; browsers and curl want the admin pages"
        ),
        Some(Protocol::Http2) | None => return Some(stream),
    }
    None
}

/// # Errors
/// Reason for the failure. A peer that speaks TLS gets it in an alert.
async fn shake_hands(
    stream: TcpStream,
    peer: SocketAddr,
    config: Arc<ServerConfig>,
) -> Result<TlsStream<TcpStream>, String> {
    let spoken = Protocol::of_peer(&stream).await;
    let (error, stream) = match TlsAcceptor::from(config).accept(stream).into_fallible().await {
        Ok(stream) => return Ok(stream),
        Err(failed) => failed,
    };
    Err(match spoken {
        Some(Protocol::Tls) => {
            deliver_alert(stream).await;
            error.to_string()
        }
        Some(plaintext @ (Protocol::Http1 | Protocol::Http2)) => {
            warn!(
                %peer,
                speaks = plaintext.name(),
                "a peer speaks plaintext to a TLS port: call it with TLS (https://, grpcurl without -plaintext)"
            );
            format!("the peer speaks {} in plaintext", plaintext.name())
        }
        None => "the peer does not speak TLS".to_owned(),
    })
}

/// Closes the connection once the peer has read the alert. A TLS 1.3 client sends its first request with
/// the end of its handshake, and a socket that is closed with unread input is reset: the peer would lose
/// the alert (RFC 1122, section 4.2.2.13).
async fn deliver_alert(mut stream: TcpStream) {
    let drain = async {
        stream.shutdown().await?;
        io::copy(&mut stream.take(MAX_UNREAD), &mut io::sink()).await
    };
    let _closed = timeout(ALERT_TIMEOUT, drain).await;
}

/// Protocol of a peer, detected from its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Tls,
    Http1,
    Http2,
}

impl Protocol {
    /// Peeks at the first bytes and leaves them to be read.
    async fn of_peer(stream: &TcpStream) -> Option<Self> {
        let mut first = [0; 16];
        let length = stream.peek(&mut first).await.ok()?;
        Self::of(&first[..length])
    }

    fn of(first: &[u8]) -> Option<Self> {
        /// Methods of RFC 9110 and RFC 5789: an HTTP/1 request begins with one of them.
        const METHODS: [&str; 9] =
            ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];

        let word = first.split(|byte| *byte == b' ').next()?;
        match first {
            [HANDSHAKE, ..] => Some(Self::Tls),
            // Preface of HTTP/2 (RFC 9113, section 3.4).
            [b'P', b'R', b'I', b' ', ..] => Some(Self::Http2),
            _ if word.len() == first.len() => None,
            _ => METHODS.iter().any(|method| method.as_bytes() == word).then_some(Self::Http1),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Tls => "TLS",
            Self::Http1 => "HTTP/1",
            Self::Http2 => "HTTP/2",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_protocol_is_detected_by_its_first_bytes() {
        for (first, protocol) in [
            (&b"\x16\x03\x01\x02\0\x01"[..], Some(Protocol::Tls)),
            (b"\x16", Some(Protocol::Tls)),
            (b"PRI * HTTP/2.0\r\n", Some(Protocol::Http2)),
            (b"GET / HTTP/1.1\r\n", Some(Protocol::Http1)),
            (b"POST /a.v1.A/Get", Some(Protocol::Http1)),
            (b"OPTIONS *", Some(Protocol::Http1)),
            (b"CONNECT a:1 HTTP", Some(Protocol::Http1)),
            (b"", None),
            (b"P", None),
            (b"PRI", None),
            (b"GET", None),
            (b"SSH-2.0-OpenSSH ", None),
            (b"get / HTTP/1.1", None),
            (b" GET", None),
            (b"\0\0\0", None),
        ] {
            assert_eq!(Protocol::of(first), protocol, "{first:?}");
        }
    }
}
