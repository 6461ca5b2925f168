//! Port for the lookup of services.

use std::{any::Any, collections::BTreeMap, fmt, sync::Arc, time::Duration};

use tokio::{sync::watch, time::Instant};

use crate::instance::EndpointSet;

/// Finds the endpoints of services.
pub trait Resolver: Send + Sync + fmt::Debug {
    /// Watches a service. Neither blocks nor fails: an unknown service has an empty set. All
    /// watches of a service share one source, which ends with the last of them. Must be called in a
    /// tokio runtime.
    fn watch(&self, service: &str) -> Watch;

    /// Returns the state of all watched services, for readiness and metrics.
    fn watched(&self) -> BTreeMap<String, Watched>;
}

/// State of a watched service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watched {
    /// Reliability of the set.
    pub status: Status,
    /// Number of endpoints in the set.
    pub endpoints: usize,
    /// Registrations without an endpoint and the reasons. None if all have one.
    pub unusable: Option<Arc<str>>,
}

/// Reliability of a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// The registry has not answered yet. The set is empty.
    Pending {
        /// Last error, if there was one.
        why: Option<String>,
    },
    /// The registry answers.
    Live {
        /// Time at which it last confirmed the set.
        confirmed: Instant,
    },
    /// The registry fails. The set is the last confirmed one.
    Stale {
        /// Time at which it last confirmed the set.
        confirmed: Instant,
        /// Last error.
        why: String,
    },
}

impl Status {
    /// Returns `pending`, `live` or `stale`, for pages and metrics.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Pending { .. } => "pending",
            Self::Live { .. } => "live",
            Self::Stale { .. } => "stale",
        }
    }

    /// Returns the last error, while the registry does not answer.
    pub fn why(&self) -> Option<&str> {
        match self {
            Self::Pending { why } => why.as_deref(),
            Self::Live { .. } => None,
            Self::Stale { why, .. } => Some(why),
        }
    }

    /// Returns the time since the registry confirmed the set. None before its first answer.
    pub fn age(&self, now: Instant) -> Option<Duration> {
        match self {
            Self::Pending { .. } => None,
            Self::Live { confirmed } | Self::Stale { confirmed, .. } => {
                Some(now.saturating_duration_since(*confirmed))
            }
        }
    }
}

#[derive(Clone, Debug)]
struct View {
    set: Arc<EndpointSet>,
    status: Status,
    unusable: Option<Arc<str>>,
}

impl View {
    fn watched(&self) -> Watched {
        let Self { set, status, unusable } = self;
        Watched { status: status.clone(), endpoints: set.len(), unusable: unusable.clone() }
    }
}

/// Sending side of a watch, for adapters.
#[derive(Debug)]
pub struct Publisher {
    view: watch::Sender<View>,
}

impl Publisher {
    /// Creates a publisher with an empty, pending set.
    pub fn new() -> Self {
        let status = Status::Pending { why: None };
        let view = View { set: Arc::default(), status, unusable: None };
        Self { view: watch::Sender::new(view) }
    }

    /// Returns a watch that keeps `owner` alive. `owner` holds the resources that the adapter needs
    /// while there are watches.
    pub fn watch(&self, owner: Arc<dyn Any + Send + Sync>) -> Watch {
        Watch { view: self.view.subscribe(), _owner: owner }
    }

    /// Publishes the registry's answer. Notifies watchers only of a change.
    pub fn publish(&self, set: EndpointSet) {
        self.publish_as_of(Instant::now(), set);
    }

    /// Publishes an answer that was current at an earlier time.
    pub fn publish_as_of(&self, confirmed: Instant, set: EndpointSet) {
        self.view.send_if_modified(|view| {
            view.status = Status::Live { confirmed };
            let differs = *view.set != set;
            if differs {
                view.set = Arc::new(set);
            }
            differs
        });
    }

    /// Records a failure of the registry. Watchers keep their set.
    pub fn failed(&self, why: impl Into<String>) {
        let why = why.into();
        self.view.send_if_modified(|view| {
            view.status = match view.status {
                Status::Pending { .. } => Status::Pending { why: Some(why) },
                Status::Live { confirmed } | Status::Stale { confirmed, .. } => {
                    Status::Stale { confirmed, why }
                }
            };
            false
        });
    }

    /// Sets the description of registrations without an endpoint. Does not notify watchers.
    pub fn unusable(&self, why: Option<String>) {
        self.view.send_if_modified(|view| {
            if view.unusable.as_deref() != why.as_deref() {
                view.unusable = why.map(Arc::from);
            }
            false
        });
    }

    /// Returns the current reliability of the set.
    pub fn status(&self) -> Status {
        self.view.borrow().status.clone()
    }

    /// Returns the current state.
    pub fn watched(&self) -> Watched {
        self.view.borrow().watched()
    }

    /// Returns true if there are watches.
    pub fn is_watched(&self) -> bool {
        self.view.receiver_count() > 0
    }

    /// Returns the current set.
    pub fn current(&self) -> Arc<EndpointSet> {
        Arc::clone(&self.view.borrow().set)
    }
}

impl Default for Publisher {
    fn default() -> Self {
        Self::new()
    }
}

/// Changing endpoints of a service.
#[derive(Clone)]
pub struct Watch {
    view: watch::Receiver<View>,
    _owner: Arc<dyn Any + Send + Sync>,
}

impl Watch {
    /// Returns the current set and marks it as seen for [`changed`](Self::changed).
    pub fn current(&mut self) -> Arc<EndpointSet> {
        Arc::clone(&self.view.borrow_and_update().set)
    }

    /// Returns the current reliability of the set.
    pub fn status(&self) -> Status {
        self.view.borrow().status.clone()
    }

    /// Returns the registrations without an endpoint and the reasons. None if all have one.
    pub fn unusable(&self) -> Option<Arc<str>> {
        self.view.borrow().unusable.clone()
    }

    /// Waits until the set differs from the one last returned by [`current`](Self::current).
    /// Cancel-safe. Never returns if no more changes are possible.
    pub async fn changed(&mut self) {
        if self.view.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.view.borrow().fmt(f)
    }
}
