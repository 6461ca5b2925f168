//! Limits of open connections: in total, per source and per IPv6 site.
//!
//! At a limit, a new connection can replace a less valuable one. Connections without a completed
//! call go first: the oldest of the source with the most of them. Then go idle connections of
//! sources that have more connections than the source of the new one, the largest source first. A
//! connection with a call in flight stays if it has completed one before. A share of all
//! connections is reserved for proven peers: sources that made an authenticated call in the last
//! hour.

mod standing;
mod table;

use std::{
    net::IpAddr,
    ops::Deref,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::time::Instant;

use self::table::Table;
pub(crate) use self::{
    standing::Standing,
    table::{Limits, Refused},
};
use crate::{client::Proxies, source::source_of};

/// Issuer of permits for connections.
#[derive(Debug)]
pub(crate) struct ConnectionLimiter {
    limits: Limits,
    /// Trusted proxies. They are exempt from all limits except the total, because they forward the
    /// connections of many sources.
    proxies: Arc<Proxies>,
    table: Arc<Mutex<Table>>,
}

impl ConnectionLimiter {
    pub(crate) fn new(limits: Limits, proxies: Arc<Proxies>) -> Self {
        Self { limits, proxies, table: Arc::default() }
    }

    /// Returns true if new connections must wait because too many are closing.
    pub(crate) fn is_clearing(&self) -> bool {
        lock(&self.table).is_clearing()
    }

    /// Returns a permit for a connection from this address. [`ConnectionPermit::evicted`] is set if
    /// another connection is closed for it.
    ///
    /// # Errors
    /// The limit that is reached.
    pub(crate) fn admit(&self, peer: IpAddr) -> Result<ConnectionPermit, Refused> {
        let exempt = self.proxies.trusts(peer.to_canonical());
        let (standing, evicted) =
            lock(&self.table).admit(source_of(peer), exempt, &self.limits, Instant::now())?;
        let peer = Peer { standing, table: Arc::clone(&self.table) };
        Ok(ConnectionPermit { peer, evicted })
    }
}

fn lock(table: &Mutex<Table>) -> MutexGuard<'_, Table> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Permit of one connection; released when dropped.
#[derive(Debug)]
pub(crate) struct ConnectionPermit {
    pub(crate) peer: Peer,
    /// True if another connection is closed for this one.
    pub(crate) evicted: bool,
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        lock(&self.peer.table).release(&self.peer.standing, Instant::now());
    }
}

/// Peer of a connection, shared with its calls.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    standing: Arc<Standing>,
    table: Arc<Mutex<Table>>,
}

impl Peer {
    /// Records a completed call.
    pub(crate) fn completed_call(&self) {
        if self.standing.is_unproven() {
            lock(&self.table).completed(&self.standing);
        }
    }

    /// Records that a caller proved its identity.
    pub(crate) fn authenticated(&self) {
        if !self.standing.is_proven() {
            lock(&self.table).proved(&self.standing, Instant::now());
        }
    }
}

impl Deref for Peer {
    type Target = Standing;

    fn deref(&self) -> &Standing {
        &self.standing
    }
}

/// Peer without limits, for tests.
#[cfg(test)]
impl Peer {
    pub(crate) fn any() -> Self {
        let limits = Limits { max: 1, reserved: 0, per_source: 1, per_site: 1 };
        let table = Arc::<Mutex<Table>>::default();
        let source = source_of(std::net::Ipv4Addr::LOCALHOST.into());
        let (standing, _) = lock(&table).admit(source, false, &limits, Instant::now()).unwrap();
        Self { standing, table }
    }
}
