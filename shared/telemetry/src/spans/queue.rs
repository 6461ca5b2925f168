//! Queue between the threads that end spans and the thread that exports them.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use opentelemetry_sdk::trace::SpanData;
use tokio::{sync::Notify, time::Instant};

use super::counts::{Reason, count_dropped};

/// Ended span, and the number of its service.
pub(super) type Ended = (usize, SpanData);

#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    capacity: usize,
    batch: usize,
    /// Wakes the exporting thread: a batch is full, or the queue is closed.
    ready: Notify,
    /// Wakes the thread that waits for the last export.
    finished: Condvar,
}

#[derive(Debug, Default)]
struct State {
    spans: VecDeque<Ended>,
    /// End of the last export. None while the queue is open.
    closed: Option<Instant>,
    is_finished: bool,
}

impl Queue {
    pub(super) fn new(capacity: usize, batch: usize) -> Self {
        Self {
            state: Mutex::default(),
            capacity,
            batch: batch.min(capacity),
            ready: Notify::new(),
            finished: Condvar::new(),
        }
    }

    /// Queues a span, or drops it if there is no room.
    pub(super) fn push(&self, service: usize, span: SpanData) {
        let mut state = self.lock();
        if state.closed.is_some() || state.spans.len() >= self.capacity {
            drop(state);
            return count_dropped(Reason::QueueFull, 1);
        }
        state.spans.push_back((service, span));
        let is_batch = state.spans.len() == self.batch;
        drop(state);
        if is_batch {
            self.ready.notify_one();
        }
    }

    /// Waits until a batch is full or the queue is closed.
    pub(super) async fn ready(&self) {
        self.ready.notified().await;
    }

    /// Takes up to one batch.
    pub(super) fn take(&self) -> Vec<Ended> {
        let mut state = self.lock();
        let number = state.spans.len().min(self.batch);
        state.spans.drain(..number).collect()
    }

    /// Returns the end of the last export, if the queue is closed.
    pub(super) fn closed(&self) -> Option<Instant> {
        self.lock().closed
    }

    /// Closes the queue and waits at most `timeout` for the export of what it holds. Returns false
    /// if that was too short.
    pub(super) fn close(&self, timeout: Duration) -> bool {
        let mut state = self.lock();
        state.closed.get_or_insert_with(|| Instant::now() + timeout);
        self.ready.notify_one();
        let waited = self.finished.wait_timeout_while(state, timeout, |state| !state.is_finished);
        waited.unwrap_or_else(PoisonError::into_inner).0.is_finished
    }

    /// Reports that nothing more will be exported.
    pub(super) fn finish(&self) {
        self.lock().is_finished = true;
        self.finished.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code panics while it holds the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
