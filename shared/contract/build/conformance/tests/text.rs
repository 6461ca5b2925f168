//! Every rule of strings and bytes, with valid and invalid values.

mod common;

use common::{nothing, wrong};
use gantry_contract_conformance::conformance::v1::{Binary, Formats, Patterns, Texts};

fn texts() -> Texts {
    Texts {
        r#const: "a \"b\"".into(),
        r#in: "a".into(),
        prefix: "pre".into(),
        suffix: "fix".into(),
        contains: "mid".into(),
        len_bytes: "äü".into(),
        min_bytes: "äü".into(),
        ..Texts::default()
    }
}

#[test]
fn string_rules() {
    assert_eq!(wrong(&texts()), nothing());
    values!(texts();
        r#const: "", "a" => ["must be \"a \\\"b\\\"\""];
        r#in: "b" => [];
        r#in: "", "A", "ab" => ["must be one of \"a\", \"b\""];
        not_in: "", "xx" => [];
        not_in: "x" => ["must not be \"x\""];
        prefix: "prefix" => [];
        prefix: "", "Pre", " pre" => ["must begin with \"pre\""];
        suffix: "prefix" => [];
        suffix: "", "fixed" => ["must end with \"fix\""];
        contains: "amidst" => [];
        contains: "", "mi d" => ["must contain \"mid\""];
        not_contains: "", "b ad" => [];
        not_contains: "badly" => ["must not contain \"bad\""];
        len_bytes: "abcd" => [];
        len_bytes: "äüa", "abc", "" => ["must have exactly 4 bytes"];
        min_bytes: "äa" => [];
        min_bytes: "ä" => ["must have at least 3 bytes"];
        max_bytes: "äa" => [];
        max_bytes: "ää" => ["must have at most 3 bytes"];
        example: "anything" => [];
    );
}

const ULID: &str = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
const TUUID: &str = "018f4d6e00007abc8def0123456789ab";

fn formats() -> Formats {
    Formats {
        hostname: "example.com".into(),
        ip: "::1".into(),
        ipv4: "127.0.0.1".into(),
        ipv6: "::1".into(),
        uri: "https://example.com".into(),
        address: "example.com".into(),
        tuuid: TUUID.into(),
        ip_with_prefixlen: "10.1.2.3/8".into(),
        ipv4_with_prefixlen: "10.1.2.3/8".into(),
        ipv6_with_prefixlen: "2001:db8::1/64".into(),
        ip_prefix: "10.0.0.0/8".into(),
        ipv4_prefix: "10.0.0.0/8".into(),
        ipv6_prefix: "2001:db8::/32".into(),
        host_and_port: "example.com:80".into(),
        ulid: ULID.into(),
        protobuf_fqn: "a.B".into(),
        protobuf_dot_fqn: ".a.B".into(),
        header_name: "x-request-id".into(),
        ..Formats::default()
    }
}

#[test]
fn address_formats() {
    assert_eq!(wrong(&formats()), nothing());
    values!(formats();
        hostname: "a", "a-b.c1", "A.COM.", "1.a", format!("{}.b", "a".repeat(63)) => [];
        hostname: "", ".", "a..b", "-a", "a-", "a_b", "1.2.3.4", "ä.de", format!("{}.b", "a".repeat(64)),
            format!("{}.b", ["a".repeat(63), "a".repeat(63), "a".repeat(63), "a".repeat(63)].join("."))
            => ["must be a host name"];
        ip: "1.2.3.4", "2001:DB8::F1", "fe80::1%eth0", "::ffff:1.2.3.4" => [];
        ip: "", "1.2.3", "01.2.3.4", "256.1.1.1", "::1%", ":::", "1::2::3", "a" => ["must be an IP address"];
        ipv4: "::1", "1.2.3.4 ", "1.2.3.4%a" => ["must be an IPv4 address"];
        ipv6: "1.2.3.4", "[::1]" => ["must be an IPv6 address"];
        address: "1.2.3.4", "::1" => [];
        address: "", "1.2.3.256" => ["must be a host name or an IP address"];
        host_and_port: "1.2.3.4:0", "[::1]:65535", "[fe80::1%a]:1" => [];
        host_and_port: "", "a", "a:", ":80", "a:65536", "a:080", "a:+1", "::1:80", "[::1]", "[a]:80"
            => ["must be a host and a port"];
    );
}

#[test]
fn network_formats() {
    values!(formats();
        ip_with_prefixlen: "::1/128", "1.2.3.4/0" => [];
        ip_with_prefixlen: "1.2.3.4", "1.2.3.4/33", "::1/129", "1.2.3.4/08", "1.2.3.4/", "1.2.3.4/-1", "::1%a/64"
            => ["must be an IP address with a prefix length"];
        ipv4_with_prefixlen: "::1/64" => ["must be an IPv4 address with a prefix length"];
        ipv6_with_prefixlen: "1.2.3.4/8" => ["must be an IPv6 address with a prefix length"];
        ip_prefix: "::/0", "0.0.0.0/0", "1.2.3.4/32", "2001:db8::/32", "::1/128" => [];
        ip_prefix: "10.1.0.0/8", "2001:db8::1/64", "1.0.0.0/0" => ["must be an IP network"];
        ipv4_prefix: "2001:db8::/32", "10.0.0.1/31" => ["must be an IPv4 network"];
        ipv6_prefix: "10.0.0.0/8", "8000::/0" => ["must be an IPv6 network"];
    );
}

#[test]
fn uri_formats() {
    values!(formats();
        uri: "a:", "a:b", "mailto:a@b.c", "urn:isbn:1", "https://u:p@h:80/p;x=1/%20?q=/?#f?", "http://[::1]:8080/",
            "http://[v1.a:b]", "http://[fe80::1%25eth0]/", "file:///etc/hosts", "h://%C3%A4.de", "h://", "x+y-1.z://h:"
            => [];
        uri: "", ":", "a", "//h", "1a:b", "ä:b", "a:b c", "http://h:80a", "http://[::1", "http://::1/", "a:%2",
            "a:%zz", "a:b#c#d", "http://[::1%eth0]/", "http://[v.a]", "h://%C3.de", "h://a@b@c", "a:\u{e4}", "a:<b>",
            "a:b\\c" => ["must be a URI"];
        uri_ref: "", "a", "./a:b", "../a?b#c", "/a", "//h/p", "?q", "#f", "a:b" => [];
        uri_ref: "1:b", "a b", "//h:x", ":", "%" => ["must be a URI or a relative reference"];
    );
}

#[test]
fn other_formats() {
    values!(formats();
        tuuid: TUUID.to_uppercase() => [];
        tuuid: "", &TUUID[1..], "018f4d6e-0000-7abc-8def-0123456789ab" => ["must be a UUID without dashes"];
        ulid: ULID.to_lowercase() => [];
        ulid: "", &ULID[1..], "81ARZ3NDEKTSV4RRFFQ69G5FAV", "01ARZ3NDEKTSV4RRFFQ69G5FAU" => ["must be a ULID"];
        protobuf_fqn: "a", "_a.b1" => [];
        protobuf_fqn: "", ".a", "a.", "a..b", "1a", "a-b" => ["must be a full protobuf name"];
        protobuf_dot_fqn: "", "a", "." => ["must be a full protobuf name with a leading dot"];
        header_name: ":path" => [];
        header_name: "", "a b", "a\n", "ä" => ["must be the name of an HTTP header"];
        header_value: "", "a b\t" => [];
        header_value: "a\n", "\0" => ["must be the value of an HTTP header"];
        loose_value: "\u{1}" => [];
        loose_value: "a\n", "\0" => ["must be the value of an HTTP header (not strict)"];
        not_asked: "no address" => [];
    );
}

fn patterns() -> Patterns {
    Patterns {
        digits: "1".into(),
        no_digit: "a".into(),
        word: "a".into(),
        space: " ".into(),
        edge: "a".into(),
        no_edge: "ab".into(),
        angles: "<a>".into(),
        listed: "[".into(),
        mixed: "a".into(),
        neither: "1".into(),
        closing: "]".into(),
        escaped: "]".into(),
        cased: "K".into(),
        unlisted: "x.".into(),
        binary: b"a".into(),
    }
}

/// Returns true if the message violates the pattern of this field and nothing else.
fn refused(message: &Patterns, field: &str) -> bool {
    let wrong = wrong(message);
    assert!(wrong.iter().all(|wrong| wrong.starts_with(field)), "{wrong:?}");
    !wrong.is_empty()
}

#[test]
fn patterns_have_the_meaning_of_re2() {
    assert_eq!(wrong(&patterns()), nothing());
    macro_rules! patterns {
        ($($field:ident takes $good:expr, not $bad:expr;)*) => {$(
            for (values, expected) in [(&$good[..], false), (&$bad[..], true)] {
                for value in values {
                    let message = Patterns { $field: (*value).into(), ..patterns() };
                    assert_eq!(refused(&message, stringify!($field)), expected, "{value:?}");
                }
            }
        )*};
    }
    patterns!(
        digits takes ["0123456789"], not ["", "٣", "²", "1a"];
        no_digit takes ["a", "٣", "ä"], not ["1", "ab"];
        word takes ["aZ_9"], not ["ä", "a-b", "٣"];
        space takes [" ", "\t", "\n", "\r", "\u{c}"], not ["\u{a0}", "\u{b}", "\u{2003}", "a"];
        edge takes ["a", "a-", "aä"], not ["ab", "a_", "b"];
        no_edge takes ["ab", "a1"], not ["a", "a-", "aä"];
        angles takes ["<a>", "<a b>"], not ["a", "<>", "<<>>"];
        listed takes ["[&~+,-"], not ["]", "a", "*", "."];
        mixed takes ["aZ_9./0:-ω²!"], not ["ä", " ", "я"];
        neither takes ["1"], not [" ", "a", "٣"];
        closing takes ["]a-"], not ["[", "b", "^"];
        escaped takes ["]\\a-z0f"], not ["b", "[", "g"];
        cased takes ["k", "Z", "_", "9"], not ["a", "J", "ä", "-"];
        unlisted takes ["x.", "x.1", "]."], not ["a.", "[.", "&.", "x.a", "."];
        binary takes [&b"a"[..]], not ["ä".as_bytes(), &b"\xff"[..]];
    );
}

fn binary() -> Binary {
    Binary {
        r#const: b"\x01b".into(),
        r#in: b"bc".into(),
        len: b"ab".into(),
        pattern: b"abc".into(),
        prefix: b"\xff\x01\x02".into(),
        suffix: b"xyz".into(),
        contains: b"amidst".into(),
        ip: [0; 4].into(),
        ipv4: [0; 4].into(),
        ipv6: [0; 16].into(),
        uuid: [0; 16].into(),
        ..Binary::default()
    }
}

#[test]
fn bytes_rules() {
    assert_eq!(wrong(&binary()), nothing());
    values!(binary();
        r#const: b"", b"b" => ["must be \"\\x01b\""];
        r#in: b"a" => [];
        r#in: b"b" => ["must be one of \"a\", \"bc\""];
        not_in: b"x" => ["must not be \"x\""];
        len: b"a", b"abc" => ["must have exactly 2 bytes"];
        pattern: b"", b"A", b"a\xff" => ["must match the pattern ^[a-z]+$"];
        prefix: b"", b"\x01" => ["must begin with \"\\xff\\x01\""];
        suffix: b"", b"za" => ["must end with \"z\""];
        contains: b"", b"mi-d" => ["must contain \"mid\""];
        ip: [0; 16] => [];
        ip: b"", [0; 5] => ["must be the 4 or 16 bytes of an IP address"];
        ipv4: [0; 16] => ["must be the 4 bytes of an IPv4 address"];
        ipv6: [0; 4] => ["must be the 16 bytes of an IPv6 address"];
        uuid: [0; 15] => ["must be the 16 bytes of a UUID"];
    );
}
