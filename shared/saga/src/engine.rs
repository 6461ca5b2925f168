//! Engine: claims sagas without a lease and drives them.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use tokio::{
    sync::{Notify, watch},
    task::{JoinError, JoinHandle, JoinSet},
    time::{MissedTickBehavior, interval},
};
use tracing::Instrument;

use crate::{
    Claimed, Definition, Log, LogError, Policy, Status,
    drive::{DriveError, Driver, Left, Stop},
};

/// Drives the sagas of one definition until it is closed.
///
/// A new saga, a saga of a crashed replica and a saga waiting for its next round look the same to
/// the engine: running and without a lease. So no saga is lost between writing and driving it, and
/// recovery is not a special case.
#[derive(Debug)]
pub struct Engine {
    wake: Arc<Notify>,
    /// Dropped to stop the worker.
    stop: watch::Sender<()>,
    worker: JoinHandle<()>,
}

/// Wakes an engine when a new saga was written. Clones wake the same engine.
#[derive(Clone, Debug)]
pub struct Handle(Arc<Notify>);

impl Engine {
    /// Starts driving. Unfinished sagas are resumed at once, or when their lease ends.
    ///
    /// Dropping the engine stops it without waiting.
    pub fn start<I>(definition: Definition<I>, log: Arc<dyn Log>, policy: Policy) -> Self
    where
        I: DeserializeOwned + Send + Sync + 'static,
    {
        let (stop, stopped) = watch::channel(());
        let wake = Arc::new(Notify::new());
        let plan = definition.plan(policy.max_rounds.get());
        let driver = Arc::new(Driver { definition, plan, policy, log });
        let worker = tokio::spawn(work(driver, Arc::clone(&wake), stopped));
        Self { wake, stop, worker }
    }

    /// Returns a handle for the code that writes new sagas.
    pub fn handle(&self) -> Handle {
        Handle(Arc::clone(&self.wake))
    }

    /// Stops: begins nothing more, waits for the attempts under way and their log writes, and
    /// releases the leases. Takes at most one attempt timeout.
    pub async fn close(self) {
        drop(self.stop);
        if let Err(error) = self.worker.await {
            tracing::error!(%error, "saga worker failed");
        }
    }
}

impl Handle {
    /// Makes the engine look for new sagas now. Without it, they wait for the next poll.
    pub fn wake(&self) {
        self.0.notify_one();
    }
}

async fn work<I>(driver: Arc<Driver<I>>, wake: Arc<Notify>, mut stop: Stop)
where
    I: DeserializeOwned + Send + Sync + 'static,
{
    let concurrency = driver.policy.concurrency.get();
    let mut poll = interval(driver.policy.poll);
    poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut sagas = JoinSet::new();
    // True if the last claim may have left sagas behind, because it was limited by the room.
    let mut more = false;
    // True while claiming fails, to log an outage once and not at every poll.
    let mut failing = false;
    loop {
        let look = tokio::select! {
            // Stopping takes precedence over new work.
            biased;
            // Closed without a value: the engine stops.
            _ = stop.changed() => break,
            Some(ended) = sagas.join_next() => {
                report(ended);
                more
            }
            () = wake.notified() => true,
            _ = poll.tick() => true,
        };
        let room = concurrency - sagas.len();
        if !look || room == 0 {
            more |= look;
            continue;
        }
        match driver.log.claim(driver.definition.name(), room, driver.policy.lease()).await {
            Ok(claimed) => {
                failing = false;
                more = claimed.len() == room;
                for saga in claimed {
                    sagas.spawn(carry(Arc::clone(&driver), saga, stop.clone()));
                }
            }
            Err(error) => {
                if !failing {
                    tracing::warn!(%error, "claiming sagas failed");
                }
                failing = true;
            }
        }
    }
    while let Some(ended) = sagas.join_next().await {
        report(ended);
    }
}

/// Drives one saga and logs how it ended.
async fn carry<I>(driver: Arc<Driver<I>>, saga: Claimed, stop: Stop)
where
    I: DeserializeOwned + Send + Sync + 'static,
{
    let (id, epoch) = (saga.id, saga.epoch);
    let span = tracing::info_span!("saga", name = driver.definition.name(), %id, epoch);
    async {
        let pause = match driver.drive(saga, stop).await {
            Ok(Left::Ended(Status::Stuck)) => {
                return tracing::error!("saga stuck: an operator must resume or abort it");
            }
            Ok(Left::Ended(status)) => {
                return tracing::debug!(status = status.as_str(), "saga ended");
            }
            // Debug only: an outage pauses thousands of sagas, and the client logs the outage.
            Ok(Left::Paused(pause)) => return tracing::debug!(?pause, "saga paused: no answer"),
            Ok(Left::Stopped) => return tracing::debug!("saga released: engine stops"),
            Err(DriveError::Log(LogError::Stale)) => {
                return tracing::warn!("saga lost to another replica");
            }
            Err(error @ DriveError::Log(LogError::Unavailable(_))) => {
                tracing::warn!(%error, "saga dropped");
                driver.policy.pause_initial
            }
            Err(error @ (DriveError::Mismatch(_) | DriveError::Input(_))) => {
                tracing::error!(%error, "saga cannot be driven");
                driver.policy.pause_max
            }
        };
        // If this fails too, the lease expires by itself.
        if let Err(error) = driver.log.release(id, epoch, pause).await {
            tracing::debug!(%error, "releasing the lease failed");
        }
    }
    .instrument(span)
    .await;
}

fn report(ended: Result<(), JoinError>) {
    // A step panicked: the saga continues when its lease expires.
    if let Err(error) = ended {
        tracing::error!(%error, "saga task failed");
    }
}
