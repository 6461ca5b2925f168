//! Notification of calls that wait for the end of an order's saga.

use std::{
    collections::HashMap,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use gantry_sql::StorageError;
use tokio::{
    sync::Notify,
    time::{Instant, timeout},
};

use super::{OrderRepository, StoredOrder};
use crate::domain::{OrderId, Status};

/// Interval at which a waiting call reads its order: another process may run the saga.
const READ_INTERVAL: Duration = Duration::from_millis(500);

/// Waiting calls of this process, by order. Clones share them.
///
/// Notifications are hints. A spurious one costs a read of the order. If another process runs the saga,
/// there is none: a waiting call reads its order now and then.
#[derive(Clone, Debug, Default)]
pub struct CompletionNotifier(Arc<Mutex<HashMap<OrderId, Waiters>>>);

#[derive(Debug, Default)]
struct Waiters {
    count: usize,
    notify: Arc<Notify>,
}

/// One waiting call. Dropping it ends the wait.
#[derive(Debug)]
struct Waiter {
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

    /// Waits until the order's saga has ended, for `wait` and until `leave` at the latest. Returns the
    /// order as it is then.
    ///
    /// # Errors
    /// [`StorageError`].
    pub(crate) async fn outcome(
        &self,
        orders: &dyn OrderRepository,
        id: OrderId,
        wait: Duration,
        leave: impl Future<Output = ()> + Send,
    ) -> Result<Option<StoredOrder>, StorageError> {
        let waiter = self.waiter(id);
        let started = Instant::now();
        let mut leave = pin!(leave);
        loop {
            // Register before reading, or an end in between would be missed.
            let ended = waiter.notified();
            let found = orders.find(id).await?;
            let is_open = found.as_ref().is_some_and(|it| it.order.status() == Status::Placed);
            let left = wait.saturating_sub(started.elapsed());
            if !is_open || left.is_zero() {
                return Ok(found);
            }
            tokio::select! {
                _ = timeout(left.min(READ_INTERVAL), ended) => {}
                () = &mut leave => return orders.find(id).await,
            }
        }
    }

    /// Begins to wait for this order.
    fn waiter(&self, id: OrderId) -> Waiter {
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
    fn notified(&self) -> impl Future<Output = ()> + Send + '_ {
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
mod tests;
