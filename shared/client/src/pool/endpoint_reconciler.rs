//! Set of connected endpoints: the listed ones, and delisted ones as long as they stay connected.
//!
//! A registry can be wrong: an agent without its data lists no endpoint, and a check without a
//! network fails all. A delisted endpoint therefore stays as a last resort, for calls that find no
//! listed endpoint connected. It is not dialled again: a stopped or draining server disappears with
//! its last connection. An endpoint that returns meanwhile keeps its connections and its load.
//!
//! Memory is bounded under churn: the number of last resorts never exceeds the largest number of
//! listed endpoints, and the oldest is dropped first.

use std::{
    collections::{HashMap, HashSet},
    net::SocketAddr,
    sync::Arc,
};

use gantry_discovery::{EndpointSet, Watch};
use gantry_resilience::balance::Balancer;
use tokio::time::Instant;

use super::{
    dialer::keep_connected,
    endpoint_connections::EndpointConnections,
    labels,
    shared::{Listed, Member, Shared},
    task::Task,
};

/// Number of endpoints above which each has one connection only.
const MANY_ENDPOINTS: usize = 16;

/// Key of an endpoint: its address, and true if it accepts pings on an idle connection.
type Key = (SocketAddr, bool);

/// Reconciler of the endpoints with the registry.
pub(super) struct EndpointReconciler {
    pool: Arc<Shared>,
    kept: HashMap<Key, Kept>,
    /// Largest number of endpoints listed at once.
    most: usize,
}

/// An endpoint and the task that keeps it connected.
struct Kept {
    member: Member,
    /// Time of its delisting; `None` while it is listed.
    delisted: Option<Instant>,
    _dialer: Task,
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.member.connections().retire();
    }
}

impl EndpointReconciler {
    pub(super) fn new(pool: Arc<Shared>) -> Self {
        Self { pool, kept: HashMap::new(), most: 0 }
    }

    /// Follows the watch for ever.
    pub(super) async fn run(mut self, mut watch: Watch) {
        self.list(&watch.current());
        loop {
            tokio::select! {
                () = watch.changed() => self.list(&watch.current()),
                () = self.pool.unconnected.notified() => {
                    drop(self.settle());
                    // A call may wait for a stream until its deadline, but now it must wait for an
                    // endpoint, bounded.
                    self.pool.available.notify_waiters();
                }
            }
        }
    }

    /// Applies a new list of the registry.
    fn list(&mut self, set: &EndpointSet) {
        let now = Instant::now();
        let configured = self.pool.settings.max_connections.max(1);
        // Endpoints outside the subset are neither connected nor used as a last resort.
        let chosen = labels::chosen(set, &self.pool.settings.balance.to_subset());
        let max = if chosen.len() > MANY_ENDPOINTS { 1 } else { configured };
        let addresses = chosen.iter().map(|endpoint| endpoint.address);
        let ejections = self.pool.health.detector.replace(addresses, now);
        let mut members = Vec::with_capacity(chosen.len());
        let mut listed = HashSet::with_capacity(chosen.len());
        for (&endpoint, ejection) in chosen.iter().zip(ejections) {
            let key = (endpoint.address, endpoint.is_gantry());
            let known = self.kept.get(&key).map(|kept| Arc::clone(&kept.member.0.connections));
            let connections =
                known.unwrap_or_else(|| Arc::new(EndpointConnections::new(key.0, key.1)));
            connections.list(max);
            let endpoint = endpoint.clone();
            let member = Member(Arc::new(Listed { connections, endpoint, ejection }));
            self.keep(key, member.clone());
            listed.insert(key);
            members.push(member);
        }
        for (_, kept) in self.kept.iter_mut().filter(|(key, _)| !listed.contains(key)) {
            kept.delisted.get_or_insert(now);
        }
        self.most = self.most.max(chosen.len());
        // An endpoint with another registration at its address is not a last resort. It is dropped
        // last, so that no call sees the new endpoint without connections.
        let known: HashSet<SocketAddr> = set.endpoints().iter().map(|one| one.address).collect();
        let is_other = |key: &Key, _: &mut Kept| known.contains(&key.0) && !listed.contains(key);
        let _other: Vec<(Key, Kept)> = self.kept.extract_if(is_other).collect();
        let _gone = self.settle();
        self.pool.current.store(self.balancer(members));
        // Before the notification, so that no delisted endpoint is picked as listed.
        let delisted = self.kept.values().filter(|kept| kept.delisted.is_some());
        delisted.for_each(|kept| kept.member.connections().delist());
        tracing::debug!(service = %self.pool.service, endpoints = set.len(), chosen = chosen.len(), "endpoints changed");
        self.pool.available.notify_waiters();
    }

    fn keep(&mut self, key: Key, member: Member) {
        if let Some(kept) = self.kept.get_mut(&key) {
            kept.member = member;
            kept.delisted = None;
            return;
        }
        let connections = Arc::clone(&member.0.connections);
        let dialer = Task::spawn(keep_connected(connections, Arc::downgrade(&self.pool)));
        self.kept.insert(key, Kept { member, delisted: None, _dialer: dialer });
    }

    /// Turns delisted endpoints with connections into last resorts, and drops the others.
    fn settle(&mut self) -> Vec<Kept> {
        let is_gone = |_: &Key, kept: &mut Kept| {
            kept.delisted.is_some() && kept.member.connections().connected() == 0
        };
        let mut gone: Vec<Kept> = self.kept.extract_if(is_gone).map(|(_, kept)| kept).collect();
        let mut delisted: Vec<(Instant, Key)> = self
            .kept
            .iter()
            .filter_map(|(key, kept)| kept.delisted.map(|since| (since, *key)))
            .collect();
        delisted.sort();
        let too_many = delisted.len().saturating_sub(self.most);
        gone.extend(delisted.drain(..too_many).filter_map(|(_, key)| self.kept.remove(&key)));
        let kept = delisted.iter().filter_map(|(_, key)| self.kept.get(key));
        let last_resort = self.balancer(kept.map(|kept| kept.member.clone()));
        self.pool.last_resort.store(last_resort);
        gone
    }

    fn balancer(&self, members: impl IntoIterator<Item = Member>) -> Arc<Balancer<Member>> {
        let policy = self.pool.settings.balance.to_policy();
        Arc::new(Balancer::with_policy(policy, members, Instant::now()))
    }
}
