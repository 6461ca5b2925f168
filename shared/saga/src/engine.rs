//! Engine: claims sagas without a lease and drives them.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt, mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use opentelemetry::metrics::Meter;
use serde::de::DeserializeOwned;
use tokio::{
    sync::{Notify, watch},
    task::{JoinError, JoinHandle, JoinSet},
    time::{MissedTickBehavior, interval},
};
use tracing::{Instrument, field::Empty};
use uuid::Uuid;

use crate::{
    Carrier, Claimed, Definition, DefinitionError, Log, LogError, Operator, Policy, Status,
    carrier::NoCarrier,
    drive::{Drive, DriveError, Driver, Left, Stop},
    measure::Measures,
    progress::Plan,
    upkeep::Upkeep,
};

/// Largest number of new sagas that wait for a free place in this engine.
const MAX_NEW: usize = 1024;

/// Drives the sagas of its definitions until it is closed.
///
/// A new saga, a saga of a crashed replica and a saga waiting for its next round look the same to
/// the engine: running and without a lease. So no saga is lost between writing and driving it, and
/// recovery is not a special case. Sagas of other names are left to the replicas that know them. A
/// saga that is [reserved](crate::NewSaga::reserved) is left to its writer's engine for a moment.
#[derive(Debug)]
pub struct Engine {
    wake: Handle,
    operator: Operator,
    /// Dropped to stop the worker.
    stop: watch::Sender<()>,
    worker: JoinHandle<()>,
    upkeep: JoinHandle<()>,
}

/// An [`Engine`] that has not been started.
pub struct Builder {
    log: Arc<dyn Log>,
    policy: Policy,
    carrier: Arc<dyn Carrier>,
    drivers: Drivers,
    meter: Option<(Meter, String)>,
}

/// Drivers by the names of their definitions.
type Drivers = BTreeMap<&'static str, Arc<dyn Drive>>;

/// Wakes an engine when a new saga was written. Clones wake the same engine.
#[derive(Clone, Debug)]
pub struct Handle(Arc<Wake>);

/// What an engine is woken for.
#[derive(Debug, Default)]
struct Wake {
    notify: Notify,
    /// Sagas to look for.
    wanted: Mutex<Wanted>,
}

#[derive(Debug, Default)]
struct Wanted {
    /// True if any saga may be without a lease.
    any: bool,
    /// Sagas that this process has written.
    new: VecDeque<Uuid>,
}

impl Engine {
    /// Begins an engine over a log. It has no definitions yet.
    pub fn builder(log: Arc<dyn Log>, policy: Policy) -> Builder {
        let carrier = Arc::new(NoCarrier);
        Builder { log, policy, carrier, drivers: Drivers::new(), meter: None }
    }

    /// Returns a handle for the code that writes new sagas.
    pub fn handle(&self) -> Handle {
        self.wake.clone()
    }

    /// Returns the operator's access to the sagas of this log.
    pub fn operator(&self) -> Operator {
        self.operator.clone()
    }

    /// Stops the engine: starts no more attempts, waits for those in flight and their log writes,
    /// and releases the leases. Takes at most one attempt timeout.
    pub async fn close(self) {
        drop(self.stop);
        for task in [self.worker, self.upkeep] {
            if let Err(error) = task.await {
                tracing::error!(%error, "saga worker failed");
            }
        }
    }
}

impl Builder {
    /// Sets the carrier of the sagas' contexts, for the definitions that follow. Without one, steps
    /// find the context in [`Call::context`](crate::Call::context) only.
    #[must_use]
    pub fn carrier(mut self, carrier: impl Carrier) -> Self {
        self.carrier = Arc::new(carrier);
        self
    }

    /// Measures the sagas, as those of `service`: docs/METRICS.md lists the metrics.
    #[must_use]
    pub fn measured(mut self, meter: &Meter, service: &str) -> Self {
        self.meter = Some((meter.clone(), service.to_owned()));
        self
    }

    /// Adds a definition.
    ///
    /// # Errors
    /// [`DefinitionError`] if its name or the name of a step is taken.
    pub fn definition<I>(mut self, definition: Definition<I>) -> Result<Self, DefinitionError>
    where
        I: DeserializeOwned + Send + Sync + 'static,
    {
        definition.check()?;
        let name = definition.name();
        let driver = Driver {
            plan: definition.plan(self.policy.max_rounds.get()),
            definition,
            policy: self.policy.clone(),
            log: Arc::clone(&self.log),
            carrier: Arc::clone(&self.carrier),
        };
        match self.drivers.insert(name, Arc::new(driver)) {
            None => Ok(self),
            Some(_) => Err(DefinitionError::Name(name)),
        }
    }

    /// Starts driving. Resumes unfinished sagas at once or, if they are leased, when their lease
    /// ends.
    ///
    /// Dropping the engine stops it without waiting.
    pub fn start(self) -> Engine {
        let Self { log, policy, carrier, drivers, meter } = self;
        let names: Vec<_> = drivers.keys().copied().collect();
        let measures = meter.map(|(meter, service)| Measures::new(&meter, &service, &names));
        let plans: BTreeMap<_, Plan> =
            drivers.iter().map(|(name, driver)| (*name, driver.plan().clone())).collect();
        let (stop, stopped) = watch::channel(());
        let wake = Handle(Arc::default());
        let operator =
            Operator::new(Arc::clone(&log), plans.into(), wake.clone(), measures.clone());
        let (kept, watched) = (policy.keep_ended, Arc::clone(&log));
        let upkeep = Upkeep { log: watched, measures: measures.clone(), kept };
        let upkeep = tokio::spawn(upkeep.keep_running(stopped.clone()));
        let worker = Worker { log, policy, carrier, drivers, measures };
        let worker = tokio::spawn(Arc::new(worker).work(Arc::clone(&wake.0), stopped));
        Engine { wake, operator, stop, worker, upkeep }
    }
}

impl Handle {
    /// Makes the engine look for new sagas now. Without it, they wait for the next poll.
    pub fn wake(&self) {
        self.0.wanted().any = true;
        self.0.notify.notify_one();
    }

    /// Makes the engine drive a saga that this process has written, in preference to others.
    pub fn begun(&self, saga: Uuid) {
        let mut wanted = self.0.wanted();
        // Beyond it they are found like those of other processes.
        if wanted.new.len() < MAX_NEW {
            wanted.new.push_back(saga);
        }
        drop(wanted);
        self.0.notify.notify_one();
    }
}

impl Wake {
    fn wanted(&self) -> MutexGuard<'_, Wanted> {
        // No code panics while it holds the lock, so the value is consistent.
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wanted {
    /// Takes up to `room` new sagas.
    fn take(&mut self, room: usize) -> Vec<Uuid> {
        let taken = room.min(self.new.len());
        self.new.drain(..taken).collect()
    }
}

struct Worker {
    log: Arc<dyn Log>,
    policy: Policy,
    carrier: Arc<dyn Carrier>,
    drivers: Drivers,
    measures: Option<Arc<Measures>>,
}

impl Worker {
    async fn work(self: Arc<Self>, wake: Arc<Wake>, mut stop: Stop) {
        let names: Vec<_> = self.drivers.keys().copied().collect();
        let concurrency = self.policy.concurrency.get();
        let mut poll = interval(self.policy.poll);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut sagas = JoinSet::new();
        // True if more sagas may be waiting: the last claim filled all free places, or there was
        // none.
        let mut more = false;
        // True while claiming fails, so that an outage is logged once and not at every poll.
        let mut failing = false;
        loop {
            let mut look = tokio::select! {
                // Stopping takes precedence over new work.
                biased;
                // Closed without a value: the engine stops.
                _ = stop.changed() => break,
                Some(ended) = sagas.join_next() => {
                    report(ended);
                    more
                }
                () = wake.notify.notified() => false,
                _ = poll.tick() => true,
            };
            let lease = self.policy.lease();
            let (new, room) = {
                let mut wanted = wake.wanted();
                look |= mem::take(&mut wanted.any);
                let free = concurrency - sagas.len();
                let new = wanted.take(free);
                let room = free - new.len();
                (new, room)
            };
            let mut claims = Vec::new();
            if !new.is_empty() {
                // Those that cannot be claimed now are found by a later poll.
                claims.push(self.log.claim_new(&new, &names, lease).await);
            }
            if look && room > 0 {
                let claimed = self.log.claim(&names, room, lease).await;
                if let Ok(claimed) = &claimed {
                    more = claimed.len() == room;
                }
                claims.push(claimed);
            } else {
                more |= look;
            }
            for claimed in claims {
                match claimed {
                    Ok(claimed) => {
                        failing = false;
                        for saga in claimed {
                            sagas.spawn(Arc::clone(&self).carry(saga, stop.clone()));
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
        }
        while let Some(ended) = sagas.join_next().await {
            report(ended);
        }
    }

    /// Drives one saga and logs the result.
    async fn carry(self: Arc<Self>, saga: Claimed, stop: Stop) {
        let Claimed { id, epoch, ref name, ref context, .. } = saga;
        // Only the engine's own names are claimed. A saga of another name waits for its lease.
        let Some((&definition, driver)) = self.drivers.get_key_value(&**name) else { return };
        let span = tracing::info_span!(
            "saga",
            otel.name = %format_args!("saga {name}"),
            // The carrier knows it.
            gantry.service = Empty,
            name,
            %id,
            epoch,
            request_id = context.request_id,
            actor = context.actor,
        );
        self.carrier.join(context, &span);
        async {
            let pause = match driver.drive(saga, stop).await {
                Ok(Left::Ended(status)) => {
                    if let Some(measures) = &self.measures {
                        measures.left(definition, status);
                    }
                    return match status {
                        Status::Stuck => {
                            tracing::error!("saga stuck: an operator must resume or force it");
                        }
                        status => tracing::debug!(status = status.as_str(), "saga ended"),
                    };
                }
                // Debug only: an outage pauses thousands of sagas, and the client logs the outage.
                Ok(Left::Paused(pause)) => {
                    return tracing::debug!(?pause, "saga paused: no answer");
                }
                Ok(Left::Stopped) => return tracing::debug!("saga released: engine stops"),
                Err(DriveError::Log(LogError::Stale)) => {
                    return tracing::warn!("saga lost to another replica or an operator");
                }
                Err(error @ DriveError::Log(_)) => {
                    tracing::warn!(%error, "saga dropped");
                    self.policy.pause_initial
                }
                Err(error @ (DriveError::Mismatch(_) | DriveError::Input(_))) => {
                    tracing::error!(%error, "saga cannot be driven");
                    self.policy.pause_max
                }
            };
            // If this fails too, the saga can be claimed when the lease expires.
            if let Err(error) = self.log.release(id, epoch, pause).await {
                tracing::debug!(%error, "releasing the lease failed");
            }
        }
        .instrument(span)
        .await;
    }
}

fn report(ended: Result<(), JoinError>) {
    // A step panicked: the saga continues when its lease expires.
    if let Err(error) = ended {
        tracing::error!(%error, "saga task failed");
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("definitions", &self.drivers.keys())
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}
