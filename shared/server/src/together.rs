//! One answer for all who ask at the same time.

use std::{
    future::Future,
    sync::{Arc, Mutex, PoisonError},
};

use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared, WeakShared},
};

type Asking<T> = BoxFuture<'static, T>;

/// A question that is asked once for all who want to know at the same time: whoever comes
/// while it is being answered gets that answer. However many come, no more is done at once.
pub(crate) struct Together<T>(Arc<Inner<T>>);

struct Inner<T> {
    ask: Box<dyn Fn() -> Asking<T> + Send + Sync>,
    under_way: Mutex<Option<WeakShared<Asking<T>>>>,
}

impl<T: Clone + Send + Sync + 'static> Together<T> {
    pub(crate) fn new<F, A>(ask: F) -> Self
    where
        F: Fn() -> A + Send + Sync + 'static,
        A: Future<Output = T> + Send + 'static,
    {
        let ask = Box::new(move || ask().boxed());
        Self(Arc::new(Inner { ask, under_way: Mutex::default() }))
    }

    /// The answer. It goes on for as long as anybody waits for it.
    pub(crate) fn ask(&self) -> Shared<Asking<T>> {
        let Inner { ask, under_way } = &*self.0;
        let mut under_way = under_way.lock().unwrap_or_else(PoisonError::into_inner);
        let joined = under_way.as_ref().and_then(WeakShared::upgrade);
        // What is answered already was asked before.
        if let Some(joined) = joined.filter(|joined| joined.peek().is_none()) {
            return joined;
        }
        let asked = ask().shared();
        *under_way = asked.downgrade();
        asked
    }
}

impl<T> Clone for Together<T> {
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

    fn counted() -> Together<u32> {
        let asked = Arc::new(AtomicU32::new(0));
        Together::new(move || {
            let number = asked.fetch_add(1, Ordering::Relaxed);
            async move {
                sleep(Duration::from_secs(1)).await;
                number
            }
        })
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_at_the_same_time_gets_one_answer_and_who_asks_later_another() {
        let together = counted();
        assert_eq!(join_all((0..100).map(|_| together.ask())).await, vec![0; 100]);
        assert_eq!(together.ask().await, 1);
        let kept = together.ask();
        assert_eq!(kept.clone().await, 2);
        // An answer that somebody still holds is not given again.
        assert_eq!(together.ask().await, 3);
    }

    #[tokio::test(start_paused = true)]
    async fn an_asker_that_goes_takes_no_answer_from_the_others() {
        let together = counted();
        let first = together.ask();
        let second = together.ask();
        drop(first);
        assert_eq!(second.await, 0);
        drop(together.ask());
        assert_eq!(together.ask().await, 2);
    }
}
