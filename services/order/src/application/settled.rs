//! Telling those who wait that an order is no longer being carried through.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use crate::domain::OrderId;

/// Who waits for which order, within this process. Clones share it. Somebody who is
/// told too much looks once more; somebody who is not told (another replica carried the
/// order through) waits to the end of their patience and looks then.
#[derive(Clone, Debug, Default)]
pub struct Settled(Arc<Mutex<HashMap<OrderId, Waiters>>>);

#[derive(Debug, Default)]
struct Waiters {
    count: usize,
    notify: Arc<Notify>,
}

/// One who waits. Dropping it ends the wait.
#[derive(Debug)]
pub(crate) struct Waiter {
    settled: Settled,
    id: OrderId,
    notify: Arc<Notify>,
}

impl Settled {
    /// Tells all who wait for this order.
    pub fn tell(&self, id: OrderId) {
        if let Some(waiters) = self.waiters().get(&id) {
            waiters.notify.notify_waiters();
        }
    }

    /// Begins to wait.
    pub(crate) fn waiter(&self, id: OrderId) -> Waiter {
        let mut waiters = self.waiters();
        let waiters = waiters.entry(id).or_default();
        waiters.count += 1;
        Waiter { settled: self.clone(), id, notify: Arc::clone(&waiters.notify) }
    }

    fn waiters(&self) -> MutexGuard<'_, HashMap<OrderId, Waiters>> {
        // Nothing panics while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiter {
    /// Resolves when the order is told of after this call.
    pub(crate) fn told(&self) -> impl Future<Output = ()> + Send + '_ {
        // `notified` counts from here on, not from its first poll.
        self.notify.notified()
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut waiters = self.settled.waiters();
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
    async fn those_who_wait_for_the_order_are_told() {
        let settled = Settled::default();
        let (one, two, other) = (settled.waiter(ID), settled.waiter(ID), settled.waiter(OTHER));
        let told = (one.told(), two.told(), other.told());
        settled.tell(ID);
        told.0.await;
        told.1.await;
        assert!(timeout(Duration::from_secs(1), told.2).await.is_err());
    }

    #[tokio::test]
    async fn nobody_who_left_is_remembered() {
        let settled = Settled::default();
        let (one, two) = (settled.waiter(ID), settled.waiter(ID));
        drop(one);
        assert_eq!(settled.waiters().len(), 1);
        drop(two);
        assert!(settled.waiters().is_empty());
        settled.tell(ID);
    }
}
