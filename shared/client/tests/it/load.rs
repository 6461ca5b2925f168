//! Concurrent calls from many tasks.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use tokio::task::JoinSet;

use crate::caller::{ADD, Setup, call, within};

/// Calls from many tasks until stopped.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    good: Arc<AtomicUsize>,
    tasks: JoinSet<Vec<tonic::Status>>,
}

impl Load {
    pub(crate) fn start(setup: &Setup, clients: usize) -> Self {
        let (stop, good) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let mut tasks = JoinSet::new();
        for _ in 0..clients {
            let (channel, stop, good) = (setup.channel.clone(), stop.clone(), good.clone());
            tasks.spawn(async move {
                let mut failed = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    match call(&channel, ADD).await {
                        Ok(_) => drop(good.fetch_add(1, Ordering::Relaxed)),
                        Err(status) => failed.push(status),
                    }
                }
                failed
            });
        }
        Self { stop, good, tasks }
    }

    /// Waits until this many more calls have succeeded.
    pub(crate) async fn pass(&self, calls: usize) {
        let until = self.good.load(Ordering::Relaxed) + calls;
        within("progress", || {
            let good = self.good.load(Ordering::Relaxed);
            (good >= until).then_some(()).ok_or(good)
        })
        .await;
    }

    /// Ends the load. Returns the number of successful calls and the failures.
    pub(crate) async fn stop(self) -> (usize, Vec<tonic::Status>) {
        self.stop.store(true, Ordering::Relaxed);
        let failed = self.tasks.join_all().await.into_iter().flatten().collect();
        (self.good.load(Ordering::Relaxed), failed)
    }
}
