//! Sources of endpoints: one per watched service, shared by its watches.

use std::{
    any::Any,
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError, Weak},
};

use tokio::task::JoinHandle;

use crate::resolver::{Publisher, Watch, Watched};

/// Sources of a resolver, by service.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    by_service: Mutex<HashMap<String, Weak<Source>>>,
}

/// Source of the watches of one service. Ends with the last watch.
#[derive(Debug)]
struct Source {
    publisher: Arc<Publisher>,
    task: Option<JoinHandle<()>>,
}

impl Sources {
    /// Returns a watch of the service. Calls `start` if the service is not watched yet. `start`
    /// publishes known endpoints and may return a task that updates them.
    pub(crate) fn watch<F>(&self, service: &str, start: F) -> Watch
    where
        F: FnOnce(&Arc<Publisher>) -> Option<JoinHandle<()>>,
    {
        // `start` only spawns and publishes. The map is consistent even if it panics.
        let mut sources = self.by_service.lock().unwrap_or_else(PoisonError::into_inner);
        let source = sources.get(service).and_then(Weak::upgrade).unwrap_or_else(|| {
            let publisher = Arc::new(Publisher::new());
            let task = start(&publisher);
            let source = Arc::new(Source { publisher, task });
            sources.retain(|_, source| source.strong_count() > 0);
            sources.insert(service.to_owned(), Arc::downgrade(&source));
            source
        });
        let owner: Arc<dyn Any + Send + Sync> = Arc::<Source>::clone(&source);
        source.publisher.watch(owner)
    }

    /// Returns the state of all watched services.
    pub(crate) fn watched(&self) -> BTreeMap<String, Watched> {
        let sources = self.by_service.lock().unwrap_or_else(PoisonError::into_inner);
        let live = sources.iter().filter_map(|(service, source)| {
            let source = source.upgrade()?;
            Some((service.clone(), source.publisher.watched()))
        });
        live.collect()
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}
