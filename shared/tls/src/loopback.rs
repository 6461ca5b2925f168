//! Hosts to which traffic needs no TLS.

use std::net::IpAddr;

/// Returns true if a host is this machine, so that what is sent to it crosses no network: `localhost` or a
/// loopback address, without brackets and port.
pub fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_loopback() {
        for host in ["localhost", "LOCALHOST", "127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"]
        {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["", "user", "0.0.0.0", "::", "10.0.0.1", "localhost.example.org", "[::1]"] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
