//! Endpoint: its live connections, and requests to its dialer.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use gantry_resilience::balance::Load;
use tokio::{
    sync::Notify,
    time::{Instant, timeout},
};

use super::connection::Connection;

/// Time without need after which a connection beyond the first is closed. Shorter than the memory
/// of middleboxes: an idle connection to a server that is not pinged may be dead, and the next
/// burst would fail on it. Longer than the pauses between bursts, since each connection costs round
/// trips to open.
const NOT_NEEDED: Duration = Duration::from_secs(60);

/// Endpoint, as long as it is listed, connected, or held by a call.
#[derive(Debug)]
pub(crate) struct EndpointConnections {
    pub(crate) address: SocketAddr,
    /// True for a Gantry server, which accepts pings at our pace.
    pub(super) is_gantry: bool,
    /// Number of its complaints about too many pings.
    pub(super) complaints: AtomicU32,
    pub(crate) load: Load,
    connections: ArcSwap<Vec<Arc<Connection>>>,
    /// Serialises changes of `connections`.
    changing: Mutex<()>,
    /// True if the registry lists it. Otherwise it is not dialled.
    listed: AtomicBool,
    max_connections: AtomicUsize,
    crowded: AtomicBool,
    /// True if, since the last query, a call found even the emptiest connection at least half
    /// loaded. With one connection less there would soon be too few.
    busy: AtomicBool,
    /// True if it has answered a call since the last query.
    answered: AtomicBool,
    /// Wakes the dialer when a connection is gone or another one is wanted.
    changed: Notify,
    /// Informs the dialer of waiting calls.
    pub(super) hurry: Notify,
    /// Ends the dialer's pause.
    pub(super) dial: Notify,
    last_error: Mutex<Option<String>>,
}

impl EndpointConnections {
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

    /// Returns true if it can take a call now. If all of its connections are at the peer's limit of
    /// streams, requests another one: a peer whose limit is below the usual load of a connection
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

    /// Returns the number of open connections.
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

    /// Requests another connection, up to the maximum.
    fn crowd(&self, connections: usize) {
        if connections < self.max_connections.load(Ordering::Relaxed)
            && !self.crowded.swap(true, Ordering::Relaxed)
        {
            self.changed.notify_one();
        }
    }

    /// Marks it as listed: it gets one connection, and up to this many under load.
    pub(super) fn list(&self, max_connections: usize) {
        self.max_connections.store(max_connections, Ordering::Relaxed);
        if !self.listed.swap(true, Ordering::Relaxed) {
            self.changed.notify_one();
        }
    }

    /// Marks it as delisted.
    pub(super) fn delist(&self) {
        self.listed.store(false, Ordering::Relaxed);
    }

    pub(crate) fn is_listed(&self) -> bool {
        self.listed.load(Ordering::Relaxed)
    }

    pub(super) fn hurry(&self) {
        self.hurry.notify_one();
    }

    /// Connects without a further pause, unless it is connected: for a probe of the service.
    pub(super) fn dial(&self) {
        if self.connected() == 0 {
            self.dial.notify_one();
        }
    }

    /// Returns the last failure to connect.
    pub(crate) fn last_error(&self) -> Option<String> {
        self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set_error(&self, why: Option<String>) {
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = why;
    }

    fn change<R>(&self, change: impl FnOnce(&mut Vec<Arc<Connection>>) -> R) -> R {
        // No code under the lock panics, and each step leaves a usable list.
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut connections = Vec::clone(&self.connections.load());
        let result = change(&mut connections);
        self.connections.store(Arc::new(connections));
        result
    }

    pub(super) fn add(&self, connection: Connection) -> Arc<Connection> {
        self.change(|connections| {
            let other = connections.iter().find(|other| !other.is_closed());
            let connection = Arc::new(match other {
                Some(other) => connection.beside(other),
                // It may be another process now, so its load is unknown.
                None => {
                    self.load.forget();
                    connection
                }
            });
            connections.push(Arc::clone(&connection));
            connection
        })
    }

    /// Drops all connections. Each ends with its last call.
    pub(super) fn retire(&self) {
        self.change(Vec::clear);
    }

    /// Records a response: dialling it is worthwhile.
    pub(super) fn answered(&self) {
        if !self.answered.load(Ordering::Relaxed) {
            self.answered.store(true, Ordering::Relaxed);
        }
    }

    /// Returns true if it has answered a call since the last query.
    pub(super) fn take_answered(&self) -> bool {
        self.answered.swap(false, Ordering::Relaxed)
    }

    /// Withdraws the request for another connection: it is not needed, or cannot be opened.
    pub(super) fn not_crowded(&self) {
        self.crowded.store(false, Ordering::Relaxed);
    }

    /// Removes a connection that takes no further calls.
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

    /// Waits for a change, and closes a connection after a period that needed one less.
    pub(super) async fn rest(&self) {
        if self.connections.load().len() < 2 {
            return self.changed.notified().await;
        }
        if timeout(NOT_NEEDED, self.changed.notified()).await.is_ok() {
            return;
        }
        let busy = self.busy.swap(false, Ordering::Relaxed);
        // The maximum may have fallen, because endpoints have joined.
        let too_many = self.connections.load().len() > self.max_connections.load(Ordering::Relaxed);
        if too_many || !busy {
            self.close_idle();
        }
    }

    /// Closes the last idle connection, if there are others. A call that takes a stream on it at
    /// this moment keeps it open until the call ends.
    fn close_idle(&self) {
        self.change(|connections| {
            let idle = connections.iter().rposition(|connection| connection.in_flight() == 0);
            if let (Some(idle), true) = (idle, connections.len() > 1) {
                connections.remove(idle);
            }
        });
    }

    pub(super) fn wants_connection(&self) -> bool {
        let count = self.connections.load().len();
        let crowded = self.crowded.load(Ordering::Relaxed)
            && count < self.max_connections.load(Ordering::Relaxed);
        self.is_listed() && (count == 0 || crowded)
    }
}
