//! Hosts, addresses and networks (`buf.validate.StringRules`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// `string.hostname`: labels of 1 to 63 letters, digits and inner dashes; the last label is not all
/// digits. At most 253 characters, not counting one trailing dot.
pub fn is_hostname(value: &str) -> bool {
    let name = value.strip_suffix('.').unwrap_or(value);
    let last = name.rsplit('.').next().unwrap_or_default();
    name.len() <= 253
        && name.split('.').all(is_label)
        && !last.bytes().all(|byte| byte.is_ascii_digit())
}

/// Returns true for a label of a DNS name.
pub(super) fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

/// `string.ip`.
pub fn is_ip(value: &str) -> bool {
    is_ipv4(value) || is_ipv6(value)
}

/// `string.ipv4`: four decimal numbers without leading zeros (RFC 3986).
pub fn is_ipv4(value: &str) -> bool {
    value.parse::<Ipv4Addr>().is_ok()
}

/// `string.ipv6`, with or without a zone: `fe80::1%eth0`.
pub fn is_ipv6(value: &str) -> bool {
    let (address, zone) = value.split_once('%').unwrap_or((value, "zone"));
    address.parse::<Ipv6Addr>().is_ok() && !zone.is_empty() && !zone.contains('\0')
}

/// `string.address`.
pub fn is_address(value: &str) -> bool {
    is_hostname(value) || is_ip(value)
}

/// `string.host_and_port`: a name, an IPv4 address or an IPv6 address in brackets, with a port.
pub fn is_host_and_port(value: &str) -> bool {
    let Some((host, port)) = value.rsplit_once(':') else { return false };
    let host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(address) => is_ipv6(address),
        None => is_hostname(host) || is_ipv4(host),
    };
    host && decimal(port).is_some_and(|port| port <= u32::from(u16::MAX))
}

/// Address family of a rule about networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4 and IPv6.
    Any,
    /// IPv4 only.
    V4,
    /// IPv6 only.
    V6,
}

/// `string.ip_with_prefixlen` and its variants: an address and the length of its prefix in bits.
pub fn has_prefix_length(value: &str, family: Family) -> bool {
    network(value, family).is_some()
}

/// `string.ip_prefix` and its variants: as [`has_prefix_length`], and all bits after the prefix are
/// zero.
pub fn is_prefix(value: &str, family: Family) -> bool {
    network(value, family).is_some_and(|(address, length)| match address {
        IpAddr::V4(v4) => v4.to_bits().checked_shl(length).is_none_or(|rest| rest == 0),
        IpAddr::V6(v6) => v6.to_bits().checked_shl(length).is_none_or(|rest| rest == 0),
    })
}

fn network(value: &str, family: Family) -> Option<(IpAddr, u32)> {
    let (address, length) = value.split_once('/')?;
    let (address, length) = (address.parse::<IpAddr>().ok()?, decimal(length)?);
    let fits = match address {
        IpAddr::V4(_) => family != Family::V6 && length <= 32,
        IpAddr::V6(_) => family != Family::V4 && length <= 128,
    };
    fits.then_some((address, length))
}

/// Parses decimal digits without leading zeros.
fn decimal(text: &str) -> Option<u32> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let leading = text.len() > 1 && text.starts_with('0');
    if digits && !leading { text.parse().ok() } else { None }
}
