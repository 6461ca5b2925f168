//! Instances of services, as registered and as found.

use std::{
    collections::BTreeMap,
    net::{SocketAddr, SocketAddrV6},
};

/// Meta key of the server's implementation.
pub const SERVER_META: &str = "server";

/// Value of [`SERVER_META`] for servers that are built with Gantry.
pub const GANTRY_SERVER: &str = "gantry";

/// A running server of a service, as it registers itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// Service name: `user`.
    pub service: String,
    /// Address for callers. Must be a real address and port, not `0.0.0.0` or `[::]`.
    pub address: SocketAddr,
    /// Share of the calls, relative to other instances. At least 1.
    pub weight: u32,
    /// Zone of the instance, if known.
    pub zone: Option<String>,
    /// Version of the program.
    pub version: String,
    /// Labels for the selection of instances.
    pub tags: Vec<String>,
    /// Other properties.
    pub meta: BTreeMap<String, String>,
    /// Names to check with `grpc.health.v1.Health`. Empty: checks the server as a whole.
    pub checks: Vec<String>,
    /// True if the instance serves TLS. Health checks then use TLS too.
    pub tls: bool,
}

/// Reason why an instance cannot be registered. An error of the caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidInstance {
    /// The service name is empty or has characters other than letters, digits, `-`, `_` and `.`.
    #[error("{0:?} is not a service name: letters, digits, '-', '_' and '.' are allowed")]
    Name(String),
    /// Callers cannot connect to the address.
    #[error("service {service} cannot be reached at {address}: advertise a real address and port")]
    Address {
        /// Service name.
        service: String,
        /// Address of the instance.
        address: SocketAddr,
    },
    /// The weight is 0. Such an instance would never be called.
    #[error("service {0} has the weight 0: the minimum is 1")]
    Weight(String),
}

impl Instance {
    /// Creates an instance of a Gantry server with weight 1 and default values.
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

    /// Returns the endpoint that callers see.
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

    /// Checks the instance.
    ///
    /// # Errors
    /// [`InvalidInstance`] naming the problem.
    pub fn validate(&self) -> Result<(), InvalidInstance> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if self.service.is_empty() || !self.service.chars().all(allowed) {
            return Err(InvalidInstance::Name(self.service.clone()));
        }
        // `::ffff:0.0.0.0` is unspecified too.
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

/// An instance as callers see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Address to connect to.
    pub address: SocketAddr,
    /// Share of the calls, relative to other endpoints. At least 1.
    pub weight: u32,
    /// Zone of the instance, if known.
    pub zone: Option<String>,
    /// Version of the program.
    pub version: String,
    /// Labels for the selection of endpoints.
    pub tags: Vec<String>,
    /// Other properties.
    pub meta: BTreeMap<String, String>,
}

impl Endpoint {
    /// Creates an endpoint with an address and default values.
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

    /// Returns true if the registry states that this is a Gantry server. Other servers may close an
    /// idle connection when they receive a ping.
    pub fn is_gantry(&self) -> bool {
        self.meta.get(SERVER_META).is_some_and(|make| make == GANTRY_SERVER)
    }
}

/// All known endpoints of a service at one moment. Always complete, sorted by address, with at most
/// one endpoint per address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndpointSet {
    endpoints: Vec<Endpoint>,
}

impl EndpointSet {
    /// Returns the endpoints.
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    /// Returns true if there are no endpoints.
    pub fn is_empty(&self) -> bool {
        self.endpoints.is_empty()
    }

    /// Returns the number of endpoints.
    pub fn len(&self) -> usize {
        self.endpoints.len()
    }
}

/// Collects endpoints. Of two endpoints with the same address, keeps the later one, because a
/// restarted server may register before its earlier registration is removed.
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

/// Returns the canonical form of an address. An IPv4-mapped IPv6 address becomes IPv4. A flow label
/// is removed, because it does not affect the destination; a scope does.
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
    fn all_spellings_of_an_address_are_one_endpoint() {
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
