//! Notification of calls that wait for the end of an order's saga.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use crate::domain::OrderId;

/// Waiting calls of this process, by order. Clones share them.
///
/// Notifications are hints. A spurious one costs a read of the order. A missing one, because another
/// process ran the saga, costs the rest of the wait.
#[derive(Clone, Debug, Default)]
pub struct CompletionNotifier(Arc<Mutex<HashMap<OrderId, Waiters>>>);

#[derive(Debug, Default)]
struct Waiters {
    count: usize,
    notify: Arc<Notify>,
}

/// One waiting call. Dropping it ends the wait.
#[derive(Debug)]
pub(crate) struct Waiter {
    notifier: CompletionNotifier,
    id: OrderId,
    notify: Arc<Notify>,
}

impl CompletionNotifier {
    /// Wakes all calls that wait for this order.
    pub fn notify(&self, id: OrderId) {
        if let Some(waiters) = self.waiters().get(&id) {
            waiters.notify.notify_waiters();
        }
    }

    /// Begins to wait for this order.
    pub(crate) fn waiter(&self, id: OrderId) -> Waiter {
        let mut waiters = self.waiters();
        let waiters = waiters.entry(id).or_default();
        waiters.count += 1;
        Waiter { notifier: self.clone(), id, notify: Arc::clone(&waiters.notify) }
    }

    fn waiters(&self) -> MutexGuard<'_, HashMap<OrderId, Waiters>> {
        // No code panics while it holds the lock, so the map is consistent.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiter {
    /// Resolves at the first [`CompletionNotifier::notify`] of the order after this call.
    pub(crate) fn notified(&self) -> impl Future<Output = ()> + Send + '_ {
        // `Notified` takes effect at its creation, not at its first poll.
        self.notify.notified()
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut waiters = self.notifier.waiters();
        if let Some(entry) = waiters.get_mut(&self.id) {
            entry.count -= 1;
            if entry.count == 0 {
                waiters.remove(&self.id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;
    use uuid::Uuid;

    use super::*;

    const ID: OrderId = OrderId(Uuid::from_u128(1));
    const OTHER: OrderId = OrderId(Uuid::from_u128(2));

    #[tokio::test(start_paused = true)]
    async fn waiters_of_the_order_are_notified() {
        let notifier = CompletionNotifier::default();
        let (one, two, other) = (notifier.waiter(ID), notifier.waiter(ID), notifier.waiter(OTHER));
        let notified = (one.notified(), two.notified(), other.notified());
        notifier.notify(ID);
        notified.0.await;
        notified.1.await;
        assert!(timeout(Duration::from_secs(1), notified.2).await.is_err());
    }

    #[tokio::test]
    async fn dropped_waiters_are_forgotten() {
        let notifier = CompletionNotifier::default();
        let (one, two) = (notifier.waiter(ID), notifier.waiter(ID));
        drop(one);
        assert_eq!(notifier.waiters().len(), 1);
        drop(two);
        assert!(notifier.waiters().is_empty());
        notifier.notify(ID);
    }
}
