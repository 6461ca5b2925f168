//! Flaky proxy before a real service, which loses calls as a network does.

use std::{
    collections::HashMap,
    convert::Infallible,
    future::pending,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use http::{Request, Response};
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{net::TcpListener, task::JoinSet};
use tonic::{Status, body::Body, transport::Channel};
use tower::ServiceExt;

/// Fate of a lost call.
#[derive(Clone, Copy, Debug)]
pub enum Lost {
    /// The service never receives it; the caller gets an error.
    Call,
    /// The service executes it; the response is lost.
    Answer,
    /// The service never receives it; the caller gets no response.
    Silently,
}

#[derive(Default)]
struct State {
    /// Number of attempts to lose for each path, and their fate.
    lose: HashMap<String, (usize, Lost)>,
    /// Attempts since the last read.
    seen: HashMap<String, usize>,
}

impl State {
    /// Records an attempt, and returns its fate if it is to be lost.
    fn attempt(&mut self, path: &str) -> Option<Lost> {
        *self.seen.entry(path.to_owned()).or_default() += 1;
        let (left, lost) = self.lose.get_mut(path).filter(|(left, _)| *left > 0)?;
        *left -= 1;
        Some(*lost)
    }
}

/// Proxy of one service.
pub struct Front {
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
    _serving: JoinSet<()>,
}

impl Front {
    /// Starts a proxy of the server at `behind`.
    pub async fn start(behind: SocketAddr) -> Self {
        let channel = Channel::from_shared(format!("http://{behind}")).unwrap().connect_lazy();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::<Mutex<State>>::default();
        let mut serving = JoinSet::new();
        let shared = Arc::clone(&state);
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (channel, state) = (channel.clone(), Arc::clone(&shared));
                let answer = move |request| pass(request, channel.clone(), Arc::clone(&state));
                let connection = http2::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), service_fn(answer));
                connections.spawn(async move { drop(connection.await) });
            }
        });
        Self { address, state, _serving: serving }
    }

    /// Loses the next attempts of the method with this path.
    pub fn lose(&self, path: &str, attempts: usize, lost: Lost) {
        self.state.lock().unwrap().lose.insert(path.to_owned(), (attempts, lost));
    }

    /// Returns the attempts of a method since the last read.
    pub fn attempts(&self, path: &str) -> usize {
        self.state.lock().unwrap().seen.remove(path).unwrap_or_default()
    }
}

async fn pass(
    request: Request<Incoming>,
    channel: Channel,
    state: Arc<Mutex<State>>,
) -> Result<Response<Body>, Infallible> {
    let gone = || Ok(Status::unavailable("the network ate it").into_http());
    let lost = state.lock().unwrap().attempt(request.uri().path());
    match lost {
        Some(Lost::Call) => return gone(),
        Some(Lost::Silently) => return pending().await,
        Some(Lost::Answer) | None => {}
    }
    let answered = channel.oneshot(request.map(Body::new)).await;
    match (lost, answered) {
        (None, Ok(answer)) => Ok(answer),
        _ => gone(),
    }
}
