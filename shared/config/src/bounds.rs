//! Bounds of numbers and durations, as data.
//!
//! A type says that a value is a number; a [`Bound`] says which numbers work. [`crate::load`]
//! refuses every other one with its key, its source and the bound.

use std::{fmt, time::Duration};

use figment::value::{Num, Value};

/// Bound of a setting.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bound {
    /// Key, levels parted by dots; `*` stands for any one level.
    pub key: &'static str,
    /// Values that work.
    pub range: Range,
}

/// Values that work, from the first to the last.
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
    /// Returns whether the value is of the bounded kind and not within the bounds.
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

    /// The least and the most as they are written in TOML.
    pub fn ends(&self) -> [String; 2] {
        match self {
            Self::Count(least, most) => [least.to_string(), most.to_string()],
            // With a point, so that TOML takes it for a number of this kind.
            Self::Number(least, most) => [format!("{least:?}"), format!("{most:?}")],
            Self::Time(least, most) => {
                [*least, *most].map(|time| humantime::format_duration(time).to_string())
            }
        }
    }
}

/// As an error says it: `from 1s to 1h`.
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

fn integer(number: Num) -> Option<i128> {
    number.to_u128().map(i128::try_from).and_then(Result::ok).or_else(|| number.to_i128())
}

fn float(number: Num) -> Option<f64> {
    match number {
        Num::F32(value) => Some(value.into()),
        Num::F64(value) => Some(value),
        // Counts beyond 2^53 are beyond every bound.
        other => integer(other).map(|value| value as f64),
    }
}
