//! Host names and the addresses that they lead to.
//!
//! Each name is looked up at once and then at an interval; all of its addresses count. A name
//! that cannot be looked up keeps the addresses that it had and holds up no other.

use std::{
    collections::BTreeMap, fmt, future::Future, io, net::SocketAddr, pin::Pin, sync::Arc,
    time::Duration,
};

use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep_until, timeout},
};

/// Longest time of a look-up.
pub(crate) const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);

/// Shortest time between two look-ups of a name.
pub(crate) const SHORTEST_REFRESH: Duration = Duration::from_secs(1);

/// Look-ups at a time: each holds a thread.
const AT_ONCE: usize = 32;

/// Longest host name (RFC 1035, 2.3.4).
const LONGEST_NAME: usize = 253;

/// A host name and the port behind it.
pub(crate) type Name = (String, u16);

pub(crate) type Addresses = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;

/// Way to look up a name: the system's, or a test's.
#[derive(Clone)]
pub(crate) struct Lookup(pub(crate) Arc<dyn Fn(String, u16) -> Addresses + Send + Sync>);

impl Lookup {
    /// The system's resolver.
    pub(crate) fn system() -> Self {
        Self(Arc::new(|name: String, port| -> Addresses {
            Box::pin(async move { Ok(tokio::net::lookup_host((name, port)).await?.collect()) })
        }))
    }
}

/// Returns if a text can be a host name. An address with a typing error is none.
pub(crate) fn is_name(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let numeric = text.chars().all(|c| c.is_ascii_digit() || c == '.');
    text.len() <= LONGEST_NAME && text.chars().all(allowed) && !numeric
}

/// Names that are followed.
pub(crate) struct Names {
    lookup: Lookup,
    refresh: Duration,
    found: BTreeMap<Name, Found>,
    /// One for each name in `found`: it waits until the name is due, and looks it up.
    pending: FuturesUnordered<Pending>,
    slots: Arc<Semaphore>,
}

type Pending = Pin<Box<dyn Future<Output = LookedUp> + Send>>;

struct LookedUp {
    name: Name,
    answer: Result<Vec<SocketAddr>, String>,
    /// When the next look-up is due.
    next: Instant,
}

/// What is known of one name.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) addresses: Vec<SocketAddr>,
    /// When they were found.
    pub(crate) confirmed: Option<Instant>,
    /// Why the last look-up failed; `None` if it did not, or was not made yet.
    pub(crate) trouble: Option<String>,
    looked_up: bool,
    /// Whether it is followed; if not, it is forgotten when it is due.
    wanted: bool,
}

impl Found {
    fn unknown() -> Self {
        let addresses = Vec::new();
        Self { addresses, confirmed: None, trouble: None, looked_up: false, wanted: true }
    }

    /// Whether a look-up has ended, well or not.
    pub(crate) fn is_looked_up(&self) -> bool {
        self.looked_up
    }
}

impl Names {
    /// Follows nothing yet. `refresh` is the time between two look-ups of a name.
    pub(crate) fn new(lookup: Lookup, refresh: Duration) -> Self {
        let slots = Arc::new(Semaphore::new(AT_ONCE));
        Self { lookup, refresh, found: BTreeMap::new(), pending: FuturesUnordered::new(), slots }
    }

    /// Follows these names and no others. Those that are followed already keep what was found.
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

    /// What is known of a name that is followed.
    #[cfg(feature = "consul")]
    pub(crate) fn get(&self, name: &Name) -> Option<&Found> {
        self.found.get(name).filter(|found| found.wanted)
    }

    /// The names that are followed.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Name, &Found)> {
        self.found.iter().filter(|(_, found)| found.wanted)
    }

    /// Waits until a look-up has ended; for ever while nothing is followed. Cancel-safe.
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
            // Never closed: without a place it would be looked up all the same.
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

    /// Returns if the name is followed.
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
                found.trouble = None;
            }
            Err(why) => {
                if found.trouble.as_ref() != Some(&why) {
                    let name = &name.0;
                    tracing::warn!(name, why, "name look-up failed, the last addresses are kept");
                }
                found.trouble = Some(why);
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
