//! Sources: groups of addresses that limits treat as one. Every limit per address uses
//! [`source_of`]: rates, connections, uploads and shares of the concurrency limit.

use std::net::{IpAddr, Ipv4Addr};

/// Prefix of translated IPv4 addresses (RFC 6052, 2.1; RFC 7755).
const TRANSLATED: [u16; 6] = [0x64, 0xff9b, 0, 0, 0, 0];

/// Number of bits for networks within an IPv6 site (RFC 6177: /48 to /56).
const SITE: u32 = 16;

/// IPv4 address, or IPv6 network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Source {
    V4(u32),
    /// IPv6 /64 network, the smallest that one host is assigned.
    V6(u64),
    /// IPv6 /48 network, the largest that one site is commonly assigned.
    Site(u64),
}

/// Returns the source of an address. IPv4 within IPv6 (RFC 4291, 2.5.5.2; RFC 6052) counts as IPv4.
pub(crate) fn source_of(address: IpAddr) -> Source {
    match address.to_canonical() {
        IpAddr::V4(address) => Source::V4(address.to_bits()),
        IpAddr::V6(address) => match address.segments() {
            [prefix @ .., high, low] if prefix == TRANSLATED => {
                let [a, b] = high.to_be_bytes();
                let [c, d] = low.to_be_bytes();
                Source::V4(Ipv4Addr::new(a, b, c, d).to_bits())
            }
            _ => Source::V6((address.to_bits() >> 64) as u64),
        },
    }
}

impl Source {
    /// Returns the site of an IPv6 network. The owner of a site controls all of its 65,536
    /// networks.
    pub(crate) fn site(self) -> Option<Self> {
        match self {
            Self::V6(network) => Some(Self::Site(network >> SITE)),
            Self::V4(_) | Self::Site(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(address: &str) -> Source {
        source_of(address.parse().unwrap())
    }

    #[test]
    fn all_addresses_of_a_64_network_are_one_source() {
        assert_eq!(source("2001:db8:1:2:3:4:5:6"), source("2001:db8:1:2::1"));
        assert_ne!(source("2001:db8:1:2::1"), source("2001:db8:1:3::1"));
        assert_ne!(source("192.0.2.1"), source("192.0.2.2"));
    }

    #[test]
    fn ipv4_within_ipv6_is_ipv4() {
        for address in ["::ffff:192.0.2.1", "64:ff9b::192.0.2.1"] {
            assert_eq!(source(address), source("192.0.2.1"), "{address}");
        }
        for address in ["::192.0.2.1", "64:ff9b:1::192.0.2.1", "2001:db8::192.0.2.1"] {
            assert_ne!(source(address), source("192.0.2.1"), "{address}");
        }
    }

    #[test]
    fn all_networks_of_a_48_network_have_one_site() {
        let site = |address: &str| source(address).site();
        assert_eq!(site("2001:db8:1:2::1"), site("2001:db8:1:3::1"));
        assert_ne!(site("2001:db8:1:2::1"), site("2001:db8:2:2::1"));
        assert_eq!(site("192.0.2.1"), None);
        assert_eq!(site("2001:db8::").and_then(Source::site), None);
    }
}
