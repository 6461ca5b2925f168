//! Counted calls of many concurrent tasks.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use gantry_client::{Channel, Snapshot};
use tokio::{task::JoinSet, time::sleep};
use tonic::Status;

use crate::process::HANG_GUARD;

/// Steady load until it is stopped.
pub struct Load {
    stop: Arc<AtomicBool>,
    good: Arc<AtomicUsize>,
    callers: JoinSet<Vec<Status>>,
}

/// Results of the calls.
pub struct Calls {
    pub good: usize,
    pub failed: Vec<Status>,
}

impl Load {
    /// Starts `callers` tasks that repeat the call.
    pub fn start<A>(callers: usize, call: impl Fn() -> A + Clone + Send + 'static) -> Self
    where
        A: Future<Output = Result<(), Status>> + Send,
    {
        let (stop, good) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let callers = (0..callers).map(|_| {
            let (stop, good, call) = (Arc::clone(&stop), Arc::clone(&good), call.clone());
            async move {
                let mut failed = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    match call().await {
                        Ok(()) => drop(good.fetch_add(1, Ordering::Relaxed)),
                        Err(status) => failed.push(status),
                    }
                }
                failed
            }
        });
        let callers = callers.collect();
        Self { stop, good, callers }
    }

    /// Returns the number of successful calls so far.
    pub fn good(&self) -> usize {
        self.good.load(Ordering::Relaxed)
    }

    /// Waits until `calls` more calls have succeeded.
    pub async fn pass(&self, calls: usize) {
        let until = self.good() + calls;
        eventually("the load goes on", || self.good() >= until).await;
    }

    /// Stops the load and waits for the calls in flight.
    pub async fn stop(self) -> Calls {
        self.stop.store(true, Ordering::Relaxed);
        let failed = self.callers.join_all().await.into_iter().flatten().collect();
        Calls { good: self.good.load(Ordering::Relaxed), failed }
    }
}

impl Calls {
    /// Panics with the first failed call, if there is one.
    #[track_caller]
    pub fn expect_no_failure(&self, logs: impl FnOnce() -> String) {
        let Self { good, failed } = self;
        if let Some(first) = failed.first() {
            panic!("{} of {} failed: {first:?}\n{}", failed.len(), good + failed.len(), logs());
        }
    }
}

/// Waits until `holds` returns true.
pub async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    until(what, async || holds()).await;
}

/// Waits until `holds` resolves to true.
pub async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !holds().await {
        assert!(started.elapsed() < HANG_GUARD, "not in time: {what}");
        sleep(Duration::from_millis(10)).await;
    }
}

/// Waits until the channel has this number of endpoints and is connected to each.
pub async fn connected(channel: &Channel, endpoints: usize) {
    let started = Instant::now();
    loop {
        let Snapshot { endpoints: known, registry, .. } = channel.snapshot();
        if known.len() == endpoints && known.iter().all(|endpoint| endpoint.connections > 0) {
            return;
        }
        assert!(started.elapsed() < HANG_GUARD, "not {endpoints}: {known:#?}, {registry:?}");
        sleep(Duration::from_millis(10)).await;
    }
}
