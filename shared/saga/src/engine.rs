//! Finds sagas that nobody drives, and drives them.

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
/// A new saga, one whose replica crashed and one that waits for its next round are all
/// the same to it: a running saga without a lease. So nothing is lost between writing a
/// saga and driving it, and recovery is no special case.
#[derive(Debug)]
pub struct Engine {
    wake: Arc<Notify>,
    /// Dropped to stop the worker.
    stop: watch::Sender<()>,
    worker: JoinHandle<()>,
}

/// Tells an engine that there is a new saga. Clones tell the same one.
#[derive(Clone, Debug)]
pub struct Handle(Arc<Notify>);

impl Engine {
    /// Starts driving. What was left unfinished is resumed at once where no lease
    /// holds it, and otherwise when its lease ends.
    ///
    /// Dropping the engine stops it too, but does not wait for it.
    pub fn start<I>(definition: Definition<I>, log: Arc<dyn Log>, policy: Policy) -> Self
    where
        I: DeserializeOwned + Send + Sync + 'static,
    {
        let (stop, stopped) = watch::channel(());
        let wake = Arc::new(Notify::new());
        let plan = definition.plan(policy.patience.get());
        let driver = Arc::new(Driver { definition, plan, policy, log });
        let worker = tokio::spawn(work(driver, Arc::clone(&wake), stopped));
        Self { wake, stop, worker }
    }

    /// For those who write new sagas.
    pub fn handle(&self) -> Handle {
        Handle(Arc::clone(&self.wake))
    }

    /// Stops: waits for the attempts under way and what they write, gives up the
    /// leases, and begins nothing more. Takes an attempt's timeout at most.
    pub async fn close(self) {
        drop(self.stop);
        if let Err(error) = self.worker.await {
            tracing::error!(%error, "saga worker failed");
        }
    }
}

impl Handle {
    /// Makes the engine look for new sagas now. Forgetting to costs a poll interval.
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
    // Whether the last look left something: it asked for no more than there was room.
    let mut more = false;
    // Whether that is known and has been said: it would be a line at every poll.
    let mut failing = false;
    loop {
        let look = tokio::select! {
            // Stopping goes before looking for work.
            biased;
            // An error: the sender is gone. Nothing is ever sent.
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
                    tracing::warn!(%error, "cannot look for sagas");
                }
                failing = true;
            }
        }
    }
    while let Some(ended) = sagas.join_next().await {
        report(ended);
    }
}

/// Drives one saga and says how that went.
async fn carry<I>(driver: Arc<Driver<I>>, saga: Claimed, stop: Stop)
where
    I: DeserializeOwned + Send + Sync + 'static,
{
    let (id, epoch) = (saga.id, saga.epoch);
    let span = tracing::info_span!("saga", name = driver.definition.name(), %id, epoch);
    async {
        let pause = match driver.drive(saga, stop).await {
            Ok(Left::Ended(Status::Stuck)) => {
                return tracing::error!("saga stuck: an operator must see to it");
            }
            Ok(Left::Ended(status)) => {
                return tracing::debug!(status = status.as_str(), "saga ended");
            }
            // In an outage there may be thousands of them; who is away is said by who calls it.
            Ok(Left::Paused(pause)) => return tracing::debug!(?pause, "saga waits for an answer"),
            Ok(Left::Stopped) => return tracing::debug!("saga left for later"),
            Err(DriveError::Log(LogError::Stale)) => {
                return tracing::warn!("saga lost to another replica");
            }
            Err(error @ DriveError::Log(LogError::Unavailable(_))) => {
                tracing::warn!(%error, "saga dropped");
                driver.policy.pause_initial
            }
            Err(error @ (DriveError::Misfit(_) | DriveError::Input(_))) => {
                tracing::error!(%error, "saga cannot be driven");
                driver.policy.pause_max
            }
        };
        // Where this fails too, the lease's end does it.
        if let Err(error) = driver.log.release(id, epoch, pause).await {
            tracing::debug!(%error, "lease not given up");
        }
    }
    .instrument(span)
    .await;
}

fn report(ended: Result<(), JoinError>) {
    // A panic within a step: the saga goes on when its lease has ended.
    if let Err(error) = ended {
        tracing::error!(%error, "saga task failed");
    }
}
