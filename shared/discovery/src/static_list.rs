//! Endpoints that stand in the configuration: addresses, or names in the DNS.
//!
//! Names are looked up at once and then at an interval, all of their addresses
//! count. A name that cannot be looked up keeps the addresses it had. Registering
//! changes nothing: the list is what the operator says it is.

use std::{
    collections::BTreeMap, fmt, future::Future, io, net::SocketAddr, pin::Pin, sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use futures_util::future::join_all;
use tokio::time::{sleep, timeout};

use crate::{
    instance::{Endpoint, EndpointSet, Instance},
    registrar::{RegisterError, Registrar, Registration, RegistrationState},
    resolver::{Publisher, Resolver, Watch},
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

/// An entry of the list that is neither `IP:PORT` nor `NAME:PORT`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{entry:?} of service {service} is no address: expected HOST:PORT")]
pub struct InvalidTarget {
    /// The service it is listed for.
    pub service: String,
    /// The entry as it stands.
    pub entry: String,
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
    /// A list by service. Names are looked up again every `refresh`.
    ///
    /// # Errors
    /// [`InvalidTarget`] naming the first entry that is not `HOST:PORT`.
    pub fn new(
        services: &BTreeMap<String, Vec<String>>,
        refresh: Duration,
    ) -> Result<Self, InvalidTarget> {
        let system = |name: String, port| -> Addresses {
            Box::pin(async move { Ok(tokio::net::lookup_host((name, port)).await?.collect()) })
        };
        Self::with_lookup(services, refresh, Lookup(Arc::new(system)))
    }

    fn with_lookup(
        services: &BTreeMap<String, Vec<String>>,
        refresh: Duration,
        lookup: Lookup,
    ) -> Result<Self, InvalidTarget> {
        let parsed = services.iter().map(|(service, entries)| {
            let targets = entries.iter().map(|entry| {
                Target::parse(entry)
                    .ok_or_else(|| InvalidTarget { service: service.clone(), entry: entry.clone() })
            });
            Ok((service.clone(), targets.collect::<Result<_, _>>()?))
        });
        let services = parsed.collect::<Result<_, InvalidTarget>>()?;
        Ok(Self { services, refresh, lookup, sources: Sources::default() })
    }
}

impl Target {
    fn parse(entry: &str) -> Option<Self> {
        if let Ok(address) = entry.parse::<SocketAddr>() {
            return (address.port() != 0 && !address.ip().is_unspecified())
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
            let mut names = Names::default();
            for target in targets {
                match target {
                    Target::Address(address) => names.fixed.push(*address),
                    Target::Name(name, port) => {
                        names.found.insert((name.clone(), *port), Vec::new());
                    }
                }
            }
            if names.found.is_empty() {
                publisher.publish(names.set());
                return None;
            }
            let (publisher, lookup) = (Arc::clone(publisher), self.lookup.clone());
            Some(tokio::spawn(names.keep_looking_up(publisher, lookup, self.refresh)))
        })
    }
}

/// What is known of one service's targets.
#[derive(Default)]
struct Names {
    fixed: Vec<SocketAddr>,
    /// The addresses last found for each name.
    found: BTreeMap<(String, u16), Vec<SocketAddr>>,
}

impl Names {
    fn set(&self) -> EndpointSet {
        let found = self.found.values().flatten();
        self.fixed.iter().chain(found).copied().map(Endpoint::at).collect()
    }

    async fn keep_looking_up(
        mut self,
        publisher: Arc<Publisher>,
        lookup: Lookup,
        refresh: Duration,
    ) {
        let mut told = String::new();
        loop {
            let failures = self.look_up(&lookup).await;
            let answered = failures.len() < self.found.len();
            let set = self.set();
            // Nothing found at all is no answer: an empty set would claim one.
            if answered || !set.is_empty() {
                publisher.publish(set);
            }
            let why = failures.join("; ");
            if why != told && !why.is_empty() {
                tracing::warn!(why, "name look-up failed, the last addresses are kept");
            }
            if !why.is_empty() {
                publisher.failed(&why);
            }
            told = why;
            sleep(refresh).await;
        }
    }

    /// Looks up all names at once; gives what went wrong.
    async fn look_up(&mut self, lookup: &Lookup) -> Vec<String> {
        let answers = self.found.iter_mut().map(|((name, port), found)| async move {
            match timeout(LOOKUP_TIMEOUT, (lookup.0)(name.clone(), *port)).await {
                Ok(Ok(addresses)) if !addresses.is_empty() => {
                    *found = addresses;
                    None
                }
                Ok(Ok(_)) => Some(format!("{name} has no address")),
                Ok(Err(error)) => Some(format!("{name}: {error}")),
                Err(_) => Some(format!("{name}: no answer within {LOOKUP_TIMEOUT:?}")),
            }
        });
        join_all(answers).await.into_iter().flatten().collect()
    }
}

impl fmt::Debug for Lookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lookup")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::resolver::Status;

    type Zone = Arc<Mutex<io::Result<Vec<SocketAddr>>>>;

    fn list(zone: &Zone) -> StaticList {
        let zone = Arc::clone(zone);
        let lookup = move |_: String, _: u16| -> Addresses {
            let answer = match &*zone.lock().unwrap() {
                Ok(addresses) => Ok(addresses.clone()),
                Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
            };
            Box::pin(async { answer })
        };
        let services = BTreeMap::from([(
            "user".to_owned(),
            vec!["users.internal:80".to_owned(), "10.0.0.9:80".to_owned()],
        )]);
        StaticList::with_lookup(&services, Duration::from_secs(10), Lookup(Arc::new(lookup)))
            .unwrap()
    }

    fn addresses(set: &EndpointSet) -> Vec<String> {
        set.endpoints().iter().map(|endpoint| endpoint.address.to_string()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_is_looked_up_again_and_a_failure_keeps_what_was_found() {
        let zone: Zone = Arc::new(Mutex::new(Ok(vec!["10.0.0.1:80".parse().unwrap()])));
        let list = list(&zone);
        let mut watch = list.watch("user");
        watch.changed().await;
        assert_eq!(addresses(&watch.current()), ["10.0.0.1:80", "10.0.0.9:80"]);

        *zone.lock().unwrap() = Ok(vec!["10.0.0.2:80".parse().unwrap()]);
        watch.changed().await;
        assert_eq!(addresses(&watch.current()), ["10.0.0.2:80", "10.0.0.9:80"]);

        *zone.lock().unwrap() = Err(io::Error::other("no such name"));
        sleep(Duration::from_secs(11)).await;
        assert_eq!(addresses(&watch.current()), ["10.0.0.2:80", "10.0.0.9:80"]);
        let Status::Stale { why, .. } = watch.status() else {
            panic!("expected a stale set, got {:?}", watch.status());
        };
        assert_eq!(why, "users.internal: no such name");
    }

    #[tokio::test(start_paused = true)]
    async fn the_look_ups_end_with_the_last_watch() {
        let zone: Zone = Arc::new(Mutex::new(Ok(Vec::new())));
        let list = list(&zone);
        let (first, second) = (list.watch("user"), list.watch("user"));
        sleep(Duration::from_secs(1)).await;
        let uses = || Arc::strong_count(&zone);
        let while_watched = uses();
        drop(first);
        tokio::task::yield_now().await;
        assert_eq!(uses(), while_watched, "the second watch shares the source");
        drop(second);
        tokio::task::yield_now().await;
        assert_eq!(tokio::runtime::Handle::current().metrics().num_alive_tasks(), 0);
    }

    #[test]
    fn an_entry_that_is_no_address_is_named() {
        for entry in ["", "users", "users:", "users:0", ":80", "10.0.0:80", "a b:80", "[::]:80"] {
            let services = BTreeMap::from([("user".to_owned(), vec![entry.to_owned()])]);
            let error = StaticList::new(&services, Duration::from_secs(1)).unwrap_err();
            assert_eq!(error.entry, entry);
        }
        assert_eq!(Target::parse("[::1]:80"), Some(Target::Address("[::1]:80".parse().unwrap())));
        assert_eq!(Target::parse("db-1:80"), Some(Target::Name("db-1".to_owned(), 80)));
    }
}
