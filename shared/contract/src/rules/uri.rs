//! URIs (RFC 3986), with zones in IPv6 literals (RFC 6874).

use super::net::is_ipv6;

/// `string.uri`: `scheme ":" hier-part [ "?" query ] [ "#" fragment ]`.
pub fn is_uri(value: &str) -> bool {
    let Some((scheme, rest)) = value.split_once(':') else { return false };
    is_scheme(scheme) && is_rest(rest)
}

/// `string.uri_ref`: a URI or a relative reference.
pub fn is_uri_ref(value: &str) -> bool {
    // A colon in the first segment would turn the text before it into a scheme.
    let first = value.split(['/', '?', '#']).next().unwrap_or_default();
    is_uri(value) || (!first.contains(':') && is_rest(value))
}

/// `ALPHA *( ALPHA / DIGIT / "+" / "-" / "." )`.
fn is_scheme(scheme: &str) -> bool {
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

/// Checks the part after the scheme: authority and path, query, fragment.
fn is_rest(rest: &str) -> bool {
    let (rest, fragment) = rest.split_once('#').unwrap_or((rest, ""));
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, path) = match rest.strip_prefix("//") {
        Some(rest) => {
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            (Some(authority), path)
        }
        None => (None, rest),
    };
    authority.is_none_or(is_authority)
        && consists_of(path, b":@/")
        && consists_of(query, b":@/?")
        && consists_of(fragment, b":@/?")
}

/// `[ userinfo "@" ] host [ ":" port ]`.
fn is_authority(authority: &str) -> bool {
    let (user, rest) = authority.split_once('@').unwrap_or(("", authority));
    // The colons of an IPv6 address are inside brackets.
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port),
        _ => (rest, ""),
    };
    let host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(literal) => is_ip_literal(literal),
        None => consists_of(host, b"") && is_utf8(host),
    };
    host && consists_of(user, b":") && port.bytes().all(|byte| byte.is_ascii_digit())
}

/// `IPv6address / IPv6address "%25" zone / "v" 1*HEXDIG "." 1*( ... )`.
fn is_ip_literal(literal: &str) -> bool {
    if let Some(future) = literal.strip_prefix(['v', 'V']) {
        let Some((version, address)) = future.split_once('.') else { return false };
        return !version.is_empty()
            && version.bytes().all(|byte| byte.is_ascii_hexdigit())
            && !address.is_empty()
            && !address.contains('%')
            && consists_of(address, b":");
    }
    match literal.split_once("%25") {
        Some((address, zone)) => {
            let unreserved = |c| is_unreserved(c) || c == b'%';
            is_ipv6(address)
                && !zone.is_empty()
                && zone.bytes().all(unreserved)
                && consists_of(zone, b"")
                && is_utf8(zone)
        }
        None => !literal.contains('%') && is_ipv6(literal),
    }
}

/// Returns true if every character is unreserved, percent-encoded, a sub-delimiter or in `also`.
fn consists_of(text: &str, also: &[u8]) -> bool {
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let encoded = byte == b'%'
            && bytes.next().is_some_and(|digit| digit.is_ascii_hexdigit())
            && bytes.next().is_some_and(|digit| digit.is_ascii_hexdigit());
        if !encoded
            && (byte == b'%'
                || !(is_unreserved(byte) || b"!$&'()*+,;=".contains(&byte) || also.contains(&byte)))
        {
            return false;
        }
    }
    true
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

/// Returns true if the percent-encoded bytes are UTF-8, as required in a host name. Expects
/// well-formed percent-encoding.
fn is_utf8(text: &str) -> bool {
    let hex = |digit: Option<u8>| char::from(digit.unwrap_or_default()).to_digit(16).unwrap_or(0);
    // Collects one UTF-8 character, which has at most four bytes.
    let (mut pending, mut length) = ([0_u8; 4], 0);
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let byte = match byte {
            b'%' => (hex(bytes.next()) * 16 + hex(bytes.next())) as u8,
            other => other,
        };
        let Some(place) = pending.get_mut(length) else { return false };
        *place = byte;
        length += 1;
        match std::str::from_utf8(&pending[..length]) {
            Ok(_) => length = 0,
            // The bytes so far are the beginning of a character.
            Err(error) if error.error_len().is_none() => {}
            Err(_) => return false,
        }
    }
    length == 0
}
