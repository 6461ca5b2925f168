//! Faults by script.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;

use crate::{
    Bus, BusError, Deliveries, Delivery, Event, PublishError, PublishFailure, Publisher,
    StoreError, Subscription,
};

/// Fate of one operation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    /// It succeeds.
    #[default]
    None,
    /// It fails and has no effect.
    Before,
    /// It fails and has its effect all the same. Of a batch, the first half does, unconfirmed.
    After,
    /// Of a batch, this number of events is confirmed; the rest is not published. Others fail.
    Confirmed(usize),
    /// The event after this number of confirmed ones is refused. Others fail.
    Refused(usize),
}

/// Fates of the next operations, in order. Later ones succeed. Clones share the script.
#[derive(Clone, Debug, Default)]
pub struct Faults(Arc<Mutex<VecDeque<Fault>>>);

impl Faults {
    /// Adds fates.
    pub fn add(&self, faults: impl IntoIterator<Item = Fault>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(faults);
    }

    /// Returns true once the script is at its end.
    pub fn is_over(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Takes the next fate.
    pub(crate) fn take(&self) -> Fault {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front().unwrap_or_default()
    }

    /// Runs an operation of a storage with the next fate.
    pub(crate) fn store<T>(&self, operation: impl FnOnce() -> T) -> Result<T, StoreError> {
        match self.take() {
            Fault::None => Ok(operation()),
            Fault::After => {
                operation();
                Err(StoreError::new("the answer was lost"))
            }
            Fault::Before | Fault::Confirmed(_) | Fault::Refused(_) => {
                Err(StoreError::new("the storage is away"))
            }
        }
    }
}

/// Bus that fails by script.
#[derive(Clone, Debug)]
pub struct FaultyBus {
    inner: Arc<dyn Bus>,
    /// Fates of opening publishers and subscriptions.
    pub opening: Faults,
    /// Fates of batches.
    pub publishing: Faults,
    /// Fates of settling and of taking deliveries.
    pub consuming: Faults,
}

impl FaultyBus {
    /// Creates a bus without faults.
    pub fn new(inner: impl Bus) -> Self {
        let (opening, publishing, consuming) = Default::default();
        Self { inner: Arc::new(inner), opening, publishing, consuming }
    }
}

fn away() -> BusError {
    BusError::Unavailable("the broker is away".to_owned())
}

#[async_trait]
impl Bus for FaultyBus {
    async fn publisher(&self) -> Result<Box<dyn Publisher>, BusError> {
        if self.opening.take() != Fault::None {
            return Err(away());
        }
        let inner = self.inner.publisher().await?;
        Ok(Box::new(FaultyPublisher { inner, faults: self.publishing.clone() }))
    }

    async fn subscribe(
        &self,
        subscription: &Subscription,
    ) -> Result<Box<dyn Deliveries>, BusError> {
        if self.opening.take() != Fault::None {
            return Err(away());
        }
        let inner = self.inner.subscribe(subscription).await?;
        Ok(Box::new(FaultyDeliveries { inner, faults: self.consuming.clone() }))
    }
}

#[derive(Debug)]
struct FaultyPublisher {
    inner: Box<dyn Publisher>,
    faults: Faults,
}

#[async_trait]
impl Publisher for FaultyPublisher {
    async fn publish(&mut self, events: &[Event]) -> Result<(), PublishError> {
        let (published, confirmed, cause) = match self.faults.take() {
            Fault::None => return self.inner.publish(events).await,
            Fault::Before => (0, 0, away().into()),
            Fault::After => (events.len().div_ceil(2), 0, away().into()),
            Fault::Confirmed(number) => (number, number, away().into()),
            Fault::Refused(number) => {
                (number, number, PublishFailure::Refused("refused by script".to_owned()))
            }
        };
        let last = events.len().saturating_sub(1);
        self.inner.publish(&events[..published.min(last)]).await?;
        Err(PublishError { confirmed: confirmed.min(last), cause })
    }
}

#[derive(Debug)]
struct FaultyDeliveries {
    inner: Box<dyn Deliveries>,
    faults: Faults,
}

#[async_trait]
impl Deliveries for FaultyDeliveries {
    async fn next(&mut self) -> Result<Delivery, BusError> {
        let delivery = self.inner.next().await?;
        match self.faults.take() {
            Fault::None => Ok(delivery),
            _ => Err(away()),
        }
    }

    async fn settle(&mut self, tag: u64) -> Result<(), BusError> {
        match self.faults.take() {
            Fault::None => self.inner.settle(tag).await,
            Fault::After => {
                self.inner.settle(tag).await?;
                Err(away())
            }
            _ => Err(away()),
        }
    }

    async fn close(self: Box<Self>) {
        self.inner.close().await;
    }
}
