//! The endpoints of one service: connected, counted and chosen among.
//!
//! A task follows the registry and swaps the set of endpoints whole; calls read it
//! without a lock. Each endpoint has a task that keeps it connected. Calls never
//! connect: they take a stream on a live connection, or wait until there is one.
//!
//! - a stream is never taken above the peer's limit;
//! - an endpoint has one connection, more while calls crowd, and one less for each minute
//!   in which fewer would have done;
//! - an endpoint that cannot be connected is not picked;
//! - an endpoint that leaves the set keeps the calls and the connections it has, and
//!   gets new calls only while no listed one is connected (see `follower`);
//! - everything ends when the [`Pool`] is dropped, but for the calls under way.

mod backoff;
mod connection;
mod follower;
mod io;
mod keep_alive;
mod labels;
mod lease;
mod placing;
mod target;
mod transport;

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, atomic::AtomicUsize},
};

use arc_swap::ArcSwap;
use gantry_discovery::{Endpoint, Status, Watch};
use gantry_resilience::{
    balance::{Balancer, Candidate, Load},
    ejection,
};
use tokio::{sync::Notify, task::JoinHandle, time::Instant};

pub(crate) use connection::Sender;
pub(crate) use labels::Labels;
pub(crate) use lease::{Judged, Lease};
pub(crate) use placing::{NotPlaced, Placing};
pub(crate) use transport::Tls;

use self::{connection::Connection, follower::Follower, target::Target};
use crate::{health::Health, settings::ClientSettings};

/// The endpoints of one service.
#[derive(Debug)]
pub(crate) struct Pool {
    shared: Arc<Shared>,
    _followers: [Option<Task>; 2],
}

/// A task that ends with its owner.
#[derive(Debug)]
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) service: Arc<str>,
    pub(crate) settings: ClientSettings,
    pub(crate) tls: Option<Arc<Tls>>,
    pub(crate) health: Health,
    /// Those that the registry lists.
    current: ArcSwap<Balancer<Member>>,
    /// Those that it lists no more, and which are still connected.
    last_resort: ArcSwap<Balancer<Member>>,
    watch: Watch,
    /// Told when a call that could not be placed might be now, or waits for something else.
    available: Notify,
    /// The calls that wait to be told.
    waiting: AtomicUsize,
    /// Told when an endpoint has lost its last connection.
    unconnected: Notify,
    /// Last warning that calls find no endpoint.
    warned: Mutex<Option<Instant>>,
}

/// An endpoint as it was last listed.
#[derive(Clone, Debug)]
pub(crate) struct Member(Arc<Listed>);

#[derive(Debug)]
struct Listed {
    target: Arc<Target>,
    endpoint: Endpoint,
    ejection: Arc<ejection::Endpoint<SocketAddr>>,
}

impl Candidate for Member {
    fn load(&self) -> &Load {
        &self.0.target.load
    }

    fn weight(&self) -> u32 {
        self.0.endpoint.weight
    }
}

impl Member {
    pub(crate) fn target(&self) -> &Target {
        &self.0.target
    }

    /// What the registry says of it.
    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.0.endpoint
    }

    fn is_ejected(&self, now: Instant) -> bool {
        self.0.ejection.is_ejected(now)
    }
}

impl Pool {
    /// Follows the watch from now on, within the current runtime.
    pub(crate) fn new(
        service: Arc<str>,
        watch: Watch,
        settings: ClientSettings,
        health: Health,
        tls: Option<Tls>,
    ) -> Self {
        let shared = Arc::new(Shared {
            service,
            settings,
            tls: tls.map(Arc::new),
            health,
            current: ArcSwap::from_pointee(Balancer::new([], Instant::now())),
            last_resort: ArcSwap::from_pointee(Balancer::new([], Instant::now())),
            watch: watch.clone(),
            available: Notify::new(),
            waiting: AtomicUsize::new(0),
            unconnected: Notify::new(),
            warned: Mutex::new(None),
        });
        let registry = Task(tokio::spawn(Follower::new(Arc::clone(&shared)).run(watch)));
        let files = shared.tls.clone();
        let files = files.map(|tls| Task(tokio::spawn(async move { tls.follow().await })));
        Self { shared, _followers: [Some(registry), files] }
    }

    /// What calls use.
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}

impl Shared {
    /// The endpoints of the moment, those of the last resort after the others.
    pub(crate) fn members(&self) -> Vec<Member> {
        [self.current.load().members(), self.last_resort.load().members()].concat()
    }

    /// How many endpoints the registry lists, whether they are in the subset or not.
    pub(crate) fn listed(&self) -> usize {
        self.watch.clone().current().len()
    }

    /// How far the registry can be trusted now.
    pub(crate) fn registry_status(&self) -> Status {
        self.watch.status()
    }
}
