//! Requests built from bytes and headers, which a proper client would not send.

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tokio::{net::TcpStream, task::JoinHandle};

use crate::world::World;

/// Complete response.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) trailers: Option<HeaderMap>,
}

impl Answer {
    /// Returns the status from the headers or the trailers.
    pub(crate) fn grpc(&self) -> tonic::Status {
        let trailers = self.trailers.as_ref().unwrap_or(&self.headers);
        tonic::Status::from_header_map(trailers).expect("there is a gRPC status")
    }
}

/// Returns the message with its prefix.
pub(crate) fn framed(message: &impl Message) -> Bytes {
    let message = message.encode_to_vec();
    let mut framed = BytesMut::new();
    framed.put_u8(0);
    framed.put_u32(message.len().try_into().unwrap());
    framed.put_slice(&message);
    framed.freeze()
}

/// Returns a valid request, for tests to modify.
pub(crate) fn request(path: &str, body: Bytes) -> Request<Full<Bytes>> {
    Request::post(format!("http://probe{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Full::new(body))
        .unwrap()
}

/// Sends the request on its own connection and returns the response.
pub(crate) async fn send(world: &World, request: Request<Full<Bytes>>) -> Answer {
    let stream = TokioIo::new(TcpStream::connect(world.address).await.unwrap());
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
    let connection = tokio::spawn(connection);
    let (head, body) = sender.send_request(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap();
    connection.abort();
    let trailers = body.trailers().cloned();
    Answer { status: head.status, headers: head.headers, body: body.to_bytes(), trailers }
}

/// Call whose message has not been sent yet.
pub(crate) struct Uploading {
    pub(crate) answer: h2::client::ResponseFuture,
    pub(crate) body: h2::SendStream<Bytes>,
    pub(crate) connection: JoinHandle<Result<(), h2::Error>>,
}

/// Begins a call with this timeout, on its own connection.
pub(crate) async fn upload(world: &World, path: &str, grpc_timeout: Option<&str>) -> Uploading {
    let stream = TcpStream::connect(world.address).await.unwrap();
    let (sender, connection) = h2::client::handshake(stream).await.unwrap();
    let connection = tokio::spawn(connection);
    let mut head = request(path, Bytes::new()).map(drop);
    if let Some(timeout) = grpc_timeout {
        head.headers_mut().insert("grpc-timeout", timeout.parse().unwrap());
    }
    let mut sender = sender.ready().await.unwrap();
    let (answer, body) = sender.send_request(head, false).unwrap();
    Uploading { answer, body, connection }
}
