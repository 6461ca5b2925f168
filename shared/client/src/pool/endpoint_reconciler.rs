//! Who is kept connected: the endpoints that the registry lists, and those that it lists
//! no more for as long as they are connected anyway.
//!
//! A registry can be wrong: an agent that lost its data lists nobody, a check that cannot
//! get through fails everybody. Who was delisted is therefore kept as a last resort, for
//! calls that find no listed endpoint connected. Nothing is dialled for it: what goes
//! away, and a draining server says GOAWAY after it was deregistered, is gone when its
//! last connection is. An endpoint that comes back meanwhile keeps its connections, and
//! what is known of its load.
//!
//! Memory is bounded under churn: no more endpoints are a last resort than were ever
//! listed at once, and who left first goes first.

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

/// Above so many endpoints each has one connection only.
const MANY_ENDPOINTS: usize = 16;

/// The address, and whether it answers pings on an idle connection.
type Key = (SocketAddr, bool);

/// Keeps the set of endpoints as the registry says it is.
pub(super) struct EndpointReconciler {
    pool: Arc<Shared>,
    kept: HashMap<Key, Kept>,
    /// The most endpoints that were listed at once.
    most: usize,
}

/// An endpoint and the task that keeps it connected.
struct Kept {
    member: Member,
    /// Time at which the registry ceased to list it; `None` while it does.
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
                    // Who waits for a stream, for as long as the deadline allows, may wait for
                    // an endpoint now, and that is bounded.
                    self.pool.available.notify_waiters();
                }
            }
        }
    }

    /// The registry lists these.
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
        // What the registry says something else of now is no last resort. Given up last of
        // all, so that no call sees an endpoint without connections for it.
        let known: HashSet<SocketAddr> = set.endpoints().iter().map(|one| one.address).collect();
        let is_other = |key: &Key, _: &mut Kept| known.contains(&key.0) && !listed.contains(key);
        let _other: Vec<(Key, Kept)> = self.kept.extract_if(is_other).collect();
        let _gone = self.settle();
        self.pool.current.store(self.balancer(members));
        // So that nobody who is told so is picked among the listed any more.
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

    /// Makes those a last resort that are not listed and still connected, and gives the
    /// others up.
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
