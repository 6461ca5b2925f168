//! Well-behaved callers during an attack.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use gantry_proto::shop::order::v1::{GetOrderRequest, order_service_client::OrderServiceClient};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tonic::{Status, transport::Channel};

use super::suite::{Suite, User};
use crate::{callers::endpoint, stats::percentile};
use gantry::demo::clients::as_bearer;

/// Callers on a connection of their own, and callers that open a connection for each call.
const STEADY: usize = 6;
const NEW: usize = 2;

/// Pause between calls: together the callers stay below the limit per user.
const PAUSE: Duration = Duration::from_millis(10);

/// Timeout of a call; a later response counts as lost.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// Approximate bytes that a call sends.
const CALL_BYTES: f64 = 200.0;

/// Calls a second below the limit per user.
const MOST_HARMLESS: f64 = 900.0;

/// Running well-behaved callers.
pub(super) struct Others {
    stop: Arc<AtomicBool>,
    tasks: JoinSet<Vec<Option<Duration>>>,
}

/// Results of the other callers.
pub(super) struct Witnessed {
    /// Latencies of the answered calls, in milliseconds.
    pub(super) p99: f64,
    pub(super) lost: usize,
}

impl Others {
    pub(super) fn start(suite: &Suite) -> Self {
        let (stop, mut tasks) = (Arc::<AtomicBool>::default(), JoinSet::new());
        for number in 0..STEADY + NEW {
            let caller = Caller::new(suite, &suite.other);
            let (stop, steady) = (Arc::clone(&stop), number < STEADY);
            tasks.spawn(async move { caller.calls(steady, &stop).await });
        }
        Self { stop, tasks }
    }

    pub(super) async fn stop(self) -> Witnessed {
        self.stop.store(true, Ordering::Relaxed);
        let calls = self.tasks.join_all().await.concat();
        let took: Vec<_> = calls.iter().copied().flatten().collect();
        Witnessed { lost: calls.len() - took.len(), p99: percentile(took, 99.0) }
    }
}

/// Calls of one user that send a number of bytes a second, with a rate below the limit per user.
pub(super) async fn harmless(suite: &Suite, bytes_a_second: f64, window: Duration) {
    let rate = (bytes_a_second / CALL_BYTES).min(MOST_HARMLESS);
    let caller = Caller::new(suite, &suite.attacker);
    let (started, mut made, mut calls) = (Instant::now(), 0, JoinSet::new());
    let Ok(client) = caller.connect().await else { return };
    while started.elapsed() < window {
        let due = (rate * started.elapsed().as_secs_f64()) as u64;
        for _ in made..due {
            let (caller, client) = (caller.clone(), client.clone());
            calls.spawn(async move { caller.call(client).await });
        }
        made = due;
        sleep(Duration::from_millis(2)).await;
    }
    calls.join_all().await;
}

#[derive(Clone)]
struct Caller {
    address: std::net::SocketAddr,
    token: String,
    order: String,
}

impl Caller {
    fn new(suite: &Suite, user: &User) -> Self {
        let (token, order) = (user.token.clone(), user.order.clone());
        Self { address: suite.address, token, order }
    }

    async fn connect(&self) -> Result<OrderServiceClient<Channel>, tonic::transport::Error> {
        Ok(OrderServiceClient::new(endpoint(self.address)?.connect().await?))
    }

    async fn call(&self, mut client: OrderServiceClient<Channel>) -> Result<(), Status> {
        let request = GetOrderRequest { id: self.order.clone() };
        client.get_order(as_bearer(request, &self.token)).await.map(drop)
    }

    /// Latency of each answered call.
    async fn calls(&self, steady: bool, stop: &AtomicBool) -> Vec<Option<Duration>> {
        let (mut calls, mut kept) = (Vec::new(), None);
        while !stop.load(Ordering::Relaxed) {
            let started = Instant::now();
            let call = async {
                let client = match kept.take() {
                    Some(client) => client,
                    None => self.connect().await.ok()?,
                };
                self.call(client.clone()).await.ok()?;
                steady.then_some(Some(client)).or(Some(None))
            };
            let answered = timeout(CALL_TIMEOUT, call).await.ok().flatten();
            calls.push(answered.is_some().then(|| started.elapsed()));
            kept = answered.flatten();
            sleep(PAUSE).await;
        }
        calls
    }
}
