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
mod target;

use std::{
    collections::{HashMap, HashSet},
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use arc_swap::ArcSwap;
use fastrand::Rng;
use gantry_discovery::{Endpoint, EndpointSet, Status, Watch};
use gantry_resilience::{
    balance::{Balancer, Candidate, Load, Outcome, Picked, Standing},
    circuit_breaker,
    deadline::Deadline,
    ejection,
};
use hyper::client::conn::http2::SendRequest;
use tokio::{
    sync::Notify,
    task::JoinHandle,
    time::{Instant, timeout_at},
};

pub(crate) use connection::Connection;
pub(crate) use target::Target;

use crate::{health::Health, request_body::RequestBody, settings::ClientSettings};

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

/// Why a call was not placed in time.
#[derive(Debug)]
pub(crate) enum NotPlaced {
    /// Nothing was connected.
    NoEndpoint(String),
    /// All streams of all connections were taken until the deadline.
    Full(String),
}

/// How a call is placed.
#[derive(Debug)]
pub(crate) struct Placing {
    pub(crate) deadline: Deadline,
    /// When the wait for an endpoint is over, once it has begun.
    pub(crate) patience: Option<Instant>,
    /// Whether the call will be made again if it fails, so that it does no harm to try
    /// an endpoint with it.
    pub(crate) repeatable: bool,
    /// The endpoints that had the call already: any other is better.
    pub(crate) tried: Vec<SocketAddr>,
    /// Whether it does not wait out the pause before an endpoint is connected again.
    pub(crate) probe: bool,
}

/// What became of a verdict on an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Judged {
    Counted,
    /// It was ejected while the call was under way.
    WasEjected,
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

    /// Places a call: takes a stream on the endpoint that the balancer picks. Waits
    /// while there is none, as long as the deadline and the patience allow.
    ///
    /// # Errors
    /// [`NotPlaced`] when that time is over. Nothing was sent.
    pub(crate) async fn place(self: &Arc<Self>, call: &mut Placing) -> Result<Lease, NotPlaced> {
        if let Some(lease) = self.try_place(call) {
            return Ok(lease);
        }
        let _waiting = Waiting::new(&self.waiting);
        if std::mem::take(&mut call.probe) {
            self.current.load().members().iter().for_each(|member| member.target().dial());
        }
        loop {
            let mut told = pin!(self.available.notified());
            // From here on nothing that is told is missed.
            told.as_mut().enable();
            if let Some(lease) = self.try_place(call) {
                return Ok(lease);
            }
            let full = self.hurry();
            let until = if full {
                call.deadline.instant()
            } else {
                let patience = call
                    .patience
                    .get_or_insert_with(|| Instant::now() + self.settings.endpoint_wait);
                call.deadline.instant().min(*patience)
            };
            if timeout_at(until, told).await.is_err() {
                return Err(if full {
                    NotPlaced::Full(self.why())
                } else {
                    NotPlaced::NoEndpoint(self.why())
                });
            }
        }
    }

    fn try_place(self: &Arc<Self>, call: &Placing) -> Option<Lease> {
        let (set, now, mut rng) = (self.current.load(), Instant::now(), Rng::new());
        let standing = |member: &Member| {
            let target = member.target();
            if !target.has_room() {
                Standing::Unusable
            } else if member.is_ejected(now) {
                Standing::Ejected
            } else if call.tried.contains(&target.address) {
                Standing::Tried
            } else {
                Standing::Fit
            }
        };
        loop {
            let picked = set.pick(now, &mut rng, call.repeatable, standing)?;
            // Fail open: better an ejected endpoint than none. Not where a healthy one
            // only has no room: its calls end soon.
            let failed_open = picked.member().is_ejected(now);
            if failed_open && self.has_other(picked.member().target().address) {
                return None;
            }
            // Another call may have taken the last stream meanwhile: then there is
            // less room than before, and the loop comes to its end.
            let reserved = picked.member().target().reserve(self.settings.calls_per_connection);
            if let Some(connection) = reserved {
                let pool = Arc::clone(self);
                return Some(Lease {
                    picked,
                    connection,
                    pool,
                    failed_open,
                    learned: false,
                    judged: false,
                });
            }
        }
    }

    /// Has all endpoints connect soon; gives whether some are connected already, so
    /// that what is missing are streams.
    fn hurry(&self) -> bool {
        let set = self.current.load();
        if set.members().iter().any(|member| member.target().connected() > 0) {
            return true;
        }
        set.members().iter().for_each(|member| member.target().hurry());
        false
    }

    /// Whether another endpoint than this is connected and not ejected.
    pub(crate) fn has_other(&self, than: SocketAddr) -> bool {
        let now = Instant::now();
        self.current.load().members().iter().any(|member| {
            let target = member.target();
            target.address != than && target.connected() > 0 && !member.is_ejected(now)
        })
    }

    /// Why no call can be placed, for people.
    fn why(&self) -> String {
        /// Naming more helps nobody.
        const NAMED: usize = 3;
        let set = self.current.load();
        let members = set.members();
        if members.is_empty() {
            return match self.watch.status() {
                Status::Live { .. } => "the registry knows none".to_owned(),
                Status::Pending { why: None } => "the registry has not answered yet".to_owned(),
                Status::Pending { why: Some(why) } => format!("the registry fails: {why}"),
                Status::Stale { why, .. } => format!("the registry knew none and fails: {why}"),
            };
        }
        let mut whys: Vec<String> = members
            .iter()
            .take(NAMED)
            .map(|member| {
                let target = member.target();
                let why = if target.connected() > 0 {
                    "all streams are taken".to_owned()
                } else {
                    target.last_error().unwrap_or_else(|| "connecting".to_owned())
                };
                format!("{}: {why}", target.address)
            })
            .collect();
        if members.len() > NAMED {
            whys.push(format!("and {} more", members.len() - NAMED));
        }
        whys.join("; ")
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

/// Counts a waiting call, also when it is cancelled.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A stream on a connection, until it is dropped: with it the counters go back.
#[derive(Debug)]
pub(crate) struct Lease {
    picked: Picked<Member>,
    connection: Arc<Connection>,
    pool: Arc<Shared>,
    /// Picked although it was ejected.
    failed_open: bool,
    learned: bool,
    judged: bool,
}

impl Lease {
    /// Where the stream leads.
    pub(crate) fn address(&self) -> SocketAddr {
        self.picked.member().target().address
    }

    /// A handle to send on.
    pub(crate) fn sender(&self) -> SendRequest<RequestBody> {
        self.connection.sender()
    }

    /// The response headers arrived, or failed to.
    pub(crate) fn learn(&mut self, outcome: Outcome) {
        self.learned = true;
        self.picked.learn(Instant::now(), outcome);
    }

    /// When the endpoint was picked.
    pub(crate) fn started(&self) -> Instant {
        self.picked.started()
    }

    /// The attempt has ended: tells what it says of the endpoint. `None` where that was
    /// told already.
    pub(crate) fn judge(&mut self, outcome: circuit_breaker::Outcome) -> Option<Judged> {
        if std::mem::replace(&mut self.judged, true) {
            return None;
        }
        // Before this outcome counts: the failure that ejects is no failure of an ejected one.
        let was_ejected = self.is_ejected();
        self.pool.health.judge(&self.picked.member().0.ejection, outcome, Instant::now());
        Some(if was_ejected { Judged::WasEjected } else { Judged::Counted })
    }

    /// Whether the endpoint gets no calls now, and did not get this one for want of a
    /// better one.
    pub(crate) fn is_ejected(&self) -> bool {
        !self.failed_open && self.picked.member().is_ejected(Instant::now())
    }

    /// Nothing was sent, so nothing is to be learned.
    pub(crate) fn unused(mut self) {
        self.learned = true;
        self.judged = true;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if !self.learned {
            self.picked.learn(Instant::now(), Outcome::Abandoned);
        }
        self.connection.release();
        // A waiting call counts itself before it looks for room, and room is made
        // here before the count is read: one of the two sees the other.
        if self.pool.waiting.load(Ordering::SeqCst) > 0 {
            self.pool.available.notify_one();
        }
    }
}
