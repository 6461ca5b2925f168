//! Every rule of numbers, times and other messages, with valid and invalid values.

mod common;

use std::{
    collections::BTreeMap,
    time::{Duration as StdDuration, SystemTime},
};

use common::{nothing, wrong};
use gantry_contract_conformance::conformance::v1::{
    Colour, Contact, Flags, Keys, Leaf, Others, Ranges, Times, Tree,
};
use prost_types::{Any, Duration, FieldMask, Timestamp};

fn ranges() -> Ranges {
    Ranges {
        outside: 11,
        outside_real: 0.5,
        r#const: -7,
        r#in: 1,
        real_in: 0.5,
        one: 5,
        ..Ranges::default()
    }
}

#[test]
fn numbers() {
    assert_eq!(wrong(&ranges()), nothing());
    values!(ranges();
        outside: -11, i32::MIN, i32::MAX => [];
        outside: -10, 0, 10 => ["must be greater than 10 or less than -10"];
        outside_or_at: 5_u64, 10_u64, u64::MAX => [];
        outside_or_at: 6_u64, 9_u64 => ["must be at least 10 or at most 5"];
        outside_real: -0.6, f64::INFINITY, f64::NEG_INFINITY => [];
        outside_real: -0.5, 0.0, 0.499, f64::NAN => ["must be at least 0.5 or less than -0.5"];
        finite: 0.0, f32::MAX => [];
        finite: f32::NAN, f32::INFINITY, f32::NEG_INFINITY => ["must be a finite number"];
        r#const: 0, 7 => ["must be -7"];
        r#in: -1 => [];
        r#in: 0 => ["must be one of -1, 1"];
        not_in: 0_u64, 3_u64 => [];
        not_in: 1_u64, 2_u64 => ["must not be one of 1, 2"];
        real_in: 0.25, f64::NAN => ["must be 0.5"];
        one: 4 => ["must be at least 5"];
        one: 6 => ["must be at most 5"];
    );
}

#[test]
fn flags() {
    let good = || Flags { on: true, off: false, blue: Colour::Blue.into() };
    values!(good();
        on: true => [];
        on: false => ["must be true"];
        off: true => ["must be false"];
        blue: 1, 7 => ["must be COLOUR_BLUE"];
    );
}

/// Returns the time in `seconds` from now.
fn from_now(seconds: i64) -> Timestamp {
    let span = StdDuration::from_secs(seconds.unsigned_abs());
    let now = SystemTime::now();
    (if seconds < 0 { now - span } else { now + span }).into()
}

fn at(seconds: i64, nanos: i32) -> Timestamp {
    Timestamp { seconds, nanos }
}

#[test]
fn timestamps() {
    let no_time = "must be a timestamp between the years 1 and 9999";
    values!(Times::default();
        past: at(0, 0), from_now(-5), at(-62_135_596_800, 0) => [];
        past: from_now(60) => ["must not be in the future"];
        past: at(0, -1), at(0, 1_000_000_000), at(i64::MAX, 0), at(i64::MIN, 0), at(-62_135_596_801, 0) => [no_time];
        future: from_now(60), at(253_402_300_799, 999_999_999) => [];
        future: from_now(-5), at(0, 0) => ["must not be in the past"];
        around: from_now(0), from_now(3500), from_now(-3500) => [];
        around: from_now(3700), from_now(-3700), at(0, 0) => ["must be within 3600 s of now"];
        bounds: at(1_000_000_000, 0), at(1_999_999_999, 999_999_999) => [];
        bounds: at(999_999_999, 999_999_999) => ["must be at least 2001-09-09T01:46:40Z"];
        bounds: at(2_000_000_000, 0) => ["must be less than 2033-05-18T03:33:20Z"];
        open: at(-1, 1), at(10, 500_000_000) => [];
        open: at(-1, 0) => ["must be greater than 1969-12-31T23:59:59Z"];
        open: at(10, 500_000_001) => ["must be at most 1970-01-01T00:00:10.500Z"];
        r#const: at(1, 0) => [];
        r#const: at(1, 1) => ["must be 1970-01-01T00:00:01Z"];
    );
    let each = vec![at(1, 0), at(0, 0), at(2, 0), at(-1, 0)];
    assert_eq!(
        wrong(&Times { each, ..Times::default() }),
        [
            "each[1]: must be greater than 1970-01-01T00:00:00Z",
            "each[3]: must be greater than 1970-01-01T00:00:00Z",
        ]
    );
}

#[test]
fn durations() {
    let span = |seconds, nanos| Duration { seconds, nanos };
    values!(Times::default();
        one: span(1, 0) => [];
        one: span(1, 1) => ["must be 1 s"];
        r#in: span(1, 0), span(0, 5) => [];
        r#in: span(0, 0) => ["must be one of 1 s, 0.000000005 s"];
        not_in: span(0, 1) => [];
        not_in: span(0, 0) => ["must not be 0 s"];
        outside: span(10, 1), span(4, 0), span(-1, 0) => [];
        outside: span(5, 0), span(10, 0) => ["must be greater than 10 s or less than 5 s"];
    );
}

#[test]
fn googles_messages() {
    let good = || Others { number: Some(1), ..Others::default() };
    let any = |url: &str| Any { type_url: url.into(), value: Vec::new() };
    let mask = |paths: &[&str]| FieldMask { paths: paths.iter().map(|p| (*p).into()).collect() };
    values!(good();
        any_in: any("type.googleapis.com/a.B") => [];
        any_in: any("a.B") => ["must hold one of type.googleapis.com/a.B"];
        any_not_in: any("a.B") => [];
        any_not_in: any("type.googleapis.com/a.B") => ["must not hold one of type.googleapis.com/a.B"];
        mask_const: mask(&["a", "b"]) => [];
        mask_const: mask(&["b", "a"]), mask(&[]), mask(&["a", "b", "c"]) => ["must have exactly the paths a, b"];
        mask_in: mask(&[]), mask(&["name", "profile.phone", "profile.phone.area"]) => [];
        mask_in: mask(&["names"]), mask(&["profile"]), mask(&["name", "id"])
            => ["must have only the paths name, profile.phone and paths below them"];
        mask_not_in: mask(&["idea", "name"]) => [];
        mask_not_in: mask(&["id"]), mask(&["name", "id.part"])
            => ["must have neither the paths id nor paths below them"];
        text: None, "a".to_owned() => [];
        text: String::new() => ["must have at least 1 character"];
        number: None => ["is required"];
        number: 0_i64 => ["must be at least 1"];
    );
    let texts = vec!["a".to_owned(), "a".to_owned(), "bc".to_owned()];
    assert_eq!(
        wrong(&Others { texts, if_zero: vec![String::new(), "a".to_owned()], ..good() }),
        [
            "texts[1]: must not repeat an earlier item",
            "texts[2]: must have at most 1 character",
            "if_zero[1]: must have at least 2 characters",
        ]
    );
}

#[test]
fn a_choice_of_fields() {
    let email = || Contact { email: "a@b".into(), ..Contact::default() };
    assert_eq!(wrong(&email()), nothing());
    assert_eq!(wrong(&Contact::default()), [": one of email, phones, user_id is required"]);
    assert_eq!(
        wrong(&Contact { user_id: Some(String::new()), ..email() }),
        [": only one of email, phones, user_id may be given", "user_id: must be a UUID"]
    );
    assert_eq!(
        wrong(&Contact { phones: vec!["1".into()], ..Contact::default() }),
        ["phones: must have at least 2 items"]
    );
    assert_eq!(
        wrong(&Contact { name: "Ann".into(), nick: "Annie".into(), ..email() }),
        [": only one of name, nick may be given", "nick: must have at most 3 characters"]
    );
}

#[test]
fn violations_in_maps_name_the_key() {
    let long = "k".repeat(100);
    let bad = Keys {
        labels: BTreeMap::from([
            ("a".into(), 0),
            ("b\"".into(), 0),
            ("ok".into(), 1),
            (long.clone(), 1),
        ]),
        switches: BTreeMap::from([(false, String::new()), (true, "on".into())]),
        ignored: BTreeMap::from([(7, Leaf::default())]),
        if_zero: BTreeMap::from([
            ("empty".into(), Tree::default()),
            ("given".into(), Tree { left: Some(Box::default()), ..Tree::default() }),
        ]),
    };
    assert_eq!(
        wrong(&bad),
        [
            "labels[\"a\"]: must be greater than 0",
            "labels[\"b\\\"\"]: must be greater than 0",
            &format!("labels[\"{}\"]: must have at most 3 characters", &long[..64]),
            "switches[false]: must have at least 1 character",
            "if_zero[\"given\"].name: must have at least 1 character",
            "if_zero[\"given\"].left.name: must have at least 1 character",
        ]
    );
}
