//! Keys that must not be fetched without TLS.

use gantry_config::Problems;
use gantry_discovery::{Kind, is_loopback};

/// Returns where a service is if it may be on another machine. Consul may return any address, so its
/// addresses count as other machines.
pub(crate) fn elsewhere(discovery: &gantry_discovery::Settings, service: &str) -> Option<String> {
    match discovery.kind {
        Kind::Memory => None,
        Kind::Consul => Some("an address that Consul names".to_owned()),
        Kind::Static => {
            let listed = discovery.endpoints.get(service).into_iter().flatten();
            listed.into_iter().find(|endpoint| !is_loopback(endpoint)).cloned()
        }
        _ => Some("an address that the registry names".to_owned()),
    }
}

/// Rejects published keys (`jwks`) that would be fetched without TLS from another machine: an attacker
/// who answers could impersonate every user. `is_secure` returns true if the client of a publisher uses
/// TLS.
pub(crate) fn check_published_keys(
    identity: &gantry_identity::Settings,
    discovery: &gantry_discovery::Settings,
    is_secure: impl Fn(&str) -> bool,
    problems: &mut Problems,
) {
    for (number, trusted) in identity.trusted.iter().enumerate() {
        let Some(publisher) = &trusted.jwks else { continue };
        if trusted.allow_plaintext || is_secure(publisher) {
            continue;
        }
        let Some(from) = elsewhere(discovery, publisher) else { continue };
        problems.add(
            &format!("identity.trusted.{number}.jwks"),
            format!(
                "the keys of {publisher} would come without TLS from {from}: configure tls for its \
                 client, use key_file, or set allow_plaintext = true beside jwks"
            ),
        );
    }
}
