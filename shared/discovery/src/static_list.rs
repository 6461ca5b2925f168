//! Endpoints from the settings: IP addresses or host names.
//!
//! Each name is looked up at once and then regularly. Each of its addresses is an endpoint. If a
//! look-up fails, the name keeps its last addresses. A slow look-up does not delay others.
//! Registration has no effect: only the operator changes the list.

use std::{collections::BTreeMap, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::time::{Instant, sleep};

use crate::{
    instance::{Endpoint, EndpointSet, Instance},
    names::{self, Found, Lookup, Name, Names, SHORTEST_REFRESH},
    registrar::{RegisterError, Registrar, Registration, RegistrationState},
    resolver::{Publisher, Resolver, Watch, Watched},
    source::Sources,
};

/// Endpoints by service.
#[derive(Debug)]
pub struct StaticList {
    services: BTreeMap<String, Vec<Target>>,
    refresh: Duration,
    lookup: Lookup,
    sources: Sources,
}

/// Maximum time that the first set waits for all look-ups, so that it is complete if possible.
const GRACE: Duration = Duration::from_millis(500);

/// Default time between two look-ups of a name.
pub(crate) const DEFAULT_REFRESH: Duration = Duration::from_secs(10);

/// An unusable list.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidList {
    /// An entry is neither `IP:PORT` nor `NAME:PORT`.
    #[error("expected HOST:PORT, got {entry:?}")]
    Entry {
        /// Service of the entry.
        service: String,
        /// The entry, unchanged.
        entry: String,
    },
    /// The refresh interval is too short.
    #[error("expected at least {SHORTEST_REFRESH:?}, got {0:?}")]
    Refresh(Duration),
}

impl InvalidList {
    /// Returns the key of the setting within `discovery`.
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

impl StaticList {
    /// Creates a list by service. Names are looked up every `refresh`, at least 1 s.
    ///
    /// # Errors
    /// [`InvalidList`] naming the first problem.
    pub fn new(
        services: &BTreeMap<String, Vec<String>>,
        refresh: Duration,
    ) -> Result<Self, InvalidList> {
        Self::with_lookup(services, refresh, Lookup::system())
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
        let port = port.parse().ok().filter(|port| *port != 0)?;
        names::is_name(name).then(|| Self::Name(name.to_owned(), port))
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
            let targets = Targets::new(targets, Names::new(self.lookup.clone(), self.refresh));
            if targets.names.iter().next().is_none() {
                targets.publish(publisher);
                return None;
            }
            Some(tokio::spawn(targets.follow(Arc::clone(publisher))))
        })
    }

    fn watched(&self) -> BTreeMap<String, Watched> {
        self.sources.watched()
    }
}

/// Addresses and names of one service.
struct Targets {
    fixed: Vec<SocketAddr>,
    names: Names,
}

impl Targets {
    fn new(targets: &[Target], mut names: Names) -> Self {
        let mut fixed = Vec::new();
        names.follow(targets.iter().filter_map(|target| match target {
            Target::Address(address) => {
                fixed.push(*address);
                None
            }
            Target::Name(name, port) => Some((name.clone(), *port)),
        }));
        Self { fixed, names }
    }

    async fn follow(mut self, publisher: Arc<Publisher>) {
        let mut grace = pin!(sleep(GRACE));
        let mut waits = true;
        loop {
            tokio::select! {
                () = &mut grace, if waits => waits = false,
                () = self.names.changed() => {
                    waits &= self.names.iter().any(|(_, found)| !found.is_looked_up());
                }
            }
            if !waits {
                self.publish(&publisher);
            }
        }
    }

    fn publish(&self, publisher: &Publisher) {
        let names = || self.names.iter();
        let found = names().flat_map(|(_, found)| &found.addresses);
        let set: EndpointSet = self.fixed.iter().chain(found).copied().map(Endpoint::at).collect();
        // Do not publish an empty set if look-ups found nothing: it would claim that the service
        // has no endpoints.
        if names().next().is_none() || !set.is_empty() {
            // The set is as old as its oldest look-up.
            let confirmed = names().filter_map(|(_, found)| found.confirmed).min();
            publisher.publish_as_of(confirmed.unwrap_or_else(Instant::now), set);
        }
        let failure = |((name, _), found): (&Name, &Found)| {
            let not_yet = (!found.is_looked_up()).then_some("not looked up yet");
            Some(format!("{name}: {}", found.last_error.as_deref().or(not_yet)?))
        };
        let failures: Vec<_> = names().filter_map(failure).collect();
        if !failures.is_empty() {
            publisher.failed(failures.join("; "));
        }
    }
}

#[cfg(test)]
mod tests;
