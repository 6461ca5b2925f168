//! Bus inside one process, for services that run together.
//!
//! - It confirms an event once every queue of a service has settled it. A process that ends therefore
//!   loses nothing: what no consumer has applied is still unpublished in the outbox, and is published
//!   again at the next start.
//! - Queues of processes are not waited for. One that falls behind by more than the capacity ends with
//!   an error.
//! - An event that no queue takes is confirmed, unless its kind of aggregate is required.
//!
//! # Caveat
//! While a consumer cannot settle, publishers of its events wait. A consumer must therefore be running
//! whenever its queue exists.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use tokio::sync::{Notify, oneshot};

use crate::{
    Bus, BusError, Deliveries, Delivery, Event, PublishError, PublishFailure, Publisher, Scope,
    Subscription,
    envelope::{self, Message},
};

/// Number of unreadable messages that are kept for an operator.
const UNREADABLE: usize = 100;

/// Bus inside one process. Clones are the same bus.
#[derive(Clone, Debug)]
pub struct MemoryBus(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// Maximum number of events that wait in one queue.
    capacity: usize,
    required_queues: BTreeSet<String>,
    required_kinds: BTreeSet<String>,
    state: Mutex<State>,
    /// Notified if a queue has room again.
    room: Notify,
}

#[derive(Debug, Default)]
struct State {
    queues: BTreeMap<Key, Queue>,
    /// Number of the last subscription.
    last: u64,
    unreadable: VecDeque<Message>,
}

/// Name of a queue: the consumer, and the subscription if it is a process's own.
type Key = (String, Option<u64>);

#[derive(Debug)]
struct Queue {
    kinds: BTreeSet<String>,
    waiting: VecDeque<Entry>,
    /// Subscriptions in the order of their arrival. The first one consumes.
    consumers: VecDeque<u64>,
    /// Reason for its end, if it has ended.
    ended: Option<String>,
    changed: Arc<Notify>,
}

#[derive(Debug)]
struct Entry {
    message: Arc<Message>,
    /// Told when the entry is settled. None in a process's queue.
    confirm: Option<oneshot::Sender<()>>,
}

impl MemoryBus {
    /// Creates a bus whose queues hold this number of waiting events. At least 1.
    pub fn new(capacity: usize) -> Self {
        Self(Arc::new(Shared {
            capacity: capacity.max(1),
            required_queues: BTreeSet::new(),
            required_kinds: BTreeSet::new(),
            state: Mutex::default(),
            room: Notify::new(),
        }))
    }

    /// Creates a bus that opens no publisher until these consumers have subscribed once, and refuses an
    /// event of these kinds of aggregates while no queue takes it.
    pub fn requiring<'a>(
        capacity: usize,
        queues: impl IntoIterator<Item = &'a str>,
        kinds: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        Self(Arc::new(Shared {
            capacity: capacity.max(1),
            required_queues: queues.into_iter().map(str::to_owned).collect(),
            required_kinds: kinds.into_iter().map(str::to_owned).collect(),
            state: Mutex::default(),
            room: Notify::new(),
        }))
    }

    /// Returns the last unreadable messages that were settled, at most 100.
    pub fn unreadable(&self) -> Vec<Message> {
        self.0.lock().unreadable.iter().cloned().collect()
    }

    /// Puts a message, readable or not, into the queues of this kind of aggregates.
    #[cfg(feature = "testing")]
    pub fn inject(&self, kind: &str, message: Message) {
        let message = Arc::new(message);
        for queue in self.0.lock().queues.values_mut().filter(|queue| queue.kinds.contains(kind)) {
            queue.waiting.push_back(Entry { message: Arc::clone(&message), confirm: None });
            queue.changed.notify_waiters();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts an event into its queues. Returns None while one of them is full.
    fn offer(
        &self,
        kind: &str,
        message: &Arc<Message>,
    ) -> Option<Result<Vec<oneshot::Receiver<()>>, PublishFailure>> {
        let mut state = self.lock();
        let mut queues: Vec<_> =
            state.queues.iter_mut().filter(|(_, queue)| queue.kinds.contains(kind)).collect();
        if queues.is_empty() && self.required_kinds.contains(kind) {
            let refused = format!("no queue takes events of {kind}: subscribe its consumer first");
            return Some(Err(PublishFailure::Refused(refused)));
        }
        let full = |queue: &Queue| queue.waiting.len() >= self.capacity;
        if queues.iter().any(|((_, process), queue)| process.is_none() && full(queue)) {
            return None;
        }
        let mut confirms = Vec::new();
        for ((_, process), queue) in &mut queues {
            if process.is_some() && full(queue) {
                queue.waiting.clear();
                queue.ended = Some(format!("the consumer is {} events behind", self.capacity));
            }
            if queue.ended.is_none() {
                let confirm = process.is_none().then(|| {
                    let (confirm, confirmed) = oneshot::channel();
                    confirms.push(confirmed);
                    confirm
                });
                queue.waiting.push_back(Entry { message: Arc::clone(message), confirm });
            }
            queue.changed.notify_waiters();
        }
        Some(Ok(confirms))
    }

    /// Puts an event into its queues once each of them has room.
    async fn put(
        &self,
        kind: &str,
        message: &Arc<Message>,
    ) -> Result<Vec<oneshot::Receiver<()>>, PublishFailure> {
        loop {
            // Before the look, so that room that is made after it is noticed.
            let mut room = std::pin::pin!(self.room.notified());
            room.as_mut().enable();
            if let Some(put) = self.offer(kind, message) {
                return put;
            }
            room.await;
        }
    }
}

#[async_trait]
impl Bus for MemoryBus {
    async fn publisher(&self) -> Result<Box<dyn Publisher>, BusError> {
        let state = self.0.lock();
        let missing = |name: &&String| !state.queues.contains_key(&((*name).clone(), None));
        let missing: Vec<_> = self.0.required_queues.iter().filter(missing).cloned().collect();
        if missing.is_empty() {
            return Ok(Box::new(MemoryPublisher(Arc::clone(&self.0))));
        }
        Err(BusError::Unavailable(format!("no queue yet of {}", missing.join(", "))))
    }

    async fn subscribe(
        &self,
        subscription: &Subscription,
    ) -> Result<Box<dyn Deliveries>, BusError> {
        let mut state = self.0.lock();
        state.last += 1;
        let number = state.last;
        let process = (subscription.scope == Scope::Process).then_some(number);
        let key = (subscription.consumer.clone(), process);
        let queue = state.queues.entry(key.clone()).or_insert_with(|| Queue {
            kinds: BTreeSet::new(),
            waiting: VecDeque::new(),
            consumers: VecDeque::new(),
            ended: None,
            changed: Arc::default(),
        });
        queue.kinds.extend(subscription.aggregates.iter().cloned());
        queue.consumers.push_back(number);
        Ok(Box::new(MemoryDeliveries {
            shared: Arc::clone(&self.0),
            changed: Arc::clone(&queue.changed),
            key,
            number,
            prefetch: usize::from(subscription.prefetch.get()),
            last: 0,
            unsettled: BTreeMap::new(),
        }))
    }
}

#[derive(Debug)]
struct MemoryPublisher(Arc<Shared>);

impl MemoryPublisher {
    async fn put(&self, event: &Event) -> Result<Vec<oneshot::Receiver<()>>, PublishFailure> {
        let message = envelope::write(event);
        let message = message.map_err(|error| PublishFailure::Refused(error.to_string()))?;
        self.0.put(event.aggregate.kind(), &Arc::new(message)).await
    }
}

#[async_trait]
impl Publisher for MemoryPublisher {
    async fn publish(&mut self, events: &[Event]) -> Result<(), PublishError> {
        let mut put = Vec::with_capacity(events.len());
        let mut refused = None;
        for event in events {
            match self.put(event).await {
                Ok(confirms) => put.push(confirms),
                Err(cause) => {
                    refused = Some(cause);
                    break;
                }
            }
        }
        for (confirmed, confirm) in put.iter_mut().enumerate() {
            for confirm in confirm {
                confirm.await.map_err(|_| PublishError {
                    confirmed,
                    cause: BusError::Unavailable("the queue has ended".to_owned()).into(),
                })?;
            }
        }
        match refused {
            None => Ok(()),
            Some(cause) => Err(PublishError { confirmed: put.len(), cause }),
        }
    }
}

#[derive(Debug)]
struct MemoryDeliveries {
    shared: Arc<Shared>,
    changed: Arc<Notify>,
    key: Key,
    /// Number of the subscription.
    number: u64,
    prefetch: usize,
    /// Last tag.
    last: u64,
    unsettled: BTreeMap<u64, Entry>,
}

impl MemoryDeliveries {
    /// Takes the next delivery, if there is one and it is this subscription's turn.
    fn take(&mut self) -> Result<Option<Delivery>, BusError> {
        let mut state = self.shared.lock();
        let ended = || BusError::Unavailable("the queue has ended".to_owned());
        let queue = state.queues.get_mut(&self.key).ok_or_else(ended)?;
        if let Some(reason) = &queue.ended {
            return Err(BusError::Unavailable(reason.clone()));
        }
        if queue.consumers.front() != Some(&self.number) || self.unsettled.len() >= self.prefetch {
            return Ok(None);
        }
        let Some(entry) = queue.waiting.pop_front() else { return Ok(None) };
        drop(state);
        self.shared.room.notify_waiters();
        self.last += 1;
        let Message { headers, body } = &*entry.message;
        let headers = headers.iter().map(|(name, value)| (*name, Some(value.as_bytes())));
        let event = envelope::read(headers, body.clone()).map_err(|error| error.to_string());
        self.unsettled.insert(self.last, entry);
        Ok(Some(Delivery { tag: self.last, event }))
    }
}

#[async_trait]
impl Deliveries for MemoryDeliveries {
    async fn next(&mut self) -> Result<Delivery, BusError> {
        let changed = Arc::clone(&self.changed);
        loop {
            // Before the look, so that a change after it is noticed.
            let mut changed = std::pin::pin!(changed.notified());
            changed.as_mut().enable();
            if let Some(delivery) = self.take()? {
                return Ok(delivery);
            }
            changed.await;
        }
    }

    async fn settle(&mut self, tag: u64) -> Result<(), BusError> {
        let Some(Entry { message, confirm }) = self.unsettled.remove(&tag) else {
            return Err(BusError::Unavailable(format!("there is no unsettled delivery {tag}")));
        };
        let headers = message.headers.iter().map(|(name, value)| (*name, Some(value.as_bytes())));
        if envelope::read(headers, message.body.clone()).is_err() {
            let mut state = self.shared.lock();
            state.unreadable.truncate(UNREADABLE - 1);
            state.unreadable.push_front((*message).clone());
        }
        if let Some(confirm) = confirm {
            // The publisher may have ended: then the event is published again.
            let _ = confirm.send(());
        }
        Ok(())
    }

    async fn close(self: Box<Self>) {}
}

/// Returns what is unsettled to the head of the queue, in order.
impl Drop for MemoryDeliveries {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        if self.key.1.is_some() {
            state.queues.remove(&self.key);
        } else if let Some(queue) = state.queues.get_mut(&self.key) {
            queue.consumers.retain(|number| *number != self.number);
            while let Some((_, entry)) = self.unsettled.pop_last() {
                queue.waiting.push_front(entry);
            }
        }
        drop(state);
        self.changed.notify_waiters();
        self.shared.room.notify_waiters();
    }
}
