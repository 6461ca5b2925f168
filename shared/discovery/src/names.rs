//! Host names and their addresses.
//!
//! Each name is looked up at once and then regularly. Each of its addresses is an endpoint. If a
//! look-up fails, the name keeps its last addresses. A slow look-up does not delay others.

use std::{
    collections::BTreeMap, fmt, future::Future, io, net::SocketAddr, pin::Pin, sync::Arc,
    time::Duration,
};

use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep_until, timeout},
};

/// Timeout of a look-up.
pub(crate) const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);

/// Minimum time between two look-ups of a name.
pub(crate) const SHORTEST_REFRESH: Duration = Duration::from_secs(1);

/// Maximum number of concurrent look-ups. Each occupies a thread.
const AT_ONCE: usize = 32;

/// Maximum length of a host name (RFC 1035, 2.3.4).
const LONGEST_NAME: usize = 253;

/// A host name and a port.
pub(crate) type Name = (String, u16);

pub(crate) type Addresses = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;

/// Function that looks up a name: the system's resolver, or a test's.
#[derive(Clone)]
pub(crate) struct Lookup(pub(crate) Arc<dyn Fn(String, u16) -> Addresses + Send + Sync>);

impl Lookup {
    /// Returns the system's resolver.
    pub(crate) fn system() -> Self {
        Self(Arc::new(|name: String, port| -> Addresses {
            Box::pin(async move { Ok(tokio::net::lookup_host((name, port)).await?.collect()) })
        }))
    }
}

/// Returns true if a text can be a host name. A mistyped IP address is not a host name.
pub(crate) fn is_name(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let numeric = text.chars().all(|c| c.is_ascii_digit() || c == '.');
    text.len() <= LONGEST_NAME && text.chars().all(allowed) && !numeric
}

/// Host names that are looked up regularly.
pub(crate) struct Names {
    lookup: Lookup,
    refresh: Duration,
    found: BTreeMap<Name, Found>,
    /// A future for each name in `found`: waits until the name is due and looks it up.
    pending: FuturesUnordered<Pending>,
    slots: Arc<Semaphore>,
}

type Pending = Pin<Box<dyn Future<Output = LookedUp> + Send>>;

struct LookedUp {
    name: Name,
    answer: Result<Vec<SocketAddr>, String>,
    /// Time of the next look-up.
    next: Instant,
}

/// Result of the look-ups of a name.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) addresses: Vec<SocketAddr>,
    /// Time of the last successful look-up.
    pub(crate) confirmed: Option<Instant>,
    /// Error of the last look-up. None if it succeeded or is still running.
    pub(crate) last_error: Option<String>,
    looked_up: bool,
    /// False if the name is no longer followed. It is removed when it is due.
    wanted: bool,
}

impl Found {
    fn unknown() -> Self {
        let addresses = Vec::new();
        Self { addresses, confirmed: None, last_error: None, looked_up: false, wanted: true }
    }

    /// Returns true if a look-up has ended, even if it failed.
    pub(crate) fn is_looked_up(&self) -> bool {
        self.looked_up
    }
}

impl Names {
    /// Creates an empty set of names. `refresh` is the time between two look-ups of a name.
    pub(crate) fn new(lookup: Lookup, refresh: Duration) -> Self {
        let slots = Arc::new(Semaphore::new(AT_ONCE));
        Self { lookup, refresh, found: BTreeMap::new(), pending: FuturesUnordered::new(), slots }
    }

    /// Follows exactly these names. Names that were followed before keep their results.
    pub(crate) fn follow(&mut self, names: impl IntoIterator<Item = Name>) {
        self.found.values_mut().for_each(|found| found.wanted = false);
        for name in names {
            if let Some(found) = self.found.get_mut(&name) {
                found.wanted = true;
            } else {
                self.found.insert(name.clone(), Found::unknown());
                self.look_up(name, Instant::now());
            }
        }
    }

    /// Returns the result of a followed name.
    #[cfg(feature = "consul")]
    pub(crate) fn get(&self, name: &Name) -> Option<&Found> {
        self.found.get(name).filter(|found| found.wanted)
    }

    /// Returns all followed names.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Name, &Found)> {
        self.found.iter().filter(|(_, found)| found.wanted)
    }

    /// Waits until a look-up has ended. Never returns while no name is followed. Cancel-safe.
    pub(crate) async fn changed(&mut self) {
        while let Some(LookedUp { name, answer, next }) = self.pending.next().await {
            if self.learn(&name, answer) {
                self.look_up(name, next);
                return;
            }
        }
        std::future::pending::<()>().await;
    }

    fn look_up(&mut self, name: Name, due: Instant) {
        let (lookup, slots, refresh) = (self.lookup.clone(), Arc::clone(&self.slots), self.refresh);
        self.pending.push(Box::pin(async move {
            sleep_until(due).await;
            // The semaphore is never closed. If it were, the look-up would proceed anyway.
            let _place = slots.acquire().await.ok();
            let next = Instant::now() + refresh;
            let looking_up = (lookup.0)(name.0.clone(), name.1);
            let answer = match timeout(LOOKUP_TIMEOUT, looking_up).await {
                Ok(Ok(addresses)) if addresses.is_empty() => Err("has no address".to_owned()),
                Ok(answer) => answer.map_err(|error| error.to_string()),
                Err(_) => Err(format!("no answer within {LOOKUP_TIMEOUT:?}")),
            };
            LookedUp { name, answer, next }
        }));
    }

    /// Records an answer. Returns true if the name is still followed.
    fn learn(&mut self, name: &Name, answer: Result<Vec<SocketAddr>, String>) -> bool {
        let Some(found) = self.found.get_mut(name).filter(|found| found.wanted) else {
            self.found.remove(name);
            return false;
        };
        found.looked_up = true;
        match answer {
            Ok(addresses) => {
                found.addresses = addresses;
                found.confirmed = Some(Instant::now());
                found.last_error = None;
            }
            Err(why) => {
                if found.last_error.as_ref() != Some(&why) {
                    let name = &name.0;
                    tracing::warn!(
                        name,
                        why,
                        "name look-up failed, the last addresses stay in use"
                    );
                }
                found.last_error = Some(why);
            }
        }
        true
    }
}

impl fmt::Debug for Lookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lookup")
    }
}
