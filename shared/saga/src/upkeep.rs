//! Upkeep of the log: counts open sagas, and deletes sagas that ended long ago.

use std::{sync::Arc, time::Duration};

use tokio::time::{MissedTickBehavior, interval};

use crate::{Log, LogError, drive::Stop, measure::Measures};

/// Interval of counting.
const COUNT_EVERY: Duration = Duration::from_secs(10);
/// Interval of deleting.
const PURGE_EVERY: Duration = Duration::from_secs(10 * 60);
/// Number of sagas deleted at once, so that other writers wait a moment only.
const AT_ONCE: usize = 500;

pub(crate) struct Upkeep {
    pub(crate) log: Arc<dyn Log>,
    pub(crate) measures: Option<Arc<Measures>>,
    /// Time for which a saga is kept after its end.
    pub(crate) kept: Duration,
}

impl Upkeep {
    /// Runs until the engine stops. Cancelling a log's operation is safe.
    pub(crate) async fn keep_running(self, mut stop: Stop) {
        let every = |period| {
            let mut ticks = interval(period);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks
        };
        let (mut counts, mut purges) = (every(COUNT_EVERY), every(PURGE_EVERY));
        let upkeep = async {
            loop {
                tokio::select! {
                    _ = counts.tick() => self.count().await,
                    _ = purges.tick() => self.purge().await,
                }
            }
        };
        tokio::select! {
            () = upkeep => {}
            // Closed without a value: the engine stops.
            _ = stop.changed() => {}
        }
    }

    /// Counts the open sagas. A failure keeps the last numbers.
    async fn count(&self) {
        let Some(measures) = &self.measures else { return };
        match self.log.count().await {
            Ok(counts) => measures.counted(counts),
            Err(error) => tracing::debug!(%error, "open sagas not counted"),
        }
    }

    async fn purge(&self) {
        match self.purge_all().await {
            Ok(purged) => tracing::debug!(purged, "ended sagas purged"),
            Err(error) => tracing::warn!(%error, "ended sagas not purged"),
        }
    }

    /// Deletes all sagas that ended long enough ago. Returns their number.
    async fn purge_all(&self) -> Result<usize, LogError> {
        let mut all = 0;
        loop {
            let purged = self.log.purge(self.kept, AT_ONCE).await?;
            all += purged;
            if purged < AT_ONCE {
                return Ok(all);
            }
        }
    }
}
