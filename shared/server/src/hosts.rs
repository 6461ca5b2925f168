//! Host names of the admin pages.
//!
//! A web page can make its own name resolve to this address (DNS rebinding). A browser then lets
//! the page read the admin pages. But the page cannot choose the Host header, which holds its name.
//! So a request is answered only if its host is an IP address, `localhost` or a configured name.

use std::{net::Ipv6Addr, sync::Arc};

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{StatusCode, Version, header::HOST, uri::Authority};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const MISDIRECTED: &str = "the admin pages are not served under this host name: use the IP address or \
                           localhost, or add the name to the setting admin.hosts\n";

const NO_HOST: &str = "the request needs exactly one valid host\n";

/// Host name of the admin pages: `metrics.example.org`, or `*.example.org` for every name below it.
/// No port; case-insensitive.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct HostName(String);

/// Text that is not a host name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a host name: expected a name like metrics.example.org or *.example.org")]
pub struct InvalidHostName(String);

impl TryFrom<String> for HostName {
    type Error = InvalidHostName;

    fn try_from(text: String) -> Result<Self, InvalidHostName> {
        let name = text.to_ascii_lowercase();
        let labels = name.strip_prefix("*.").unwrap_or(&name);
        let is_label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-' || c == b'_')
        };
        if name.len() <= 253 && labels.split('.').all(is_label) {
            Ok(Self(name))
        } else {
            Err(InvalidHostName(text))
        }
    }
}

impl From<HostName> for String {
    fn from(name: HostName) -> Self {
        name.0
    }
}

impl HostName {
    fn matches(&self, host: &str) -> bool {
        match self.0.strip_prefix('*') {
            Some(suffix) => host.len() > suffix.len() && host.ends_with(suffix),
            None => host == self.0,
        }
    }
}

/// Passes requests for an allowed host and rejects all others.
pub(crate) async fn check(
    State(names): State<Arc<[HostName]>>,
    request: Request,
    next: Next,
) -> Response {
    match meant(&request, &names) {
        Some(true) => next.run(request).await,
        Some(false) => (StatusCode::MISDIRECTED_REQUEST, MISDIRECTED).into_response(),
        None => (StatusCode::BAD_REQUEST, NO_HOST).into_response(),
    }
}

/// Returns `Some(true)` if the requested host is allowed and `Some(false)` if not, or `None` if the
/// request does not name exactly one host.
fn meant<B>(request: &http::Request<B>, names: &[HostName]) -> Option<bool> {
    let mut hosts = request.headers().get_all(HOST).iter();
    let (header, second) = (hosts.next(), hosts.next());
    if second.is_some() {
        return None;
    }
    let target = request.uri().authority();
    if header.is_none() && target.is_none() {
        // Allow HTTP/1.0 without a host: no browser uses it, and old probes send none.
        return (request.version() == Version::HTTP_10).then_some(true);
    }
    let header = header.map(|value| value.to_str().ok()?.parse::<Authority>().ok());
    let header = header.map_or(Some(None), |parsed| parsed.map(Some))?;
    // The target in absolute form takes precedence over the header (RFC 9112, 3.2.2): check both.
    Some(target.into_iter().chain(&header).all(|authority| allows(authority, names)))
}

fn allows(authority: &Authority, names: &[HostName]) -> bool {
    if authority.as_str().contains('@') {
        return false;
    }
    let host = authority.host();
    if let Some(address) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        return address.parse::<Ipv6Addr>().is_ok();
    }
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    host == "localhost"
        || host.parse::<std::net::Ipv4Addr>().is_ok()
        || names.iter().any(|name| name.matches(&host))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Result<HostName, InvalidHostName> {
        text.to_owned().try_into()
    }

    fn answered(host: &str) -> Option<bool> {
        let names = ["pages.example.org", "*.svc.cluster.local"].map(|text| name(text).unwrap());
        meant(&Request::get("/config").header(HOST, host).body(()).unwrap(), &names)
    }

    #[test]
    fn addresses_localhost_and_listed_names_are_answered() {
        for host in [
            "127.0.0.1",
            "127.0.0.1:9100",
            "192.0.2.7:9100",
            "[::1]",
            "[2001:db8::7]:9100",
            "localhost",
            "LOCALHOST:9100",
            "localhost.",
            "pages.example.org:9100",
            "Pages.Example.ORG.",
            "user.shop.svc.cluster.local",
        ] {
            assert_eq!(answered(host), Some(true), "{host}");
        }
    }

    #[test]
    fn other_names_are_misdirected() {
        for host in [
            "evil.example",
            "evil.example:9100",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "evil-localhost",
            "pages.example.org.evil.example",
            "other.example.org",
            "svc.cluster.local",
            "evilsvc.cluster.local",
            "127.1",
            "2130706433",
            "0x7f000001",
            "a@127.0.0.1",
            "127.0.0.1@evil.example",
            "[evil.example]",
        ] {
            assert_ne!(answered(host), Some(true), "{host}");
        }
    }

    #[test]
    fn a_request_names_exactly_one_host() {
        let request = || Request::get("/config");
        let two = request().header(HOST, "localhost").header(HOST, "localhost");
        assert_eq!(meant(&two.body(()).unwrap(), &[]), None);
        assert_eq!(meant(&request().body(()).unwrap(), &[]), None);
        let old = request().version(Version::HTTP_10);
        assert_eq!(meant(&old.body(()).unwrap(), &[]), Some(true));
        let of_target = Request::get("http://evil.example/config").header(HOST, "localhost");
        assert_eq!(meant(&of_target.body(()).unwrap(), &[]), Some(false));
        assert_eq!(answered(""), None);
        assert_eq!(answered("a b"), None);
    }

    #[test]
    fn a_setting_that_is_not_a_host_name_is_rejected() {
        for text in ["", ".", "*", "*.", "a..b", "a:80", "http://a", "a/b", "a.*", "é.example"] {
            assert!(name(text).is_err(), "{text}");
        }
        assert!(name(&"a".repeat(64)).is_err());
    }
}
