//! Filter of the log that changes while the process runs.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use tracing::info;
use tracing_subscriber::{EnvFilter, reload};

use crate::Filter;

type Reload = dyn Fn(EnvFilter) -> Result<(), reload::Error> + Send + Sync;

/// Filter of a process's log. Clones change the same log.
#[derive(Clone)]
pub struct LogFilter {
    current: Arc<Mutex<Filter>>,
    reload: Arc<Reload>,
}

/// Error of a log that has ended.
#[derive(Debug, thiserror::Error)]
#[error("the log has ended: {0}")]
pub struct LogEnded(#[from] reload::Error);

impl LogFilter {
    /// Returns the filter of a subscriber, and the handle that changes it.
    pub(crate) fn start<S: 'static>(filter: &Filter) -> (reload::Layer<EnvFilter, S>, Self) {
        let (layer, handle) = reload::Layer::new(in_force(filter));
        let reload = move |filter: EnvFilter| handle.reload(filter);
        (layer, Self { current: Arc::new(Mutex::new(filter.clone())), reload: Arc::new(reload) })
    }

    /// Returns the filter in force.
    pub fn current(&self) -> Filter {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces the filter, also for code inside of spans that exist already. Logs the change,
    /// whatever the filter.
    ///
    /// # Errors
    /// [`LogEnded`] if the subscriber is gone.
    pub fn change(&self, filter: Filter) -> Result<(), LogEnded> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        (self.reload)(in_force(&filter))?;
        info!(from = %*current, to = %filter, "log filter changed");
        *current = filter;
        Ok(())
    }
}

/// Returns the filter with this module's own lines.
fn in_force(filter: &Filter) -> EnvFilter {
    // Validated at creation, so the lossy parser drops nothing.
    EnvFilter::builder().parse_lossy(format!("{filter},{}=info", module_path!()))
}

impl fmt::Debug for LogFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LogFilter").field(&self.current()).finish()
    }
}
