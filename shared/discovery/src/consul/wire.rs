//! Consul's JSON and its conversion to instances.
//!
//! Version and zone of an instance are stored in Consul's meta, together with the instance's own
//! meta. Reading a registration back gives the same endpoint.

use std::{
    collections::BTreeMap,
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use serde::{Deserialize, Deserializer, Serialize};

use super::settings::{self, Settings};
use crate::{
    instance::{Endpoint, Instance},
    names::{self, Name},
};

const VERSION: &str = "version";
const ZONE: &str = "zone";
const PROTOCOL: &str = "protocol";
/// Meta key: version of Gantry that registered the instance.
const GANTRY: &str = "gantry";

/// Id of a registration at the agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ServiceId {
    /// Common part of the ids of all registrations of the service at this address.
    prefix: String,
    /// Random number of the process's start.
    start: u32,
    number: u32,
}

impl ServiceId {
    pub(super) fn new(instance: &Instance, start: u32, number: u32) -> Self {
        let (ip, port) = (instance.address.ip(), instance.address.port());
        Self { prefix: format!("{}-{ip}-{port}-", instance.service), start, number }
    }

    /// Returns the id of the TTL check.
    pub(super) fn heartbeat(&self) -> String {
        format!("{self}:heartbeat")
    }

    /// Returns true if `id` is of the same service and address, but of another start.
    pub(super) fn replaces(&self, id: &str) -> bool {
        let start = id.strip_prefix(&self.prefix).and_then(|rest| rest.split_once('.'));
        start.is_some_and(|(start, _)| start != format!("{:08x}", self.start))
    }
}

impl fmt::Display for ServiceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{:08x}.{}", self.prefix, self.start, self.number)
    }
}

/// Body of `PUT /v1/agent/service/register`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Registering {
    #[serde(rename = "ID")]
    id: String,
    name: String,
    address: IpAddr,
    port: u16,
    tags: Vec<String>,
    meta: BTreeMap<String, String>,
    weights: Weights,
    checks: Vec<Check>,
}

/// DNS weights. Both are the same, because [`watch`](super::watch) only queries passing instances.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Weights {
    passing: u32,
    warning: u32,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Check {
    name: String,
    #[serde(flatten)]
    kind: CheckKind,
    status: &'static str,
    deregister_critical_service_after: String,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum CheckKind {
    #[serde(rename_all = "PascalCase")]
    Grpc {
        #[serde(rename = "GRPC")]
        grpc: String,
        #[serde(rename = "GRPCUseTLS")]
        grpc_use_tls: bool,
        interval: String,
        timeout: String,
    },
    Ttl {
        #[serde(rename = "CheckID")]
        id: String,
        #[serde(rename = "TTL")]
        ttl: String,
    },
}

impl Registering {
    pub(super) fn new(instance: &Instance, id: &ServiceId, settings: &Settings) -> Self {
        let check = |name, kind| Check {
            name,
            kind,
            status: "critical",
            deregister_critical_service_after: milliseconds(settings.deregister_critical_after),
        };
        let grpc = |name: &str| {
            let kind = CheckKind::Grpc {
                grpc: format!("{}/{name}", instance.address),
                grpc_use_tls: instance.tls,
                interval: milliseconds(settings.check_interval),
                timeout: milliseconds(settings.check_timeout),
            };
            check(if name.is_empty() { "gRPC server".into() } else { format!("gRPC {name}") }, kind)
        };
        let checks = match (settings.check, instance.checks.as_slice()) {
            (settings::Check::Ttl, _) => {
                let kind =
                    CheckKind::Ttl { id: id.heartbeat(), ttl: milliseconds(settings.check_ttl) };
                vec![check("heartbeat".to_owned(), kind)]
            }
            (settings::Check::Grpc, []) => vec![grpc("")],
            (settings::Check::Grpc, names) => names.iter().map(|name| grpc(name)).collect(),
        };
        let mut meta = instance.meta.clone();
        meta.insert(GANTRY.to_owned(), env!("CARGO_PKG_VERSION").to_owned());
        meta.insert(PROTOCOL.to_owned(), "grpc".to_owned());
        if !instance.version.is_empty() {
            meta.insert(VERSION.to_owned(), instance.version.clone());
        }
        if let Some(zone) = &instance.zone {
            meta.insert(ZONE.to_owned(), zone.clone());
        }
        Self {
            id: id.to_string(),
            name: instance.service.clone(),
            address: instance.address.ip(),
            port: instance.address.port(),
            tags: instance.tags.clone(),
            meta,
            weights: Weights { passing: instance.weight, warning: instance.weight },
            checks,
        }
    }
}

/// Formats a duration in Go's syntax: `1500ms`.
pub(super) fn milliseconds(duration: Duration) -> String {
    format!("{}ms", duration.as_millis())
}

/// Entry of an answer of `GET /v1/health/service/NAME`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Entry {
    node: Node,
    service: Service,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Node {
    address: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Service {
    #[serde(rename = "ID")]
    id: String,
    address: String,
    /// Port. Consul does not limit its range.
    port: i64,
    #[serde(default, deserialize_with = "null_is_empty")]
    tags: Vec<String>,
    #[serde(default, deserialize_with = "null_is_empty")]
    meta: BTreeMap<String, String>,
    weights: Option<Weights>,
}

/// Reads `null`, which Go writes for an empty list or map, as empty.
fn null_is_empty<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// A registered instance.
#[derive(Debug)]
pub(super) struct Registered {
    pub(super) id: String,
    pub(super) host: Host,
    /// Endpoint of the instance. Its address is valid only if the host is an IP address; its port
    /// always is.
    endpoint: Endpoint,
}

/// Host of an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Host {
    Ip,
    /// A host name, as registered by Spring Cloud and others.
    Name(Name),
}

impl Registered {
    /// Returns the endpoint of an instance with an IP address.
    pub(super) fn endpoint(&self) -> Endpoint {
        self.endpoint.clone()
    }

    /// Returns the endpoint at an address of the host name.
    pub(super) fn at(&self, address: SocketAddr) -> Endpoint {
        Endpoint { address, ..self.endpoint.clone() }
    }
}

/// Parses a host. Returns None if it is a name. An IPv6 address may be in brackets.
///
/// # Errors
/// A description of the problem if the host is neither, or cannot be connected to.
fn address(host: &str) -> Result<Option<IpAddr>, String> {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    match bare.parse::<IpAddr>() {
        Ok(ip) if ip.to_canonical().is_unspecified() => {
            Err(format!("{ip} is not an address to connect to"))
        }
        Ok(ip) => Ok(Some(ip)),
        Err(_) if names::is_name(host) => Ok(None),
        Err(_) => {
            let start: String = host.chars().take(SHOWN_CHARS).collect();
            Err(format!("{start:?} is neither an address nor a host name"))
        }
    }
}

/// Maximum number of characters of a foreign value in a message.
const SHOWN_CHARS: usize = 80;

impl Entry {
    /// Converts the entry to an instance.
    ///
    /// # Errors
    /// The id of the registration and the problem, if it has no usable host and port.
    pub(super) fn registered(self) -> Result<Registered, String> {
        let Self { node, service } = self;
        // Consul's rule: a service without an address has its node's address.
        let host = if service.address.is_empty() { &node.address } else { &service.address };
        let host = host.trim();
        let wrong = |why: String| {
            let id: String = service.id.chars().take(SHOWN_CHARS).collect();
            format!("{id:?}: {why}")
        };
        let Ok(port @ 1..) = u16::try_from(service.port) else {
            return Err(wrong(format!("{} is not a port", service.port)));
        };
        let ip = address(host).map_err(wrong)?;
        let host = match ip {
            Some(_) => Host::Ip,
            // Host names are case-insensitive (RFC 4343).
            None => Host::Name((host.to_ascii_lowercase(), port)),
        };
        let ip = ip.unwrap_or(Ipv4Addr::UNSPECIFIED.into());
        let mut meta = service.meta;
        let version = meta.remove(VERSION).unwrap_or_default();
        let zone = meta.remove(ZONE);
        if meta.remove(GANTRY).is_some() {
            meta.remove(PROTOCOL);
        }
        let endpoint = Endpoint {
            address: SocketAddr::new(ip, port),
            weight: service.weights.map_or(1, |weights| weights.passing.max(1)),
            zone,
            version,
            tags: service.tags,
            meta,
        };
        Ok(Registered { id: service.id, host, endpoint })
    }
}

#[cfg(test)]
mod tests;
