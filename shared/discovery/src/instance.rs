//! What is registered and what is found: an instance of a service.

use std::{
    collections::BTreeMap,
    net::{SocketAddr, SocketAddrV6},
};

/// The meta key under which a server names its make.
pub const SERVER_META: &str = "server";

/// The value of [`SERVER_META`] for servers built with Gantry.
pub const GANTRY_SERVER: &str = "gantry";

/// One running server of a service, as it registers itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// The name callers look for: `user`.
    pub service: String,
    /// Where callers reach it: a real address and port, never `0.0.0.0` or `[::]`.
    pub address: SocketAddr,
    /// Its share of the calls, relative to the others: at least 1.
    pub weight: u32,
    /// The zone it runs in, where that is known.
    pub zone: Option<String>,
    /// The version of the program.
    pub version: String,
    /// Labels for choosing among instances.
    pub tags: Vec<String>,
    /// Further facts about it.
    pub meta: BTreeMap<String, String>,
    /// The names to ask `grpc.health.v1.Health` for; none asks for the server as a whole.
    pub checks: Vec<String>,
    /// Whether it speaks TLS, in which it is also to be asked for its health.
    pub tls: bool,
}

/// Why an instance cannot be registered: the caller's mistake, not the registry's state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidInstance {
    /// The service's name is empty or not made of letters, digits, `-`, `_` and `.`.
    #[error("{0:?} is not a service name: letters, digits, '-', '_' and '.' are allowed")]
    Name(String),
    /// Nobody can connect to the address.
    #[error("service {service} cannot be reached at {address}: advertise a real address and port")]
    Address {
        /// The service's name.
        service: String,
        /// The address that was to be registered.
        address: SocketAddr,
    },
    /// A weight of 0 would mean an instance that is never called.
    #[error("service {0} has the weight 0: the least is 1")]
    Weight(String),
}

impl Instance {
    /// An instance of a Gantry server with the weight 1 and nothing else said of it.
    pub fn new(service: impl Into<String>, address: SocketAddr) -> Self {
        Self {
            service: service.into(),
            address,
            weight: 1,
            zone: None,
            version: String::new(),
            tags: Vec::new(),
            meta: BTreeMap::from([(SERVER_META.to_owned(), GANTRY_SERVER.to_owned())]),
            checks: Vec::new(),
            tls: false,
        }
    }

    /// What callers get to see of it.
    pub fn endpoint(&self) -> Endpoint {
        Endpoint {
            address: self.address,
            weight: self.weight,
            zone: self.zone.clone(),
            version: self.version.clone(),
            tags: self.tags.clone(),
            meta: self.meta.clone(),
        }
    }

    /// Refuses what no registry could serve to a caller.
    ///
    /// # Errors
    /// [`InvalidInstance`] naming what is wrong.
    pub fn validate(&self) -> Result<(), InvalidInstance> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if self.service.is_empty() || !self.service.chars().all(allowed) {
            return Err(InvalidInstance::Name(self.service.clone()));
        }
        // `::ffff:0.0.0.0` is nowhere as well.
        if self.address.ip().to_canonical().is_unspecified() || self.address.port() == 0 {
            return Err(InvalidInstance::Address {
                service: self.service.clone(),
                address: self.address,
            });
        }
        if self.weight == 0 {
            return Err(InvalidInstance::Weight(self.service.clone()));
        }
        Ok(())
    }
}

/// One instance as callers find it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Where to connect.
    pub address: SocketAddr,
    /// Its share of the calls, relative to the others: at least 1.
    pub weight: u32,
    /// The zone it runs in, where that is known.
    pub zone: Option<String>,
    /// The version of the program.
    pub version: String,
    /// Labels for choosing among endpoints.
    pub tags: Vec<String>,
    /// Further facts about it.
    pub meta: BTreeMap<String, String>,
}

impl Endpoint {
    /// An endpoint of which only the address is known.
    pub fn at(address: SocketAddr) -> Self {
        Self {
            address,
            weight: 1,
            zone: None,
            version: String::new(),
            tags: Vec::new(),
            meta: BTreeMap::new(),
        }
    }

    /// Whether the registry says that a Gantry server listens there: others may
    /// answer pings on an idle connection by closing it.
    pub fn is_gantry(&self) -> bool {
        self.meta.get(SERVER_META).is_some_and(|make| make == GANTRY_SERVER)
    }
}

/// Everything that is known to serve one service at one moment: always complete,
/// at most one endpoint per address, in the order of the addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndpointSet {
    endpoints: Vec<Endpoint>,
}

impl EndpointSet {
    /// The endpoints at hand.
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.endpoints.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.endpoints.len()
    }
}

/// Of two endpoints with one address the later one counts: a restarted server can
/// be registered before its former self is forgotten. An address written in two ways is one.
impl FromIterator<Endpoint> for EndpointSet {
    fn from_iter<I: IntoIterator<Item = Endpoint>>(endpoints: I) -> Self {
        let by_address: BTreeMap<_, _> = endpoints
            .into_iter()
            .map(|endpoint| {
                let address = canonical(endpoint.address);
                (address, Endpoint { address, ..endpoint })
            })
            .collect();
        Self { endpoints: by_address.into_values().collect() }
    }
}

/// One form for all ways to write an address: an IPv4 address mapped to IPv6 is IPv4, and a
/// flow label says nothing of where to connect. A scope does.
fn canonical(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V6(v6) if v6.ip().to_ipv4_mapped().is_none() => {
            SocketAddrV6::new(*v6.ip(), v6.port(), 0, v6.scope_id()).into()
        }
        _ => SocketAddr::new(address.ip().to_canonical(), address.port()),
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use super::*;

    #[test]
    fn an_address_written_in_two_ways_is_one_endpoint() {
        let localhost = SocketAddrV6::new(Ipv6Addr::LOCALHOST, 80, 7, 0).into();
        let scoped = SocketAddrV6::new("fe80::1".parse().unwrap(), 80, 0, 2).into();
        let rows: [(&str, SocketAddr); 4] = [
            ("10.0.0.1:80", "[::ffff:10.0.0.1]:80".parse().unwrap()),
            ("10.0.0.1:80", "[::ffff:a00:1]:80".parse().unwrap()),
            ("[::1]:80", localhost),
            ("[fe80::1%2]:80", scoped),
        ];
        for (one, other) in rows {
            let one: SocketAddr = one.parse().unwrap();
            let set: EndpointSet = [one, other].map(Endpoint::at).into_iter().collect();
            assert_eq!(set.endpoints(), [Endpoint::at(one)], "{other}");
        }
        let apart = ["10.0.0.1:80", "10.0.0.1:81", "[fe80::1%1]:80", "[fe80::1%2]:80"];
        let set: EndpointSet =
            apart.map(|address| Endpoint::at(address.parse().unwrap())).into_iter().collect();
        assert_eq!(set.len(), 4);
    }
}
