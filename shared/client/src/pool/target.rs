//! One endpoint: its live connections and the task that keeps it connected.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use fastrand::Rng;
use gantry_resilience::balance::Load;
use tokio::{
    sync::Notify,
    time::{Instant, sleep, timeout},
};

use super::{
    Shared,
    backoff::Backoff,
    connection::{Closed, Connection, Drive},
    keep_alive::Pace,
};

/// A connection that lived for less, and on which nothing was answered, did not prove that
/// the endpoint is well.
const PROVEN: Duration = Duration::from_secs(1);

/// Calls that wait for an endpoint cut a pause between attempts short after so long.
const HURRIED: Duration = Duration::from_secs(1);

/// A connection beyond the first is closed when it was not needed for so long. Before a
/// middlebox forgets it: an idle connection to a server that is not asked for signs of life
/// may be dead, and the burst that needs it would find that out. Long after a burst: calls
/// come and go in waves, and each connection costs round trips to open.
const NOT_NEEDED: Duration = Duration::from_secs(60);

/// One endpoint, as long as it is listed or connected, or a call knows it.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    /// Whether it is known as one of Gantry's servers, which take pings at our pace.
    is_gantry: bool,
    /// Times that it complained of too many pings.
    complaints: AtomicU32,
    pub(crate) load: Load,
    connections: ArcSwap<Vec<Arc<Connection>>>,
    /// Serialises changes of `connections`.
    changing: Mutex<()>,
    /// Whether the registry lists it: else nothing is dialled.
    listed: AtomicBool,
    max_connections: AtomicUsize,
    crowded: AtomicBool,
    /// Whether a call found half as many calls on the emptiest connection as open another
    /// one or fill it, since that was last asked. One connection less would soon be too few.
    busy: AtomicBool,
    /// Whether it has answered a call since that was last asked.
    answered: AtomicBool,
    /// Tells the dialer that a connection is gone or another one is wanted.
    changed: Notify,
    /// Tells the dialer that calls wait.
    hurry: Notify,
    /// Tells the dialer not to pause at all.
    dial: Notify,
    last_error: Mutex<Option<String>>,
}

impl Target {
    pub(super) fn new(address: SocketAddr, is_gantry: bool) -> Self {
        Self {
            address,
            is_gantry,
            complaints: AtomicU32::new(0),
            load: Load::new(Instant::now()),
            connections: ArcSwap::default(),
            changing: Mutex::new(()),
            listed: AtomicBool::new(false),
            max_connections: AtomicUsize::new(1),
            crowded: AtomicBool::new(false),
            busy: AtomicBool::new(false),
            answered: AtomicBool::new(false),
            changed: Notify::new(),
            hurry: Notify::new(),
            dial: Notify::new(),
            last_error: Mutex::new(None),
        }
    }

    /// Returns if it can take a call now. If all of its connections are at the peer's limit of
    /// streams, asks for another one: a peer that allows fewer streams than crowd a connection
    /// would otherwise never get a second.
    pub(super) fn has_room(&self) -> bool {
        let connections = self.connections.load();
        if connections.iter().any(|connection| connection.has_room()) {
            return true;
        }
        if connections.iter().any(|connection| connection.is_full()) {
            self.set_busy();
            self.crowd(connections.len());
        }
        false
    }

    /// The connections that are alive.
    pub(crate) fn connected(&self) -> usize {
        self.connections.load().iter().filter(|connection| !connection.is_closed()).count()
    }

    /// Takes a stream on the connection with the fewest calls.
    pub(super) fn reserve(&self, calls_per_connection: usize) -> Option<Arc<Connection>> {
        let connections = self.connections.load();
        let least = connections
            .iter()
            .filter(|connection| connection.has_room())
            .min_by_key(|connection| connection.in_flight())?;
        let in_flight = least.in_flight();
        if in_flight >= least.limit().min(calls_per_connection).div_ceil(2) {
            self.set_busy();
        }
        if in_flight >= calls_per_connection {
            self.crowd(connections.len());
        }
        least.reserve().then(|| Arc::clone(least))
    }

    fn set_busy(&self) {
        if !self.busy.load(Ordering::Relaxed) {
            self.busy.store(true, Ordering::Relaxed);
        }
    }

    /// Asks for a connection beside these, up to the maximum.
    fn crowd(&self, connections: usize) {
        if connections < self.max_connections.load(Ordering::Relaxed)
            && !self.crowded.swap(true, Ordering::Relaxed)
        {
            self.changed.notify_one();
        }
    }

    /// The registry lists it: it is to have one connection, and up to so many when calls
    /// crowd.
    pub(super) fn list(&self, max_connections: usize) {
        self.max_connections.store(max_connections, Ordering::Relaxed);
        if !self.listed.swap(true, Ordering::Relaxed) {
            self.changed.notify_one();
        }
    }

    /// The registry lists it no more.
    pub(super) fn delist(&self) {
        self.listed.store(false, Ordering::Relaxed);
    }

    pub(crate) fn is_listed(&self) -> bool {
        self.listed.load(Ordering::Relaxed)
    }

    pub(super) fn hurry(&self) {
        self.hurry.notify_one();
    }

    /// Connects without a further pause, unless it is connected: for a call that is to find
    /// out whether the service is back.
    pub(super) fn dial(&self) {
        if self.connected() == 0 {
            self.dial.notify_one();
        }
    }

    /// What went wrong last, while nothing is connected.
    pub(crate) fn last_error(&self) -> Option<String> {
        self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_error(&self, why: Option<String>) {
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = why;
    }

    fn change<R>(&self, change: impl FnOnce(&mut Vec<Arc<Connection>>) -> R) -> R {
        // Nothing in here panics; were it to, the list would still be whole.
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut connections = Vec::clone(&self.connections.load());
        let result = change(&mut connections);
        self.connections.store(Arc::new(connections));
        result
    }

    fn add(&self, connection: Connection) -> Arc<Connection> {
        self.change(|connections| {
            let other = connections.iter().find(|other| !other.is_closed());
            let connection = Arc::new(match other {
                Some(other) => connection.beside(other),
                // Perhaps to a process that was started since: it gets its chance.
                None => {
                    self.load.forget();
                    connection
                }
            });
            connections.push(Arc::clone(&connection));
            connection
        })
    }

    /// Lets go of all connections: each ends when its last call does.
    pub(super) fn retire(&self) {
        self.change(Vec::clear);
    }

    /// It has answered a call: what is dialled for it serves.
    pub(super) fn answered(&self) {
        if !self.answered.load(Ordering::Relaxed) {
            self.answered.store(true, Ordering::Relaxed);
        }
    }

    /// Forgets a connection that takes no further calls.
    pub(super) fn forget(&self, gone: &Arc<Connection>) {
        let was_there = self.change(|connections| {
            let before = connections.len();
            connections.retain(|other| !Arc::ptr_eq(other, gone));
            connections.len() < before
        });
        if was_there {
            self.changed.notify_one();
        }
    }

    /// Waits for a change, and closes a connection after a time in which one less would
    /// have done.
    async fn rest(&self) {
        if self.connections.load().len() < 2 {
            return self.changed.notified().await;
        }
        if timeout(NOT_NEEDED, self.changed.notified()).await.is_ok() {
            return;
        }
        let busy = self.busy.swap(false, Ordering::Relaxed);
        // There are more than there may be where many endpoints have joined.
        let too_many = self.connections.load().len() > self.max_connections.load(Ordering::Relaxed);
        if too_many || !busy {
            self.close_idle();
        }
    }

    /// Closes the last connection that carries no call, if there are others. A call that
    /// takes a stream on it at this moment keeps it open until it has ended.
    fn close_idle(&self) {
        self.change(|connections| {
            let idle = connections.iter().rposition(|connection| connection.in_flight() == 0);
            if let (Some(idle), true) = (idle, connections.len() > 1) {
                connections.remove(idle);
            }
        });
    }

    fn wants_connection(&self) -> bool {
        let count = self.connections.load().len();
        let crowded = self.crowded.load(Ordering::Relaxed)
            && count < self.max_connections.load(Ordering::Relaxed);
        self.is_listed() && (count == 0 || crowded)
    }
}

/// Keeps an endpoint connected for as long as the registry lists it: one connection,
/// and more while the calls crowd, which it closes when they do not any more. Ends by
/// being aborted.
pub(super) async fn keep_connected(target: Arc<Target>, pool: Weak<Shared>) {
    let Some((settings, tls)) =
        pool.upgrade().map(|pool| (pool.settings.clone(), pool.tls.clone()))
    else {
        return;
    };
    let mut backoff = Backoff::new(settings.reconnect_initial, settings.reconnect_max);
    let mut rng = Rng::new();
    let mut since: Option<Instant> = None;
    let mut failing = false;
    loop {
        while !target.wants_connection() {
            target.rest().await;
        }
        if let Some(since) = since.take() {
            let answered = target.answered.swap(false, Ordering::Relaxed);
            if target.connected() > 0 || answered || since.elapsed() >= PROVEN {
                backoff.reset();
            } else {
                pause(&target, backoff.pause(&mut rng)).await;
            }
        }
        let complaints = target.complaints.load(Ordering::Relaxed);
        let pace = Pace::new(&settings, target.is_gantry, complaints);
        let opened = Connection::open(target.address, pace, tls.as_deref(), &settings).await;
        let weak = &pool;
        let Some(pool) = weak.upgrade() else { return };
        match opened {
            Ok(_) if !target.is_listed() => {}
            Ok((connection, drive)) => {
                tracing::debug!(service = %pool.service, endpoint = %target.address, "connected");
                failing = false;
                since = Some(Instant::now());
                target.set_error(None);
                let connection = target.add(connection);
                target.crowded.store(false, Ordering::Relaxed);
                let (connection, target) = (Arc::downgrade(&connection), Arc::downgrade(&target));
                tokio::spawn(drive_to_end(drive, connection, target, Weak::clone(weak)));
                pool.available.notify_waiters();
            }
            Err(error) => {
                let why = error.to_string();
                if !failing && target.connected() == 0 {
                    tracing::warn!(service = %pool.service, endpoint = %target.address, why,
                        "endpoint cannot be connected, it gets no calls until it can");
                }
                failing = true;
                target.crowded.store(false, Ordering::Relaxed);
                target.set_error(Some(why));
                drop(pool);
                pause(&target, backoff.pause(&mut rng)).await;
            }
        }
    }
}

/// Pauses before another attempt; calls that wait may cut it short, and a probe ends it.
async fn pause(target: &Target, pause: Duration) {
    let hurried = async {
        sleep(HURRIED).await;
        target.hurry.notified().await;
    };
    tokio::select! {
        () = sleep(pause) => {}
        () = hurried, if pause > HURRIED => {}
        () = target.dial.notified() => {}
    }
}

/// Owned by the connection's senders and calls: it ends when the last of them does.
async fn drive_to_end(
    mut drive: Drive,
    connection: Weak<Connection>,
    target: Weak<Target>,
    pool: Weak<Shared>,
) {
    let more_room = || {
        if let Some(pool) = pool.upgrade() {
            pool.available.notify_waiters();
        }
    };
    let closed = drive.until_closed(&connection, more_room).await;
    // One that has ended fails its calls when it is dropped.
    let drains = matches!(closed, Closed::Drains(_)).then_some(drive);
    if let Some(target) = target.upgrade() {
        if closed.complains_of_pings() {
            target.complaints.fetch_add(1, Ordering::Relaxed);
            tracing::info!(endpoint = %target.address,
                "endpoint complains of too many pings, it gets half as many");
        }
        if let Some(why) = closed.why() {
            tracing::debug!(endpoint = %target.address, why, "connection lost");
            target.set_error(Some(why));
        }
        if let Some(connection) = connection.upgrade() {
            target.forget(&connection);
        }
        if target.connected() == 0
            && let Some(pool) = pool.upgrade()
        {
            pool.unconnected.notify_one();
        }
    }
    if let Some(drive) = drains {
        drive.until_ended().await;
    }
}
