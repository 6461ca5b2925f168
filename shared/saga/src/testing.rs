//! Log of a process that crashes, for tests. Needs the feature `testing`.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use uuid::Uuid;

use crate::{Append, Claimed, Count, Filter, History, Intervention, Log, LogError, Summary};

/// Log of a process that crashes at one of its appends: that append and every later operation fail.
/// Clones are of the same process.
#[derive(Clone, Debug)]
pub struct CrashingLog<L> {
    inner: L,
    /// Number of appends until the crash, including the last one.
    left: Arc<AtomicUsize>,
    written: bool,
    heals: bool,
}

impl<L: Log> CrashingLog<L> {
    /// Crashes at append number `appends`, counted from 1. It reaches `inner` if `written` is true.
    pub fn new(inner: L, appends: usize, written: bool) -> Self {
        Self { inner, left: Arc::new(AtomicUsize::new(appends)), written, heals: false }
    }

    /// Makes only that append fail: later operations succeed.
    #[must_use]
    pub fn healing(self) -> Self {
        Self { heals: true, ..self }
    }

    /// Returns true after the crash.
    pub fn crashed(&self) -> bool {
        !self.heals && self.left() == 0
    }

    /// Returns the number of appends until the crash.
    pub fn left(&self) -> usize {
        self.left.load(Ordering::SeqCst)
    }

    fn alive(&self) -> Result<(), LogError> {
        if self.crashed() { Err(crash()) } else { Ok(()) }
    }
}

fn crash() -> LogError {
    LogError::Unavailable("crashed".into())
}

#[async_trait]
impl<L: Log> Log for CrashingLog<L> {
    async fn claim(
        &self,
        names: &[&str],
        limit: usize,
        lease: Duration,
    ) -> Result<Vec<Claimed>, LogError> {
        self.alive()?;
        self.inner.claim(names, limit, lease).await
    }

    async fn claim_new(
        &self,
        sagas: &[Uuid],
        names: &[&str],
        lease: Duration,
    ) -> Result<Vec<Claimed>, LogError> {
        self.alive()?;
        self.inner.claim_new(sagas, names, lease).await
    }

    async fn append(&self, append: Append<'_>) -> Result<(), LogError> {
        self.alive()?;
        let less = |left: usize| Some(left.saturating_sub(1));
        // Never an error: `less` returns a number.
        let left = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less);
        if left.unwrap_or_default() != 1 {
            return self.inner.append(append).await;
        }
        if self.written {
            self.inner.append(append).await?;
        }
        Err(crash())
    }

    async fn release(&self, saga: Uuid, epoch: i64, pause: Duration) -> Result<(), LogError> {
        self.alive()?;
        self.inner.release(saga, epoch, pause).await
    }

    async fn list(&self, filter: &Filter) -> Result<Vec<Summary>, LogError> {
        self.alive()?;
        self.inner.list(filter).await
    }

    async fn find(&self, saga: Uuid) -> Result<Option<History>, LogError> {
        self.alive()?;
        self.inner.find(saga).await
    }

    async fn intervene(&self, intervention: Intervention<'_>) -> Result<(), LogError> {
        self.alive()?;
        self.inner.intervene(intervention).await
    }

    async fn count(&self) -> Result<Vec<Count>, LogError> {
        self.alive()?;
        self.inner.count().await
    }

    async fn purge(&self, kept: Duration, limit: usize) -> Result<usize, LogError> {
        self.alive()?;
        self.inner.purge(kept, limit).await
    }
}
