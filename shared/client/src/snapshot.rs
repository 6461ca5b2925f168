//! Snapshot of a channel, for admin pages and logs.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use gantry_discovery::Status;
use gantry_resilience::{balance::Candidate, circuit_breaker, ejection};
use serde::{Serialize, Serializer, ser::SerializeStruct};
use tokio::time::Instant;

use crate::pool::{Labels, Shared};

/// State of a channel.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Name of the service.
    pub service: String,
    /// Trustworthiness of the registry.
    pub registry: Status,
    /// Number of endpoints that the registry lists, in the subset or not.
    pub listed: usize,
    /// Reason for failing calls; `None` while an endpoint is connected.
    pub trouble: Option<String>,
    /// Current and former endpoints with connections, in the order of their addresses.
    pub endpoints: Vec<EndpointSnapshot>,
    /// Circuit breaker of the service.
    pub breaker: circuit_breaker::Snapshot,
    /// Remaining tokens of the retry budget; at half of them nothing is retried.
    pub retry_tokens: f64,
}

/// State of one endpoint.
#[derive(Clone, Debug, Serialize)]
pub struct EndpointSnapshot {
    /// Address.
    pub address: SocketAddr,
    /// Its version, as registered.
    pub version: String,
    /// Its zone, as registered.
    pub zone: Option<String>,
    /// Its tags, as registered.
    pub tags: Vec<String>,
    /// Its weight relative to the others.
    pub weight: u32,
    /// True if it is in the configured subset. If false, the subset is empty and all endpoints are
    /// called.
    pub in_subset: bool,
    /// True if the registry lists it. If false, it is a last resort: it gets calls only while no
    /// listed endpoint is connected, and disappears with its last connection.
    pub listed: bool,
    /// Live connections to it.
    pub connections: usize,
    /// Calls in flight.
    pub in_flight: u32,
    /// Estimated time to response headers; `None` if unknown.
    #[serde(rename = "estimate_ms", serialize_with = "millis")]
    pub estimate: Option<Duration>,
    /// Error of the last failed attempt to connect.
    pub last_error: Option<String>,
    /// Remaining time of its ejection; `None` if it is not ejected.
    #[serde(rename = "ejected_for_ms", serialize_with = "millis")]
    pub ejected_for: Option<Duration>,
    /// Number of its ejections since it joined.
    pub ejections: u64,
    /// Reason of its last ejection, if any.
    #[serde(serialize_with = "words")]
    pub ejection_reason: Option<ejection::Reason>,
    /// Consecutive failures.
    pub consecutive_failures: u32,
}

impl Snapshot {
    /// Number of endpoints with a live connection.
    pub fn connected(&self) -> usize {
        self.endpoints.iter().filter(|endpoint| endpoint.connections > 0).count()
    }

    pub(crate) fn of(pool: &Arc<Shared>) -> Self {
        let now = Instant::now();
        let health = &pool.health;
        let ejections = health.detector.snapshot(now);
        let subset = pool.settings.balance.to_subset();
        let endpoints = pool.members().into_iter().map(|member| {
            let (connections, endpoint) = (member.connections(), member.endpoint());
            // Ordered by key.
            let found = ejections.binary_search_by_key(&connections.address, |one| one.key);
            let ejection = found.ok().map(|index| &ejections[index]);
            let until = ejection.and_then(|one| one.ejected_until);
            EndpointSnapshot {
                address: connections.address,
                version: endpoint.version.clone(),
                zone: endpoint.zone.clone(),
                tags: endpoint.tags.clone(),
                weight: endpoint.weight,
                in_subset: subset.contains(&Labels(endpoint)),
                listed: connections.is_listed(),
                connections: connections.connected(),
                in_flight: member.load().in_flight(),
                estimate: member.load().estimate(now),
                last_error: connections.last_error(),
                ejected_for: until.map(|until| until.saturating_duration_since(now)),
                ejections: ejection.map_or(0, |one| one.ejections),
                ejection_reason: ejection.and_then(|one| one.reason),
                consecutive_failures: ejection.map_or(0, |one| one.consecutive_failures),
            }
        });
        let mut endpoints: Vec<_> = endpoints.collect();
        endpoints.sort_by_key(|endpoint| endpoint.address);
        // An endpoint that leaves the list at this moment may appear in both sets.
        endpoints.dedup_by_key(|endpoint| endpoint.address);
        let connected = endpoints.iter().any(|endpoint| endpoint.connections > 0);
        Self {
            trouble: (!connected).then(|| pool.why()),
            service: pool.service.to_string(),
            listed: pool.listed(),
            registry: pool.registry_status(),
            endpoints,
            breaker: health.breaker.snapshot(now),
            retry_tokens: health.budget.tokens(),
        }
    }
}

/// For admin pages: times in milliseconds.
impl Serialize for Snapshot {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { service, registry, listed, trouble, endpoints, breaker, retry_tokens } = self;
        let mut page = serializer.serialize_struct("Snapshot", 7)?;
        page.serialize_field("service", service)?;
        page.serialize_field("registry", &RegistryPage::of(registry))?;
        page.serialize_field("listed", listed)?;
        page.serialize_field("trouble", trouble)?;
        page.serialize_field("breaker", &BreakerPage::of(breaker))?;
        page.serialize_field("retry_tokens", retry_tokens)?;
        page.serialize_field("endpoints", endpoints)?;
        page.end()
    }
}

#[derive(Serialize)]
struct RegistryPage<'a> {
    state: &'static str,
    confirmed_ms_ago: Option<u128>,
    error: Option<&'a str>,
}

impl<'a> RegistryPage<'a> {
    fn of(status: &'a Status) -> Self {
        let age = status.age(Instant::now()).map(|age| age.as_millis());
        Self { state: status.as_str(), confirmed_ms_ago: age, error: status.why() }
    }
}

#[derive(Serialize)]
struct BreakerPage {
    state: &'static str,
    cause: Option<String>,
    half_open_in_ms: Option<u128>,
    consecutive_failures: u32,
    openings: u32,
}

impl BreakerPage {
    fn of(breaker: &circuit_breaker::Snapshot) -> Self {
        Self {
            state: breaker.state.as_str(),
            cause: breaker.cause.map(|cause| cause.to_string()),
            half_open_in_ms: breaker.half_open_in.map(|left| left.as_millis()),
            consecutive_failures: breaker.consecutive_failures,
            openings: breaker.openings,
        }
    }
}

fn millis<S: Serializer>(time: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    time.map(|time| time.as_secs_f64() * 1_000.0).serialize(serializer)
}

fn words<S: Serializer>(
    reason: &Option<ejection::Reason>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    reason.map(ejection::Reason::as_str).serialize(serializer)
}
