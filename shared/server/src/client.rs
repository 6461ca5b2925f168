//! Client address of a call: the peer's, or the one reported by a trusted proxy.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use http::{HeaderMap, HeaderName, header::FORWARDED};
use ipnet::IpNet;

use crate::settings::{ForwardedBy, LimitSettings};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Trusted proxies.
#[derive(Clone, Debug)]
pub(crate) struct Proxies {
    trusted: Vec<IpNet>,
    by: ForwardedBy,
}

impl Proxies {
    pub(crate) fn new(settings: &LimitSettings) -> Self {
        Self { trusted: settings.trusted_proxies.clone(), by: settings.forwarded_by }
    }

    /// Returns the client's address. Each proxy appends the address that called it, so the list is
    /// read from its end up to the first address that is not a trusted proxy. Entries before that
    /// one may be forged.
    pub(crate) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        if !self.trusts(client) {
            return client;
        }
        let (header, read): (_, fn(&str) -> Option<IpAddr>) = match self.by {
            ForwardedBy::XForwardedFor => (X_FORWARDED_FOR, address),
            ForwardedBy::Forwarded => (FORWARDED, forwarded_for),
        };
        // A comma within quotes also splits an element. Its parts are unreadable and end the
        // search.
        let lists = headers.get_all(header);
        let hops = lists.iter().rev().flat_map(|list| list.to_str().unwrap_or("?").rsplit(','));
        for hop in hops {
            let Some(address) = read(hop.trim()) else { return client };
            client = address.to_canonical();
            if !self.trusts(client) {
                return client;
            }
        }
        client
    }

    pub(crate) fn trusts(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(&address))
    }
}

/// `for=192.0.2.43;proto=http`
fn forwarded_for(element: &str) -> Option<IpAddr> {
    element.split(';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim().eq_ignore_ascii_case("for").then(|| address(value.trim().trim_matches('"')))?
    })
}

/// Parses an address with or without a port and brackets.
fn address(node: &str) -> Option<IpAddr> {
    let bare = || node.strip_prefix('[')?.strip_suffix(']')?.parse::<Ipv6Addr>().ok();
    node.parse()
        .ok()
        .or_else(|| node.parse().ok().map(|address: SocketAddr| address.ip()))
        .or_else(|| bare().map(IpAddr::V6))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(by: ForwardedBy, peer: &str, values: &[&str]) -> String {
        let trusted_proxies = vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        let settings =
            LimitSettings { trusted_proxies, forwarded_by: by, ..LimitSettings::default() };
        let name = match by {
            ForwardedBy::XForwardedFor => X_FORWARDED_FOR,
            ForwardedBy::Forwarded => FORWARDED,
        };
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(&name, value.parse().unwrap());
        }
        Proxies::new(&settings).client(peer.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn only_a_trusted_proxy_can_report_a_client() {
        let client = |peer, values| client(ForwardedBy::XForwardedFor, peer, values);
        assert_eq!(client("192.0.2.1", &["198.51.100.7"]), "192.0.2.1");
        assert_eq!(client("10.0.0.1", &["198.51.100.7"]), "198.51.100.7");
        assert_eq!(client("::ffff:10.0.0.1", &["198.51.100.7"]), "198.51.100.7");
        assert_eq!(client("10.0.0.1", &[]), "10.0.0.1");
    }

    #[test]
    fn forged_forwarded_addresses_are_ignored() {
        let client = |values| client(ForwardedBy::XForwardedFor, "10.0.0.1", values);
        assert_eq!(client(&["1.1.1.1, 198.51.100.7"]), "198.51.100.7");
        assert_eq!(client(&["1.1.1.1, 198.51.100.7, 10.0.0.2"]), "198.51.100.7");
        assert_eq!(client(&["1.1.1.1", "198.51.100.7", "10.0.0.2 , 10.0.0.3"]), "198.51.100.7");
        assert_eq!(client(&["198.51.100.7, nonsense, 10.0.0.2"]), "10.0.0.2");
        assert_eq!(client(&["10.0.0.9, 10.0.0.2"]), "10.0.0.9");
    }

    #[test]
    fn addresses_are_read_in_every_notation() {
        for (by, value, expected) in [
            (ForwardedBy::XForwardedFor, "198.51.100.7:4711", "198.51.100.7"),
            (ForwardedBy::XForwardedFor, "2001:db8::7", "2001:db8::7"),
            (ForwardedBy::XForwardedFor, "[2001:db8::7]:4711", "2001:db8::7"),
            (ForwardedBy::XForwardedFor, "::ffff:198.51.100.7", "198.51.100.7"),
            (ForwardedBy::Forwarded, "for=198.51.100.7", "198.51.100.7"),
            (ForwardedBy::Forwarded, "proto=https; For=\"[2001:db8::7]:47\"", "2001:db8::7"),
            (ForwardedBy::Forwarded, "for=\"[2001:db8::7]\";by=10.0.0.1", "2001:db8::7"),
            (ForwardedBy::Forwarded, "for=unknown", "10.0.0.1"),
            (ForwardedBy::Forwarded, "for=_hidden, for=10.0.0.2", "10.0.0.2"),
            (ForwardedBy::Forwarded, "198.51.100.7", "10.0.0.1"),
        ] {
            assert_eq!(client(by, "10.0.0.1", &[value]), expected, "{value}");
        }
    }
}
