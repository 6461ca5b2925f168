//! Conditions that need more than an operator. The conformance tests of the build library test the
//! generated rules.

use gantry_contract::{
    FieldPath, Violations,
    rules::{
        self, Moment, Span,
        string::{is_email as email, is_uuid as uuid},
    },
};
use proptest::prelude::*;
use regex::Regex;

/// Returns the violations of a rule at the field `f`.
fn says(rule: impl FnOnce(&FieldPath<'_>, &mut Violations)) -> Vec<String> {
    let mut out = Violations::default();
    rule(&FieldPath::ROOT.field("f"), &mut out);
    out.iter().map(|violation| format!("{} {}", violation.field, violation.description)).collect()
}

#[test]
fn each_repetition_is_reported_in_short_and_long_lists() {
    let few = ["a", "b", "a", "a"];
    assert_eq!(
        says(|at, out| rules::unique(&few, at, out)),
        ["f[2] must not repeat an earlier item", "f[3] must not repeat an earlier item"]
    );
    let mut many: Vec<usize> = (0..100).collect();
    assert_eq!(says(|at, out| rules::unique(&many, at, out)), Vec::<String>::new());
    many[99] = 0;
    assert_eq!(
        says(|at, out| rules::unique(&many, at, out)),
        ["f[99] must not repeat an earlier item"]
    );
}

#[test]
fn within_includes_both_ends() {
    let (now, hour) = (Moment::new(10_000, 5), Span::new(3600, 0));
    for (moment, within) in [
        (Moment::new(13_600, 5), true),
        (Moment::new(6_400, 5), true),
        (Moment::new(13_600, 6), false),
        (Moment::new(6_400, 4), false),
    ] {
        assert_eq!(moment.is_within(hour, now), within, "{moment:?}");
    }
}

#[test]
fn empty_bytes_are_part_of_any_bytes() {
    assert!(rules::bytes::contains(b"", b"") && rules::bytes::contains(b"a", b""));
    assert!(!rules::bytes::contains(b"", b"a"));
}

#[test]
fn an_invalid_duration_is_rejected() {
    let read = |seconds, nanos| {
        let mut out = Violations::default();
        let value = prost_types::Duration { seconds, nanos };
        Span::read(&value, &FieldPath::ROOT, &mut out).filter(|_| out.is_empty())
    };
    assert_eq!(read(1, 500_000_000), Some(Span::new(1, 500_000_000)));
    assert_eq!(read(-1, -5), Some(Span::new(-1, -5)));
    assert_eq!(read(0, -5), Some(Span::new(0, -5)));
    assert_eq!(read(315_576_000_000, 0), Some(Span::new(315_576_000_000, 0)));
    assert_eq!(read(315_576_000_001, 0), None);
    assert_eq!(read(i64::MIN, 0), None);
    assert_eq!(read(0, 1_000_000_000), None);
    assert_eq!(read(0, i32::MIN), None);
    assert_eq!(read(1, -1), None);
    assert_eq!(read(-1, 1), None);
}

#[test]
fn emails_follow_the_html_definition() {
    for good in
        ["a@b", "ann@example.org", "o'neil+tag@a-b.example", &format!("a@{}", "b".repeat(63))]
    {
        assert!(email(good), "{good}");
    }
    let long = format!("a@{}", "b".repeat(64));
    for bad in [
        "",
        "a",
        "@b",
        "a@",
        "a@b@c",
        "a b@c",
        "a@b..c",
        "a@.b",
        "a@b.",
        "a@-b",
        "a@b-",
        "ä@b",
        "a@ü",
        "a@b\n",
        "Ann <a@b>",
        &long,
    ] {
        assert!(!email(bad), "{bad}");
    }
}

#[test]
fn uuids_have_five_groups_of_hexadecimal_digits() {
    assert!(uuid("018f4d6e-0000-7abc-8def-0123456789ab"));
    assert!(uuid("018F4D6E-0000-7ABC-8DEF-0123456789AB"));
    for bad in [
        "",
        "018f4d6e00007abc8def0123456789ab",
        "{018f4d6e-0000-7abc-8def-0123456789ab}",
        "018f4d6e-0000-7abc-8def-0123456789ag",
        "018f4d6e-0000-7abc-8def-0123456789a",
        "018f4d6e-0000-7abc-8def-0123456789abc",
        "018f4d6e0-000-7abc-8def-0123456789ab",
        "ä8f4d6e-0000-7abc-8def-0123456789ab",
    ] {
        assert!(!uuid(bad), "{bad}");
    }
}

/// Expressions of protovalidate.
const EMAIL: &str = r"^[a-zA-Z0-9.!#$%&'*+/=?^_`{|}~-]+@[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*$";
const UUID: &str = "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$";

proptest! {
    #[test]
    fn emails_agree_with_protovalidate(
        value in r"[a-z0-9.!'*+/=?^_{|}~ä-]{0,4}@?[a-zA-Z0-9.@-]{0,6}(\.[a-z-]{0,3})?",
    ) {
        prop_assert_eq!(email(&value), Regex::new(EMAIL).unwrap().is_match(&value));
    }

    #[test]
    fn uuids_agree_with_protovalidate(
        value in "[0-9a-fA-F]{7,8}-?[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-gä]{4}-[0-9a-f]{11,12}",
    ) {
        prop_assert_eq!(uuid(&value), Regex::new(UUID).unwrap().is_match(&value));
    }
}
