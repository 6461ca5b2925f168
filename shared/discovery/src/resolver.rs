//! The port through which a caller finds a service.

use std::{any::Any, collections::BTreeMap, fmt, sync::Arc, time::Duration};

use tokio::{sync::watch, time::Instant};

use crate::instance::EndpointSet;

/// Finds the endpoints of services.
pub trait Resolver: Send + Sync + fmt::Debug {
    /// Watches a service. Never waits and never fails: a service nobody knows is an
    /// empty set. All watches of one service share one source, which ends with the
    /// last of them. Called within a tokio runtime.
    fn watch(&self, service: &str) -> Watch;

    /// The services that somebody watches now, and what is known of each: for readiness and
    /// metrics.
    fn watched(&self) -> BTreeMap<String, Watched>;
}

/// State of one watched service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watched {
    /// Trust in the set.
    pub status: Status,
    /// Number of endpoints in the set.
    pub endpoints: usize,
    /// Registrations that gave no endpoint, and why; `None` if all did.
    pub left_out: Option<Arc<str>>,
}

/// How far the set at hand can be trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// The registry has not answered yet, so the set is empty.
    Pending {
        /// What went wrong last, where something did.
        why: Option<String>,
    },
    /// The registry answers.
    Live {
        /// When it last confirmed the set.
        confirmed: Instant,
    },
    /// The registry fails; the set is the last good one.
    Stale {
        /// When it last confirmed the set.
        confirmed: Instant,
        /// What went wrong last.
        why: String,
    },
}

impl Status {
    /// `pending`, `live` or `stale`: for pages and metrics.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Pending { .. } => "pending",
            Self::Live { .. } => "live",
            Self::Stale { .. } => "stale",
        }
    }

    /// What went wrong last, where the registry does not answer.
    pub fn why(&self) -> Option<&str> {
        match self {
            Self::Pending { why } => why.as_deref(),
            Self::Live { .. } => None,
            Self::Stale { why, .. } => Some(why),
        }
    }

    /// How long ago the registry confirmed the set; `None` before its first answer.
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
    left_out: Option<Arc<str>>,
}

impl View {
    fn watched(&self) -> Watched {
        let Self { set, status, left_out } = self;
        Watched { status: status.clone(), endpoints: set.len(), left_out: left_out.clone() }
    }
}

/// The adapter's side of a watch.
#[derive(Debug)]
pub struct Publisher {
    view: watch::Sender<View>,
}

impl Publisher {
    /// A publisher whose watchers see an empty, pending set.
    pub fn new() -> Self {
        let status = Status::Pending { why: None };
        let view = View { set: Arc::default(), status, left_out: None };
        Self { view: watch::Sender::new(view) }
    }

    /// A watch on what is published here. It keeps `owner` alive: what the adapter
    /// needs for as long as anybody watches.
    pub fn watch(&self, owner: Arc<dyn Any + Send + Sync>) -> Watch {
        Watch { view: self.view.subscribe(), _owner: owner }
    }

    /// The registry answered with this set. Watchers are told only when it differs.
    pub fn publish(&self, set: EndpointSet) {
        self.publish_as_of(Instant::now(), set);
    }

    /// The same where the registry says itself that this is how things were at an
    /// earlier moment.
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

    /// The registry failed: watchers keep what they have.
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

    /// Sets which registrations gave no endpoint, and why. Watchers are not told of a change.
    pub fn left_out(&self, why: Option<String>) {
        self.view.send_if_modified(|view| {
            if view.left_out.as_deref() != why.as_deref() {
                view.left_out = why.map(Arc::from);
            }
            false
        });
    }

    /// How far watchers can trust what they see now.
    pub fn status(&self) -> Status {
        self.view.borrow().status.clone()
    }

    /// What is known now.
    pub fn watched(&self) -> Watched {
        self.view.borrow().watched()
    }

    /// Whether anybody watches.
    pub fn is_watched(&self) -> bool {
        self.view.receiver_count() > 0
    }

    /// The set that watchers see now.
    pub fn current(&self) -> Arc<EndpointSet> {
        Arc::clone(&self.view.borrow().set)
    }
}

impl Default for Publisher {
    fn default() -> Self {
        Self::new()
    }
}

/// The endpoints of one service, as they change.
#[derive(Clone)]
pub struct Watch {
    view: watch::Receiver<View>,
    _owner: Arc<dyn Any + Send + Sync>,
}

impl Watch {
    /// The set now, which [`changed`](Self::changed) will then not report again.
    pub fn current(&mut self) -> Arc<EndpointSet> {
        Arc::clone(&self.view.borrow_and_update().set)
    }

    /// How far the set can be trusted now.
    pub fn status(&self) -> Status {
        self.view.borrow().status.clone()
    }

    /// Registrations that gave no endpoint, and why; `None` if all did.
    pub fn left_out(&self) -> Option<Arc<str>> {
        self.view.borrow().left_out.clone()
    }

    /// Waits until the set differs from the one last seen through
    /// [`current`](Self::current). Cancel-safe. Waits for ever where nothing can
    /// change any more.
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
