//! Health check that a process makes of its own server.

use std::{io, net::SocketAddr, pin::pin, sync::Arc};

use bytes::Bytes;
use futures_util::{
    FutureExt,
    future::{self, select},
};
use gantry_tls::{InvalidTls, ServerTls};
use h2::client::{SendRequest, handshake};
use http::{
    HeaderValue, Method, Request, StatusCode, Uri,
    header::{CONTENT_TYPE, TE},
};
use prost::Message;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_util::either::Either;

use crate::health::pb::{HealthCheckResponse, health_check_response::ServingStatus};

/// `HealthCheckRequest` of the whole server: an empty message behind its prefix.
const REQUEST: &[u8] = &[0; PREFIX];
/// Length of the prefix of a message: compression and size.
const PREFIX: usize = 5;
/// Longest response, in bytes.
const MAX_RESPONSE: usize = 4096;

/// Reason why a server does not count as healthy.
#[derive(Debug, thiserror::Error)]
pub enum Unhealthy {
    /// Nothing accepts connections.
    #[error("cannot connect: {0}")]
    Connect(io::Error),
    /// The settings of its certificate are unusable.
    #[error("server.tls.{0}")]
    Certificate(#[from] InvalidTls),
    /// The TLS handshake failed.
    #[error("TLS handshake failed: {0}")]
    Tls(io::Error),
    /// The connection ended before the response.
    #[error("no response: {0}")]
    Lost(String),
    /// The response is none of the health protocol.
    #[error("{0}")]
    Malformed(String),
    /// The check was refused.
    #[error("check refused with {code:?}: {message}")]
    Refused {
        /// Code of the status.
        code: tonic::Code,
        /// Message of the status.
        message: String,
    },
    /// The server starts or drains.
    #[error("{0}")]
    NotServing(&'static str),
}

/// Calls `grpc.health.v1.Health/Check` of the server at `address`, with its own certificate if it has
/// TLS ([`ServerTls::own_client`]). Has no timeout.
///
/// # Errors
/// [`Unhealthy`] if the server is not SERVING.
pub async fn check_health(address: SocketAddr, tls: Option<&ServerTls>) -> Result<(), Unhealthy> {
    let stream = TcpStream::connect(address).await.map_err(Unhealthy::Connect)?;
    let stream = match tls {
        None => Either::Left(stream),
        Some(tls) => {
            let connector = TlsConnector::from(Arc::new(tls.own_client()?));
            let shaken = connector.connect(ServerName::from(address.ip()), stream).await;
            Either::Right(shaken.map_err(Unhealthy::Tls)?)
        }
    };
    let (sender, connection) = handshake(stream).await.map_err(lost)?;
    match select(pin!(check(sender)), pin!(connection)).await {
        future::Either::Left((checked, _)) => checked,
        // The last bytes of the connection may have been the response.
        future::Either::Right((ended, check)) => check.now_or_never().unwrap_or_else(|| {
            Err(ended.map_or_else(lost, |()| Unhealthy::Lost("connection closed".to_owned())))
        }),
    }
}

async fn check(sender: SendRequest<Bytes>) -> Result<(), Unhealthy> {
    let mut sender = sender.ready().await.map_err(lost)?;
    let (response, mut request) = sender.send_request(head(), false).map_err(lost)?;
    request.send_data(Bytes::from_static(REQUEST), true).map_err(lost)?;
    let (head, mut body) = response.await.map_err(lost)?.into_parts();
    if head.status != StatusCode::OK {
        return Err(Unhealthy::Malformed(format!("HTTP status {}", head.status)));
    }
    let mut message = Vec::new();
    while let Some(data) = body.data().await {
        message.extend_from_slice(&data.map_err(lost)?);
        if message.len() > MAX_RESPONSE {
            return Err(malformed());
        }
    }
    let trailers = body.trailers().await.map_err(lost)?;
    let status = tonic::Status::from_header_map(trailers.as_ref().unwrap_or(&head.headers));
    match status {
        Some(status) if status.code() != tonic::Code::Ok => {
            let (code, message) = (status.code(), status.message().to_owned());
            return Err(Unhealthy::Refused { code, message });
        }
        Some(_) => {}
        None => return Err(malformed()),
    }
    let message = message.get(PREFIX..).ok_or_else(malformed)?;
    match HealthCheckResponse::decode(message).map_err(|_| malformed())?.status() {
        ServingStatus::Serving => Ok(()),
        other => Err(Unhealthy::NotServing(other.as_str_name())),
    }
}

fn head() -> Request<()> {
    let mut head = Request::new(());
    *head.method_mut() = Method::POST;
    *head.uri_mut() = Uri::from_static("http://localhost/grpc.health.v1.Health/Check");
    head.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    head.headers_mut().insert(TE, HeaderValue::from_static("trailers"));
    head
}

fn lost(error: h2::Error) -> Unhealthy {
    Unhealthy::Lost(error.to_string())
}

fn malformed() -> Unhealthy {
    Unhealthy::Malformed("the response is not one of grpc.health.v1.Health".to_owned())
}
