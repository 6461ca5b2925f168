//! How the bytes of a connection are secured: not at all, or by TLS, which is spoken
//! before the first byte of HTTP/2.

use std::{convert::Infallible, future::pending, net::SocketAddr, sync::Arc, time::Duration};

use gantry_tls::{Followed, InvalidTls, Live, ServerTls, dns_names};
use rustls::ServerConfig;
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::{either::Either, sync::CancellationToken};
use tracing::debug;

/// The first byte of every TLS handshake (RFC 8446, section 5.1): no other protocol that a
/// client could try begins with it.
const HANDSHAKE: u8 = 22;

/// What a connection is read from and written to.
pub(crate) type Stream = Either<TcpStream, TlsStream<TcpStream>>;

/// The DNS names of the peer's certificate, if it showed one.
pub(crate) fn certified_names(stream: &Stream) -> Option<Vec<String>> {
    let Either::Right(stream) = stream else { return None };
    let (_, session) = stream.get_ref();
    session.peer_certificates()?.first().map(dns_names)
}

/// Whether the connections of a server speak TLS, and as whom.
#[derive(Clone, Debug)]
pub(crate) struct Security(Option<Arc<Live<ServerConfig>>>);

impl Security {
    pub(crate) fn load(settings: Option<&ServerTls>) -> Result<Self, InvalidTls> {
        Ok(Self(settings.map(ServerTls::load).transpose()?.map(Arc::new)))
    }

    pub(crate) fn is_tls(&self) -> bool {
        self.0.is_some()
    }

    /// What became of its files, where it has any.
    pub(crate) fn followed(&self) -> Option<Followed> {
        self.0.as_ref().map(|live| live.followed())
    }

    /// Follows the certificates on disk for as long as it is polled.
    pub(crate) async fn follow(&self) -> Infallible {
        match &self.0 {
            Some(live) => live.follow().await,
            None => pending().await,
        }
    }

    /// The connection as HTTP/2 is spoken over it; `None` where the peer did not get that
    /// far within `patience`, or it was time to go.
    pub(crate) async fn secure(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        patience: Duration,
        goaway: &CancellationToken,
    ) -> Option<Stream> {
        let Some(live) = &self.0 else { return Some(Either::Left(stream)) };
        let shake_hands = timeout(patience, shake_hands(stream, live.current()));
        let shaken = tokio::select! {
            shaken = shake_hands => shaken,
            () = goaway.cancelled() => return None,
        };
        let why = match shaken {
            Ok(Ok(stream)) => return Some(Either::Right(stream)),
            Ok(Err(why)) => why,
            Err(_) => format!("it did not end within {patience:?}"),
        };
        debug!(%peer, why, "no TLS handshake");
        None
    }
}

/// # Errors
/// Why it failed. The peer has been told so in an alert.
async fn shake_hands(
    stream: TcpStream,
    config: Arc<ServerConfig>,
) -> Result<TlsStream<TcpStream>, String> {
    let mut first = [0];
    let speaks_tls = matches!(stream.peek(&mut first).await, Ok(1) if first == [HANDSHAKE]);
    TlsAcceptor::from(config).accept(stream).await.map_err(|error| {
        if speaks_tls { error.to_string() } else { "the peer does not speak TLS".to_owned() }
    })
}
