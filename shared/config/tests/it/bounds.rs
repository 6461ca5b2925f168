//! Bounds of numbers and durations.

use std::time::Duration;

use gantry_config::{Bound, Check, Problems, Range, Sources};
use serde::Deserialize;

const BOUNDS: &[Bound] = &[
    Bound::count("workers", 1, 64),
    Bound::number("rate", 0.001, 1e6),
    Bound::time("limits.*.wait", Duration::from_millis(1), Duration::from_secs(3600)),
];

const DEFAULTS: &str = "user = { workers = 1, rate = 1.0, limits = { a = { wait = '1s' } } }";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    user: Table,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    #[expect(dead_code, reason = "only its type matters")]
    workers: u32,
    rate: f64,
    #[expect(dead_code, reason = "only its type matters")]
    limits: std::collections::BTreeMap<String, Limit>,
}

#[derive(Debug, Deserialize)]
struct Limit {
    #[serde(with = "humantime_serde", rename = "wait")]
    _wait: Duration,
}

impl Check for Settings {
    /// Repeats a bound of a key as a rule of its table.
    fn check(&self, problems: &mut Problems) {
        if self.user.rate.is_nan() {
            problems.expected("user", "a rate");
        }
    }
}

fn load(key: &str, value: &str) -> Result<(), String> {
    let sources = Sources::new().defaults(DEFAULTS).bounds("*", BOUNDS).variables([(key, value)]);
    gantry_config::load::<Settings>(sources).map(drop).map_err(|error| error.to_string())
}

#[test]
fn a_value_out_of_bounds_is_rejected_with_its_bounds() {
    const WORKERS: (&str, &str) =
        ("GANTRY_USER__WORKERS", "user.workers: expected a whole number from 1 to 64");
    const RATE: (&str, &str) =
        ("GANTRY_USER__RATE", "user.rate: expected a number from 0.001 to 1000000.0");
    const WAIT: (&str, &str) =
        ("GANTRY_USER__LIMITS__A__WAIT", "user.limits.a.wait: expected a duration from 1ms to 1h");
    for ((key, expected), values) in [
        (
            WORKERS,
            &["0", "65", "-1", "4294967296", "18446744073709551615", "1.5", "many", "true"][..],
        ),
        (RATE, &["0", "0.0", "-1", "1e7", "inf", "-inf", "nan", "'x'"]),
        (WAIT, &["0s", "0", "1us", "61m", "584554 years", "-1s", "soon", "1"]),
    ] {
        for value in values {
            let output = load(key, value).unwrap_err();
            assert!(output.starts_with(expected), "{value}: {output}");
            assert!(output.ends_with(&format!("(variable {key})")), "{value}: {output}");
        }
    }
}

#[test]
fn the_bounds_themselves_are_accepted() {
    for (key, values) in [
        ("GANTRY_USER__WORKERS", &["1", "64"][..]),
        ("GANTRY_USER__RATE", &["0.001", "1e6", "1000000", "1"]),
        ("GANTRY_USER__LIMITS__A__WAIT", &["1ms", "1h", "60m", "0h 1m"]),
    ] {
        for value in values {
            load(key, value).unwrap();
        }
    }
}

#[test]
fn bounds_are_shown_as_people_write_them() {
    let shown = |seconds| Range::Time(Duration::ZERO, Duration::from_secs(seconds)).to_string();
    for (seconds, most) in
        [(86_400, "1day"), (172_800, "2days"), (31_536_000, "365days"), (5_400, "1h 30m")]
    {
        assert_eq!(shown(seconds), format!("a duration from 0s to {most}"));
    }
}
