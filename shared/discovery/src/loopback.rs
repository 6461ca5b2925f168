//! Detection of loopback addresses.

use std::net::IpAddr;

/// Returns true if a `HOST:PORT` is on this machine: a loopback address or `localhost`.
pub fn is_loopback(endpoint: &str) -> bool {
    let host = match endpoint.strip_prefix('[').and_then(|inside| inside.split_once(']')) {
        Some((host, _port)) => host,
        None => endpoint.rsplit_once(':').map_or(endpoint, |(host, _)| host),
    };
    let host = host.trim_end_matches('.');
    let is_local_name = host.eq_ignore_ascii_case("localhost");
    is_local_name || host.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_loopback() {
        for (endpoint, is_ours) in [
            ("127.0.0.1:1", true),
            ("127.8.9.1:1", true),
            ("[::1]:1", true),
            ("[::1]", true),
            ("127.0.0.1", true),
            ("[::ffff:127.0.0.1]:1", true),
            ("localhost:1", true),
            ("LOCALHOST.:1", true),
            ("10.0.0.1:1", false),
            ("0.0.0.0:1", false),
            ("[::]:1", false),
            ("[fd00::1]:1", false),
            ("localhost.example.org:1", false),
            ("127.0.0.1.example.org:1", false),
            ("user:1", false),
        ] {
            assert_eq!(is_loopback(endpoint), is_ours, "{endpoint}");
        }
    }
}
