//! Variables that Kubernetes and Docker create for other services.
//!
//! For a Service named `gantry` or `gantry-user`, Kubernetes sets `GANTRY_PORT=tcp://10.0.0.7:50051`
//! and about six more variables in every container of the namespace (service links, as Docker's
//! links before). They look like settings. A link is recognised by its name and the form of its
//! value, so that a misspelt setting remains an error.

use std::net::{IpAddr, SocketAddr};

/// Returns true if a variable is a service link.
pub(crate) fn is_link(name: &str, value: &str) -> bool {
    let is_port = |text: &str| text.parse::<u16>().is_ok();
    let is_address = |text: &str| text.parse::<IpAddr>().is_ok();
    if let Some((port, protocol, part)) = name.rsplit_once("_PORT_").and_then(|(_, of)| split(of)) {
        return match part {
            "" => is_url(value),
            "_ADDR" => is_address(value),
            "_PORT" => value == port,
            "_PROTO" => value.eq_ignore_ascii_case(protocol),
            _ => false,
        };
    }
    if name.ends_with("_SERVICE_HOST") {
        return is_address(value);
    }
    if name.ends_with("_SERVICE_PORT") || name.contains("_SERVICE_PORT_") {
        return is_port(value);
    }
    name.ends_with("_PORT") && is_url(value) || is_alias(name, value)
}

/// Returns the prefix of the variables that Docker copies from a linked container:
/// `GANTRY_ENV_` for `GANTRY_NAME=/web/gantry`.
pub(crate) fn copied_prefix(name: &str, value: &str) -> Option<String> {
    let alias = name.strip_suffix("_NAME").filter(|_| is_alias(name, value))?;
    Some(format!("{alias}_ENV_"))
}

/// `50051`, `TCP` and `_ADDR` of `50051_TCP_ADDR`.
fn split(text: &str) -> Option<(&str, &str, &str)> {
    let (port, rest) = text.split_once('_').filter(|(port, _)| port.parse::<u16>().is_ok())?;
    let protocol = ["TCP", "UDP", "SCTP"].into_iter().find(|known| rest.starts_with(known))?;
    Some((port, protocol, &rest[protocol.len()..]))
}

/// `tcp://10.0.0.7:50051`.
fn is_url(value: &str) -> bool {
    let address =
        ["tcp://", "udp://", "sctp://"].iter().find_map(|scheme| value.strip_prefix(scheme));
    address.is_some_and(|address| address.parse::<SocketAddr>().is_ok())
}

/// Docker's `GANTRY_NAME=/web/gantry`.
fn is_alias(name: &str, value: &str) -> bool {
    let parts: Vec<_> = value.split('/').collect();
    name.ends_with("_NAME")
        && matches!(parts[..], ["", container, alias] if !container.is_empty() && !alias.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_of_kubernetes_and_docker_are_recognised() {
        for (name, value) in [
            ("GANTRY_SERVICE_HOST", "10.0.0.11"),
            ("GANTRY_SERVICE_HOST", "fd00::11"),
            ("GANTRY_SERVICE_PORT", "50051"),
            ("GANTRY_SERVICE_PORT_GRPC", "50051"),
            ("GANTRY_SERVICE_PORT_ADMIN_PAGES", "9100"),
            ("GANTRY_PORT", "tcp://10.0.0.11:50051"),
            ("GANTRY_PORT", "udp://[fd00::11]:53"),
            ("GANTRY_PORT_50051_TCP", "tcp://10.0.0.11:50051"),
            ("GANTRY_PORT_50051_TCP_PROTO", "tcp"),
            ("GANTRY_PORT_50051_TCP_PORT", "50051"),
            ("GANTRY_PORT_50051_TCP_ADDR", "10.0.0.11"),
            ("GANTRY_PORT_132_SCTP_PROTO", "sctp"),
            ("GANTRY_USER_SERVICE_HOST", "10.0.0.12"),
            ("GANTRY_USER_PORT_50051_TCP_ADDR", "10.0.0.12"),
            ("GANTRY_USER__OLD_PORT", "tcp://10.0.0.12:50051"),
            ("GANTRY_NAME", "/web/gantry"),
        ] {
            assert!(is_link(name, value), "{name}={value}");
        }
        assert_eq!(copied_prefix("GANTRY_NAME", "/web/gantry").as_deref(), Some("GANTRY_ENV_"));
    }

    #[test]
    fn a_misspelt_setting_is_not_a_link() {
        for (name, value) in [
            ("GANTRY_PORT", "50051"),
            ("GANTRY_PORT", "tcp://everywhere"),
            ("GANTRY_PORT_OFFSET", "7"),
            ("GANTRY_SERVICE_HOST", "user.internal"),
            ("GANTRY_SERVICE_PORT", "many"),
            ("GANTRY_PORT_50051_TCP_PORT", "50052"),
            ("GANTRY_PORT_50051_TCP_NAME", "x"),
            ("GANTRY_NAME", "gantry"),
            ("GANTRY_NAME", "/web"),
            ("GANTRY_LISTEN", "10.0.0.11"),
            ("GANTRY_WORKRES", "4"),
        ] {
            assert!(!is_link(name, value), "{name}={value}");
        }
    }
}
