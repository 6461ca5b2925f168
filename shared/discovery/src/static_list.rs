//! Endpoints that stand in the configuration: addresses, or names in the DNS.
//!
//! Each name is looked up at once and then at an interval, all of its addresses count.
//! A name that cannot be looked up keeps the addresses it had and holds up no other.
//! Registering changes nothing: the list is what the operator says it is.

use std::{
    collections::BTreeMap,
    fmt,
    future::Future,
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use futures_util::stream::{self, Stream, StreamExt};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::{
    instance::{Endpoint, EndpointSet, Instance},
    registrar::{RegisterError, Registrar, Registration, RegistrationState},
    resolver::{Publisher, Resolver, Watch, Watched},
    source::Sources,
};

/// The longest a look-up may take.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);

/// A list of endpoints by service.
#[derive(Debug)]
pub struct StaticList {
    services: BTreeMap<String, Vec<Target>>,
    refresh: Duration,
    lookup: Lookup,
    sources: Sources,
}

/// How long the first set waits for names that are slow, so that it is whole if it can be.
const GRACE: Duration = Duration::from_millis(500);

/// The shortest time between two look-ups of a name.
const SHORTEST_REFRESH: Duration = Duration::from_secs(1);

/// A list that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidList {
    /// An entry that is neither `IP:PORT` nor `NAME:PORT`.
    #[error("expected HOST:PORT, got {entry:?}")]
    Entry {
        /// The service it is listed for.
        service: String,
        /// The entry as it stands.
        entry: String,
    },
    /// Names would be looked up all the time.
    #[error("expected at least {SHORTEST_REFRESH:?}, got {0:?}")]
    Refresh(Duration),
}

impl InvalidList {
    /// The key, within `discovery`.
    pub(crate) fn key(&self) -> String {
        match self {
            Self::Entry { service, .. } => format!("static.{service}"),
            Self::Refresh(_) => "static_refresh".to_owned(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Target {
    Address(SocketAddr),
    Name(String, u16),
}

type Addresses = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;

/// How names are looked up: the system's way, or a test's.
#[derive(Clone)]
struct Lookup(Arc<dyn Fn(String, u16) -> Addresses + Send + Sync>);

impl StaticList {
    /// A list by service. Names are looked up again every `refresh`, which is at least
    /// 1 s.
    ///
    /// # Errors
    /// [`InvalidList`] naming what is wrong first.
    pub fn new(
        services: &BTreeMap<String, Vec<String>>,
        refresh: Duration,
    ) -> Result<Self, InvalidList> {
        let system = |name: String, port| -> Addresses {
            Box::pin(async move { Ok(tokio::net::lookup_host((name, port)).await?.collect()) })
        };
        Self::with_lookup(services, refresh, Lookup(Arc::new(system)))
    }

    fn with_lookup(
        services: &BTreeMap<String, Vec<String>>,
        refresh: Duration,
        lookup: Lookup,
    ) -> Result<Self, InvalidList> {
        if refresh < SHORTEST_REFRESH {
            return Err(InvalidList::Refresh(refresh));
        }
        let parsed = services.iter().map(|(service, entries)| {
            let targets = entries.iter().map(|entry| {
                Target::parse(entry).ok_or_else(|| InvalidList::Entry {
                    service: service.clone(),
                    entry: entry.clone(),
                })
            });
            Ok((service.clone(), targets.collect::<Result<_, _>>()?))
        });
        let services = parsed.collect::<Result<_, InvalidList>>()?;
        Ok(Self { services, refresh, lookup, sources: Sources::default() })
    }
}

impl Target {
    fn parse(entry: &str) -> Option<Self> {
        if let Ok(address) = entry.parse::<SocketAddr>() {
            return (address.port() != 0 && !address.ip().to_canonical().is_unspecified())
                .then_some(Self::Address(address));
        }
        let (name, port) = entry.rsplit_once(':')?;
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let port = port.parse().ok().filter(|port| *port != 0)?;
        // An address with a typing error must not be taken for a name.
        let numeric = name.chars().all(|c| c.is_ascii_digit() || c == '.');
        (!name.is_empty() && name.chars().all(allowed) && !numeric)
            .then(|| Self::Name(name.to_owned(), port))
    }
}

#[async_trait]
impl Registrar for StaticList {
    async fn register(&self, instance: Instance) -> Result<Registration, RegisterError> {
        instance.validate()?;
        let release = || std::future::ready(());
        Ok(Registration::new(|| RegistrationState::Registered, release))
    }
}

impl Resolver for StaticList {
    fn watch(&self, service: &str) -> Watch {
        self.sources.watch(service, |publisher| {
            let targets = self.services.get(service).map_or(&[][..], Vec::as_slice);
            let known = Known::new(targets);
            if known.names.is_empty() {
                known.tell(publisher);
                return None;
            }
            let answers = stream::select_all(known.names.keys().map(|(name, port)| {
                Box::pin(answers(name.clone(), *port, self.lookup.clone(), self.refresh))
            }));
            Some(tokio::spawn(known.follow(answers, Arc::clone(publisher))))
        })
    }

    fn watched(&self) -> BTreeMap<String, Watched> {
        self.sources.watched()
    }
}

/// A name and the port behind it.
type Name = (String, u16);

/// What a name leads to, once a look-up has ended, for as long as anybody asks.
fn answers(
    name: String,
    port: u16,
    lookup: Lookup,
    refresh: Duration,
) -> impl Stream<Item = (Name, Result<Vec<SocketAddr>, String>)> {
    stream::unfold(Instant::now(), move |due| {
        let (name, lookup) = (name.clone(), lookup.clone());
        async move {
            sleep_until(due).await;
            let next = Instant::now() + refresh;
            let looking_up = (lookup.0)(name.clone(), port);
            let answer = match timeout(LOOKUP_TIMEOUT, looking_up).await {
                Ok(Ok(addresses)) if addresses.is_empty() => Err("has no address".to_owned()),
                Ok(answer) => answer.map_err(|error| error.to_string()),
                Err(_) => Err(format!("no answer within {LOOKUP_TIMEOUT:?}")),
            };
            Some((((name, port), answer), next))
        }
    })
}

/// What is known of one service's targets.
struct Known {
    fixed: Vec<SocketAddr>,
    names: BTreeMap<Name, Found>,
}

/// What is known of one name.
struct Found {
    addresses: Vec<SocketAddr>,
    /// When they were found.
    confirmed: Option<Instant>,
    /// Why that is not how things are now.
    trouble: Option<String>,
}

impl Known {
    fn new(targets: &[Target]) -> Self {
        let mut known = Self { fixed: Vec::new(), names: BTreeMap::new() };
        for target in targets {
            match target {
                Target::Address(address) => known.fixed.push(*address),
                Target::Name(name, port) => {
                    let trouble = Some("not looked up yet".to_owned());
                    let found = Found { addresses: Vec::new(), confirmed: None, trouble };
                    known.names.insert((name.clone(), *port), found);
                }
            }
        }
        known
    }

    async fn follow(
        mut self,
        mut answers: impl Stream<Item = (Name, Result<Vec<SocketAddr>, String>)> + Unpin,
        publisher: Arc<Publisher>,
    ) {
        let mut grace = pin!(sleep(GRACE));
        let mut awaited = self.names.len();
        loop {
            tokio::select! {
                () = &mut grace, if awaited > 0 => awaited = 0,
                answer = answers.next() => {
                    let Some((name, answer)) = answer else { return };
                    self.learn(&name, answer);
                    awaited = awaited.saturating_sub(1);
                }
            }
            if awaited == 0 {
                self.tell(&publisher);
            }
        }
    }

    fn learn(&mut self, name: &Name, answer: Result<Vec<SocketAddr>, String>) {
        let Some(found) = self.names.get_mut(name) else { return };
        match answer {
            Ok(addresses) => {
                let confirmed = Some(Instant::now());
                *found = Found { addresses, confirmed, trouble: None };
            }
            Err(why) => {
                if found.trouble.as_ref() != Some(&why) {
                    let name = &name.0;
                    tracing::warn!(name, why, "name look-up failed, the last addresses are kept");
                }
                found.trouble = Some(why);
            }
        }
    }

    fn tell(&self, publisher: &Publisher) {
        let found = self.names.values().flat_map(|found| &found.addresses);
        let set: EndpointSet = self.fixed.iter().chain(found).copied().map(Endpoint::at).collect();
        // Nothing found at all is no answer: an empty set would claim one.
        if self.names.is_empty() || !set.is_empty() {
            // It is as old as what of it was found first.
            let confirmed = self.names.values().filter_map(|found| found.confirmed).min();
            publisher.publish_as_of(confirmed.unwrap_or_else(Instant::now), set);
        }
        let troubles: Vec<_> = self
            .names
            .iter()
            .filter_map(|((name, _), found)| Some(format!("{name}: {}", found.trouble.as_ref()?)))
            .collect();
        if !troubles.is_empty() {
            publisher.failed(troubles.join("; "));
        }
    }
}

impl fmt::Debug for Lookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lookup")
    }
}

#[cfg(test)]
mod tests;
