//! Bounds of numbers and durations, as data.
//!
//! A type accepts any number; a [`Bound`] limits it to usable ones. [`crate::load`] rejects all others
//! with key, source and bound.

use std::{fmt, time::Duration};

use figment::value::{Num, Value};

/// Bound of a setting.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bound {
    /// Key, levels separated by dots. `*` matches any one level.
    pub key: &'static str,
    /// Usable values.
    pub range: Range,
}

/// Usable values: from the first to the last, both included.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Range {
    /// Whole numbers.
    Count(u64, u64),
    /// Numbers.
    Number(f64, f64),
    /// Durations.
    Time(Duration, Duration),
}

impl Bound {
    /// Bounds a whole number.
    pub const fn count(key: &'static str, least: u64, most: u64) -> Self {
        Self { key, range: Range::Count(least, most) }
    }

    /// Bounds a number.
    pub const fn number(key: &'static str, least: f64, most: f64) -> Self {
        Self { key, range: Range::Number(least, most) }
    }

    /// Bounds a duration.
    pub const fn time(key: &'static str, least: Duration, most: Duration) -> Self {
        Self { key, range: Range::Time(least, most) }
    }
}

impl Range {
    /// Returns true if the value has the bounded type and is out of bounds.
    pub(crate) fn excludes(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Count(least, most), Value::Num(_, number)) => !integer(*number)
                .is_some_and(|n| (i128::from(*least)..=i128::from(*most)).contains(&n)),
            (Self::Number(least, most), Value::Num(_, number)) => {
                !float(*number).is_some_and(|n| (*least..=*most).contains(&n))
            }
            (Self::Time(least, most), Value::String(_, text)) => {
                humantime::parse_duration(text).is_ok_and(|time| !(*least..=*most).contains(&time))
            }
            _ => false,
        }
    }

    /// Returns the least and the greatest value, as TOML.
    pub fn ends(&self) -> [String; 2] {
        match self {
            Self::Count(least, most) => [least.to_string(), most.to_string()],
            // With a decimal point: a TOML float.
            Self::Number(least, most) => [format!("{least:?}"), format!("{most:?}")],
            Self::Time(least, most) => [duration(*least), duration(*most)],
        }
    }
}

/// Formats the range for an error: `a duration from 1s to 1h`.
impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self {
            Self::Count(..) => "a whole number",
            Self::Number(..) => "a number",
            Self::Time(..) => "a duration",
        };
        let [least, most] = self.ends();
        write!(f, "{kind} from {least} to {most}")
    }
}

/// Formats a duration. humantime turns whole days into years of 365.25 days and a rest.
fn duration(time: Duration) -> String {
    const DAY: u64 = 24 * 60 * 60;
    let seconds = time.as_secs();
    if seconds > DAY && seconds.is_multiple_of(DAY) && time.subsec_nanos() == 0 {
        return format!("{}days", seconds / DAY);
    }
    humantime::format_duration(time).to_string()
}

fn integer(number: Num) -> Option<i128> {
    number.to_u128().map(i128::try_from).and_then(Result::ok).or_else(|| number.to_i128())
}

fn float(number: Num) -> Option<f64> {
    match number {
        Num::F32(value) => Some(value.into()),
        Num::F64(value) => Some(value),
        // Integers that an f64 cannot represent are beyond every bound.
        other => integer(other).map(|value| value as f64),
    }
}
