//! The endpoints of one service: connected, counted and chosen among.
//!
//! A task follows the registry and swaps the set of endpoints whole; calls read it
//! without a lock. Each endpoint has a task that keeps it connected. Calls never
//! connect: they take a stream on a live connection, or wait until there is one.
//!
//! - a stream is never taken above the peer's limit;
//! - an endpoint that cannot be connected is not picked;
//! - an endpoint that leaves the set gets no new call and keeps those it has;
//! - everything ends when the [`Pool`] is dropped, but for the calls under way.

mod backoff;
mod connection;
mod io;
mod lease;
mod placing;
mod target;

use std::{
    collections::{HashMap, HashSet},
    net::SocketAddr,
    sync::{Arc, atomic::AtomicUsize},
};

use arc_swap::ArcSwap;
use gantry_discovery::{Endpoint, EndpointSet, Status, Watch};
use gantry_resilience::{
    balance::{Balancer, Candidate, Load},
    ejection,
};
use tokio::{sync::Notify, task::JoinHandle, time::Instant};

pub(crate) use lease::{Judged, Lease};
pub(crate) use placing::{NotPlaced, Placing};

use self::{connection::Connection, target::Target};
use crate::{health::Health, settings::ClientSettings};

/// Above so many endpoints each has one connection only.
const MANY_ENDPOINTS: usize = 16;

/// The endpoints of one service.
#[derive(Debug)]
pub(crate) struct Pool {
    shared: Arc<Shared>,
    _follower: Task,
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
    pub(crate) health: Health,
    current: ArcSwap<Balancer<Member>>,
    watch: Watch,
    /// Told when a call that could not be placed might be now.
    available: Notify,
    /// The calls that wait to be told.
    waiting: AtomicUsize,
}

/// An endpoint within one set.
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
    ) -> Self {
        let shared = Arc::new(Shared {
            service,
            settings,
            health,
            current: ArcSwap::from_pointee(Balancer::new([], Instant::now())),
            watch: watch.clone(),
            available: Notify::new(),
            waiting: AtomicUsize::new(0),
        });
        let follower = Task(tokio::spawn(follow(Arc::clone(&shared), watch)));
        Self { shared, _follower: follower }
    }

    /// What calls use.
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}

/// Keeps the set of endpoints as the registry says it is.
async fn follow(shared: Arc<Shared>, mut watch: Watch) {
    let mut targets: HashMap<(SocketAddr, bool), Kept> = HashMap::new();
    loop {
        let set = watch.current();
        shared.swap(&set, &mut targets);
        drop(set);
        watch.changed().await;
    }
}

/// A listed endpoint and the task that keeps it connected.
struct Kept {
    target: Arc<Target>,
    _dialer: Task,
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.target.retire();
    }
}

impl Shared {
    fn swap(self: &Arc<Self>, set: &EndpointSet, targets: &mut HashMap<(SocketAddr, bool), Kept>) {
        let max = if set.len() > MANY_ENDPOINTS { 1 } else { self.settings.max_connections.max(1) };
        let mut members = Vec::with_capacity(set.len());
        let mut listed = HashSet::with_capacity(set.len());
        let addresses = set.endpoints().iter().map(|endpoint| endpoint.address);
        let ejections = self.health.detector.replace(addresses, Instant::now());
        for (endpoint, ejection) in set.endpoints().iter().zip(ejections) {
            let key = (endpoint.address, endpoint.is_gantry());
            let kept = targets.entry(key).or_insert_with(|| {
                let target = Arc::new(Target::new(key.0, key.1));
                let pool = Arc::downgrade(self);
                let dialer = tokio::spawn(target::keep_connected(Arc::clone(&target), pool));
                Kept { target, _dialer: Task(dialer) }
            });
            kept.target.set_max_connections(max);
            listed.insert(key);
            let target = Arc::clone(&kept.target);
            let endpoint = endpoint.clone();
            members.push(Member(Arc::new(Listed { target, endpoint, ejection })));
        }
        self.current.store(Arc::new(Balancer::new(members, Instant::now())));
        // After the swap, so that no call sees an endpoint without connections for it.
        targets.retain(|key, _| listed.contains(key));
        tracing::debug!(service = %self.service, endpoints = set.len(), "endpoints changed");
        self.available.notify_waiters();
    }

    /// The endpoints of the moment.
    pub(crate) fn members(&self) -> Vec<Member> {
        self.current.load().members().to_vec()
    }

    /// How far the registry can be trusted now.
    pub(crate) fn registry_status(&self) -> Status {
        self.watch.status()
    }
}
