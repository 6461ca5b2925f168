//! Single flight: concurrent callers share one run of a task.

use std::{
    future::Future,
    sync::{Arc, Mutex, PoisonError},
};

use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared, WeakShared},
};

type Running<T> = BoxFuture<'static, T>;

/// Task whose concurrent callers share one run. A caller that arrives during a run gets its result.
pub(crate) struct SingleFlight<T>(Arc<Inner<T>>);

struct Inner<T> {
    task: Box<dyn Fn() -> Running<T> + Send + Sync>,
    under_way: Mutex<Option<WeakShared<Running<T>>>>,
}

impl<T: Clone + Send + Sync + 'static> SingleFlight<T> {
    pub(crate) fn new<F, A>(task: F) -> Self
    where
        F: Fn() -> A + Send + Sync + 'static,
        A: Future<Output = T> + Send + 'static,
    {
        let task = Box::new(move || task().boxed());
        Self(Arc::new(Inner { task, under_way: Mutex::default() }))
    }

    /// Returns the result. The task runs as long as a caller waits for it.
    pub(crate) fn run(&self) -> Shared<Running<T>> {
        let Inner { task, under_way } = &*self.0;
        let mut under_way = under_way.lock().unwrap_or_else(PoisonError::into_inner);
        let joined = under_way.as_ref().and_then(WeakShared::upgrade);
        // A finished run began before this call, so its result may be outdated.
        if let Some(joined) = joined.filter(|joined| joined.peek().is_none()) {
            return joined;
        }
        let run = task().shared();
        *under_way = run.downgrade();
        run
    }
}

impl<T> Clone for SingleFlight<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicU32, Ordering},
        time::Duration,
    };

    use futures_util::future::join_all;
    use tokio::time::sleep;

    use super::*;

    fn counted() -> SingleFlight<u32> {
        let runs = Arc::new(AtomicU32::new(0));
        SingleFlight::new(move || {
            let number = runs.fetch_add(1, Ordering::Relaxed);
            async move {
                sleep(Duration::from_secs(1)).await;
                number
            }
        })
    }

    #[tokio::test(start_paused = true)]
    async fn only_concurrent_calls_share_a_run() {
        let flight = counted();
        assert_eq!(join_all((0..100).map(|_| flight.run())).await, vec![0; 100]);
        assert_eq!(flight.run().await, 1);
        let kept = flight.run();
        assert_eq!(kept.clone().await, 2);
        // A finished result is not reused, even if it is still held.
        assert_eq!(flight.run().await, 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_cancelled_caller_does_not_end_the_run() {
        let flight = counted();
        let first = flight.run();
        let second = flight.run();
        drop(first);
        assert_eq!(second.await, 0);
        drop(flight.run());
        assert_eq!(flight.run().await, 2);
    }
}
