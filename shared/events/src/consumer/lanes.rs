//! Lanes of a consumer: the events of an aggregate one after the other, those of others at the same time.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    panic::AssertUnwindSafe,
    sync::Arc,
    time::Duration,
};

use futures_util::FutureExt;
use tokio::{
    select,
    sync::mpsc,
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    ConsumerSettings, Event, Handled, Handler, HandlerError,
    measure::{ConsumerMeasures, RetryCause},
};

/// Event in hand, with the tag of its delivery.
type InHand = (u64, Event);

/// Lanes of one subscription. Dropping them stops them.
#[derive(Debug)]
pub(crate) struct Lanes {
    entrances: Vec<mpsc::Sender<InHand>>,
    handled: mpsc::Receiver<u64>,
    /// Cancelled to wait for no failing event any more.
    draining: CancellationToken,
    /// Cancelled to begin with no event any more.
    abandoned: CancellationToken,
    tasks: JoinSet<()>,
}

/// A lane has more events than the subscription may have unsettled.
#[derive(Debug)]
pub(crate) struct LaneFull;

impl Lanes {
    /// Starts the lanes.
    pub(crate) fn start(
        handler: &Arc<dyn Handler>,
        settings: &ConsumerSettings,
        measures: &Arc<ConsumerMeasures>,
    ) -> Self {
        let prefetch = usize::from(settings.prefetch.get());
        let (report, handled) = mpsc::channel(prefetch);
        let (draining, abandoned) = (CancellationToken::new(), CancellationToken::new());
        let mut tasks = JoinSet::new();
        let entrances = (0..settings.lanes.get()).map(|_| {
            // No lane gets more than is unsettled in all.
            let (entrance, events) = mpsc::channel(prefetch);
            let lane = Lane {
                handler: Arc::clone(handler),
                settings: settings.clone(),
                measures: Arc::clone(measures),
                report: report.clone(),
                draining: draining.clone(),
                abandoned: abandoned.clone(),
            };
            tasks.spawn(lane.run(events));
            entrance
        });
        let entrances = entrances.collect();
        Self { entrances, handled, draining, abandoned, tasks }
    }

    /// Puts an event into the lane of its aggregate.
    pub(crate) fn put(&self, tag: u64, event: Event) -> Result<(), LaneFull> {
        let mut hasher = DefaultHasher::new();
        event.aggregate.hash(&mut hasher);
        let number = self.entrances.len() as u64;
        // Fits: it is less than the number of lanes.
        let lane = (hasher.finish() % number.max(1)) as usize;
        let entrance = self.entrances.get(lane).ok_or(LaneFull)?;
        entrance.try_send((tag, event)).map_err(|_| LaneFull)
    }

    /// Waits for the tag of a handled event. None once all lanes have ended.
    pub(crate) async fn handled(&mut self) -> Option<u64> {
        self.handled.recv().await
    }

    /// Lets the lanes end after the events that they have. A failing event, and those behind it, are left.
    pub(crate) fn drain(&mut self) {
        self.entrances.clear();
        self.draining.cancel();
    }

    /// Ends the lanes after the events that are being handled.
    pub(crate) async fn abandon(mut self, within: Duration) {
        self.entrances.clear();
        self.draining.cancel();
        self.abandoned.cancel();
        // Nobody settles what they report now.
        self.handled.close();
        let ended = async { while self.tasks.join_next().await.is_some() {} };
        if timeout(within, ended).await.is_err() {
            // The handler's work runs to its end without them.
            self.tasks.shutdown().await;
        }
    }
}

/// Outcome of an event in its lane.
enum Left {
    /// It can be settled.
    Done,
    /// It is delivered again, and so are those behind it.
    Unsettled,
}

struct Lane {
    handler: Arc<dyn Handler>,
    settings: ConsumerSettings,
    measures: Arc<ConsumerMeasures>,
    report: mpsc::Sender<u64>,
    draining: CancellationToken,
    abandoned: CancellationToken,
}

impl Lane {
    async fn run(self, mut events: mpsc::Receiver<InHand>) {
        while let Some((tag, event)) = events.recv().await {
            if self.abandoned.is_cancelled() {
                return;
            }
            match self.carry(&event).await {
                // An error if the subscription has ended: the event is a duplicate of the next one.
                Left::Done if self.report.send(tag).await.is_ok() => {}
                Left::Done | Left::Unsettled => return,
            }
        }
    }

    /// Handles an event until it has succeeded or is parked.
    async fn carry(&self, event: &Event) -> Left {
        let Event { aggregate, sequence, kind, .. } = event;
        let request_id = event.context.request_id.as_deref();
        let (mut failures, mut outages) = (0, 0);
        loop {
            let wait = match self.attempt(event).await {
                Ok(handled) => {
                    self.measures.handled(event, handled);
                    tracing::debug!(%aggregate, sequence, kind, request_id, ?handled, "event handled");
                    return Left::Done;
                }
                Err(HandlerError::Store(error)) => {
                    if outages == 0 {
                        tracing::warn!(%aggregate, sequence, kind, request_id, %error, "event waits: the storage failed");
                    }
                    self.measures.retry(RetryCause::Store);
                    outages += 1;
                    outages
                }
                Err(HandlerError::Failed(cause)) => {
                    if failures == 0 {
                        tracing::warn!(%aggregate, sequence, kind, request_id, cause, "event failed: trying again");
                    }
                    self.measures.retry(RetryCause::Failed);
                    failures += 1;
                    if failures >= self.settings.attempts.get() {
                        return self.park(event, &cause).await;
                    }
                    failures
                }
            };
            if !self.wait(wait).await {
                return Left::Unsettled;
            }
        }
    }

    async fn attempt(&self, event: &Event) -> Result<Handled, HandlerError> {
        // A panic is the event's failure, and the hook has logged it.
        let handled = AssertUnwindSafe(self.handler.handle(event)).catch_unwind().await;
        handled.unwrap_or_else(|_| Err(HandlerError::Failed("the handler panicked".to_owned())))
    }

    async fn park(&self, event: &Event, cause: &str) -> Left {
        let Event { aggregate, sequence, kind, .. } = event;
        let request_id = event.context.request_id.as_deref();
        let mut outages = 0;
        while let Err(error) = self.handler.park(event, cause).await {
            outages += 1;
            self.measures.retry(RetryCause::Store);
            tracing::warn!(%aggregate, sequence, kind, request_id, %error, "event not parked: trying again");
            if !self.wait(outages).await {
                return Left::Unsettled;
            }
        }
        self.measures.handled(event, Handled::Parked);
        tracing::error!(%aggregate, sequence, kind, request_id, cause, "event parked: its aggregate waits for an operator");
        Left::Done
    }

    /// Waits before the next attempt. Returns false if there is to be none.
    async fn wait(&self, failures: u32) -> bool {
        select! {
            biased;
            () = self.draining.cancelled() => false,
            () = sleep(self.settings.backoff().after(failures)) => true,
        }
    }
}
