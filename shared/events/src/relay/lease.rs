//! Lease of a relay.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::{Outbox, StoreError};

#[derive(Debug)]
pub(crate) struct Lease {
    outbox: Arc<dyn Outbox>,
    holder: Uuid,
    length: Duration,
    /// Time of the last request that was granted, by this process's clock.
    taken: Option<Instant>,
}

impl Lease {
    pub(crate) fn new(outbox: Arc<dyn Outbox>, length: Duration) -> Self {
        Self { outbox, holder: Uuid::now_v7(), length, taken: None }
    }

    /// Returns the time between two requests: a third of the lease, so that one may fail.
    pub(crate) fn interval(&self) -> Duration {
        self.length / 3
    }

    /// Takes the lease, or extends it if it is time. Returns false if another relay has it.
    pub(crate) async fn hold(&mut self) -> Result<bool, StoreError> {
        match self.taken {
            Some(taken) if taken.elapsed() < self.interval() => Ok(true),
            _ => self.request().await,
        }
    }

    /// Extends the lease for as long as the future is polled. If another relay has it, the next
    /// [`hold`](Self::hold) says so: a batch that has begun is finished, which at worst makes duplicates.
    pub(crate) async fn extend(&mut self) {
        loop {
            sleep(self.interval()).await;
            if let Err(error) = self.request().await {
                tracing::debug!(%error, "the lease of the outbox was not extended");
            }
        }
    }

    /// Gives the lease back.
    pub(crate) async fn release(&mut self) -> Result<(), StoreError> {
        match self.taken.take() {
            Some(_) => self.outbox.release(self.holder).await,
            None => Ok(()),
        }
    }

    async fn request(&mut self) -> Result<bool, StoreError> {
        let asked = Instant::now();
        let granted = self.outbox.lease(self.holder, self.length).await?;
        self.taken = granted.then_some(asked);
        Ok(granted)
    }
}
