//! Each rule, with values on both sides of its limit.

use gantry_contract::{
    FieldPath, Violations,
    rules::{self, Span, string::Pattern},
};
use proptest::prelude::*;
use regex::Regex;

/// What a rule says about a value at the field `f`.
fn says(rule: impl FnOnce(&FieldPath<'_>, &mut Violations)) -> Vec<String> {
    let mut out = Violations::default();
    rule(&FieldPath::ROOT.field("f"), &mut out);
    out.iter().map(|violation| format!("{} {}", violation.field, violation.description)).collect()
}

fn ok() -> Vec<String> {
    Vec::new()
}

#[test]
fn strings_are_measured_in_characters() {
    let umlauts = "äöü";
    assert_eq!(says(|at, out| rules::string::len(umlauts, 3, at, out)), ok());
    assert_eq!(
        says(|at, out| rules::string::len(umlauts, 6, at, out)),
        ["f must have exactly 6 characters"]
    );
    assert_eq!(says(|at, out| rules::string::min_len(umlauts, 3, at, out)), ok());
    assert_eq!(
        says(|at, out| rules::string::min_len(umlauts, 4, at, out)),
        ["f must have at least 4 characters"]
    );
    assert_eq!(says(|at, out| rules::string::max_len(umlauts, 3, at, out)), ok());
    assert_eq!(
        says(|at, out| rules::string::max_len(umlauts, 2, at, out)),
        ["f must have at most 2 characters"]
    );
    assert_eq!(
        says(|at, out| rules::string::min_len("", 1, at, out)),
        ["f must have at least 1 character"]
    );
}

#[test]
fn bytes_are_measured_in_bytes() {
    assert_eq!(says(|at, out| rules::bytes::min_len(b"ab", 2, at, out)), ok());
    assert_eq!(
        says(|at, out| rules::bytes::min_len(b"ab", 3, at, out)),
        ["f must have at least 3 bytes"]
    );
    assert_eq!(says(|at, out| rules::bytes::max_len(b"ab", 2, at, out)), ok());
    assert_eq!(
        says(|at, out| rules::bytes::max_len(b"ab", 1, at, out)),
        ["f must have at most 1 byte"]
    );
}

#[test]
fn numbers_have_limits_that_count_or_do_not() {
    assert_eq!(says(|at, out| rules::gte(1, 1, at, out)), ok());
    assert_eq!(says(|at, out| rules::gte(0, 1, at, out)), ["f must be at least 1"]);
    assert_eq!(says(|at, out| rules::gt(2, 1, at, out)), ok());
    assert_eq!(says(|at, out| rules::gt(1, 1, at, out)), ["f must be greater than 1"]);
    assert_eq!(says(|at, out| rules::lte(1, 1, at, out)), ok());
    assert_eq!(says(|at, out| rules::lte(2, 1, at, out)), ["f must be at most 1"]);
    assert_eq!(says(|at, out| rules::lt(0, 1, at, out)), ok());
    assert_eq!(says(|at, out| rules::lt(1, 1, at, out)), ["f must be less than 1"]);
}

#[test]
fn nan_is_within_no_limit() {
    assert_eq!(says(|at, out| rules::gte(f64::NAN, 0.0, at, out)), ["f must be at least 0"]);
    assert_eq!(says(|at, out| rules::lt(f32::NAN, 1.5, at, out)), ["f must be less than 1.5"]);
    assert_eq!(says(|at, out| rules::lte(f64::INFINITY, 1.0, at, out)), ["f must be at most 1"]);
}

#[test]
fn enums_name_what_is_allowed() {
    let two = [(1, "RED"), (2, "BLUE")];
    assert_eq!(says(|at, out| rules::one_of(2, &two, at, out)), ok());
    assert_eq!(says(|at, out| rules::one_of(0, &two, at, out)), ["f must be one of RED, BLUE"]);
    assert_eq!(says(|at, out| rules::none_of(0, &two, at, out)), ok());
    assert_eq!(says(|at, out| rules::none_of(2, &two, at, out)), ["f must not be BLUE"]);
    assert_eq!(
        says(|at, out| rules::defined(false, at, out)),
        ["f must be a value that the contract defines"]
    );
}

#[test]
fn lists_and_maps_are_counted() {
    assert_eq!(says(|at, out| rules::min_items(1, 1, at, out)), ok());
    assert_eq!(says(|at, out| rules::min_items(0, 1, at, out)), ["f must have at least 1 item"]);
    assert_eq!(says(|at, out| rules::max_items(2, 2, at, out)), ok());
    assert_eq!(says(|at, out| rules::max_items(3, 2, at, out)), ["f must have at most 2 items"]);
    assert_eq!(says(|at, out| rules::min_pairs(0, 1, at, out)), ["f must have at least 1 entry"]);
    assert_eq!(says(|at, out| rules::max_pairs(3, 2, at, out)), ["f must have at most 2 entries"]);
}

#[test]
fn every_repetition_is_told() {
    assert_eq!(says(|at, out| rules::unique(&["a", "b", "c"], at, out)), ok());
    assert_eq!(
        says(|at, out| rules::unique(&["a", "b", "a", "a"], at, out)),
        ["f[2] must not repeat an earlier item", "f[3] must not repeat an earlier item"]
    );
}

#[test]
fn a_duration_must_be_one() {
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
fn durations_are_compared_and_written_in_seconds() {
    let half = Span::new(0, 500_000_000);
    assert_eq!(
        says(|at, out| rules::gte(Span::new(0, 0), half, at, out)),
        ["f must be at least 0.5 s"]
    );
    assert_eq!(
        says(|at, out| rules::lte(Span::new(31, 0), Span::new(30, 0), at, out)),
        ["f must be at most 30 s"]
    );
    assert_eq!(
        says(|at, out| rules::gt(Span::new(-3, 0), Span::new(-2, -1), at, out)),
        ["f must be greater than -2.000000001 s"]
    );
}

#[test]
fn a_pattern_is_searched_for_not_matched_whole() {
    static DIGIT: Pattern = Pattern::new("[0-9]");
    static DIGITS: Pattern = Pattern::new("^[0-9]+$");
    assert_eq!(says(|at, out| rules::string::pattern("a1", &DIGIT, at, out)), ok());
    assert_eq!(
        says(|at, out| rules::string::pattern("a1", &DIGITS, at, out)),
        ["f must match the pattern ^[0-9]+$"]
    );
}

fn email(value: &str) -> bool {
    says(|at, out| rules::string::email(value, at, out)).is_empty()
}

fn uuid(value: &str) -> bool {
    says(|at, out| rules::string::uuid(value, at, out)).is_empty()
}

#[test]
fn emails_are_what_html_forms_take() {
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

/// protovalidate's own expressions.
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
