//! Flood of valid calls.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::Request;
use http_body::Body as _;
use http_body_util::Full;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tokio::{
    task::JoinSet,
    time::{sleep, timeout_at},
};

use super::{
    suite::{Suite, attackers_address},
    wire::Counted,
};

/// Calls of one kind.
pub(super) struct Flood {
    pub(super) connections: usize,
    /// Concurrent calls on each connection.
    pub(super) at_once: usize,
    /// True if they share the address of the other callers.
    pub(super) from_others: bool,
    /// Calls, made in turn.
    pub(super) calls: Vec<Call>,
}

/// A call: its request head, and its message with the gRPC prefix.
#[derive(Clone)]
pub(super) struct Call {
    pub(super) path: &'static str,
    pub(super) token: Option<String>,
    pub(super) encoding: Option<&'static str>,
    pub(super) body: Source,
}

#[derive(Clone)]
pub(super) enum Source {
    Same(Bytes),
    /// A new message for each call.
    New(Arc<dyn Fn() -> Bytes + Send + Sync>),
}

/// Encoded message.
pub(super) fn framed(message: &[u8]) -> Bytes {
    let mut framed = vec![0];
    framed.extend((message.len() as u32).to_be_bytes());
    framed.extend(message);
    framed.into()
}

pub(super) fn encoded(message: &impl Message) -> Bytes {
    framed(&message.encode_to_vec())
}

impl Flood {
    /// Calls for a duration, and reconnects if the server closes a connection. Returns the bytes sent.
    pub(super) async fn run(self, suite: &Suite, window: Duration) -> u64 {
        let sent = Arc::<AtomicU64>::default();
        let (flood, until) = (Arc::new(self), tokio::time::Instant::now() + window);
        let mut connections = JoinSet::new();
        for number in 0..flood.connections {
            let from = match flood.from_others {
                true => std::net::Ipv4Addr::LOCALHOST.into(),
                false => attackers_address(number),
            };
            let (flood, sent, address) = (Arc::clone(&flood), Arc::clone(&sent), suite.address);
            connections.spawn(async move {
                let connected = async {
                    loop {
                        if let Ok(stream) = Counted::connect(address, from, &sent).await {
                            flood.on(stream).await;
                        }
                        sleep(Duration::from_millis(50)).await;
                    }
                };
                // It ends with the timeout.
                let _: Result<Infallible, _> = timeout_at(until, connected).await;
            });
        }
        connections.join_all().await;
        sent.load(Ordering::Relaxed)
    }

    /// Calls until the connection ends.
    async fn on(self: &Arc<Self>, stream: Counted) {
        let io = TokioIo::new(stream);
        let Ok((sender, connection)) = http2::handshake(TokioExecutor::new(), io).await else {
            return;
        };
        let mut tasks = JoinSet::new();
        for _ in 0..self.at_once {
            let (flood, mut sender) = (Arc::clone(self), sender.clone());
            tasks.spawn(async move {
                for call in flood.calls.iter().cycle() {
                    if call.send(&mut sender).await.is_none() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        // The calls end with the connection and are dropped with it.
        let _ = connection.await;
    }
}

impl Call {
    /// Reads the response to its end. Returns `None` if the connection is unusable.
    async fn send(&self, sender: &mut SendRequest<Full<Bytes>>) -> Option<()> {
        let mut request = Request::post(format!("http://order{}", self.path))
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        if let Some(encoding) = self.encoding {
            request = request.header("grpc-encoding", encoding);
        }
        let body = match &self.body {
            Source::Same(body) => body.clone(),
            Source::New(make) => make(),
        };
        let request = request.body(Full::new(body)).ok()?;
        sender.ready().await.ok()?;
        if let Ok(answer) = sender.send_request(request).await {
            let mut body = answer.into_body();
            while let Some(Ok(_)) =
                std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await
            {}
        }
        Some(())
    }
}
