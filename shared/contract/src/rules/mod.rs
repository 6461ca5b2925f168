//! The rules of `buf.validate`, one function each, as generated code calls them.
//!
//! Every rule takes the value, its limits, where the value is and where to put a
//! violation. Semantics are protovalidate's: strings are measured in characters
//! (Unicode code points), not bytes; NaN is within no limit.

use std::{collections::BTreeSet, fmt};

use crate::{FieldPath, Violations};

pub mod bytes;
mod duration;
pub mod string;

pub use duration::Span;

/// `required`: says whether the value is there, so that other rules follow only
/// where it is.
pub fn required(present: bool, at: &FieldPath<'_>, out: &mut Violations) -> bool {
    if !present {
        out.push(at, "is required");
    }
    present
}

/// `gt`, for numbers and durations.
pub fn gt<T: PartialOrd + fmt::Display>(
    value: T,
    bound: T,
    at: &FieldPath<'_>,
    out: &mut Violations,
) {
    let within = value > bound;
    if !within {
        out.push(at, format_args!("must be greater than {bound}"));
    }
}

/// `gte`, for numbers and durations.
pub fn gte<T: PartialOrd + fmt::Display>(
    value: T,
    bound: T,
    at: &FieldPath<'_>,
    out: &mut Violations,
) {
    let within = value >= bound;
    if !within {
        out.push(at, format_args!("must be at least {bound}"));
    }
}

/// `lt`, for numbers and durations.
pub fn lt<T: PartialOrd + fmt::Display>(
    value: T,
    bound: T,
    at: &FieldPath<'_>,
    out: &mut Violations,
) {
    let within = value < bound;
    if !within {
        out.push(at, format_args!("must be less than {bound}"));
    }
}

/// `lte`, for numbers and durations.
pub fn lte<T: PartialOrd + fmt::Display>(
    value: T,
    bound: T,
    at: &FieldPath<'_>,
    out: &mut Violations,
) {
    let within = value <= bound;
    if !within {
        out.push(at, format_args!("must be at most {bound}"));
    }
}

/// `enum.defined_only`: the generated code says whether the number has a name.
pub fn defined(defined: bool, at: &FieldPath<'_>, out: &mut Violations) {
    if !defined {
        out.push(at, "must be a value that the contract defines");
    }
}

/// `enum.in`: the allowed numbers and their names.
pub fn one_of(
    value: i32,
    allowed: &[(i32, &'static str)],
    at: &FieldPath<'_>,
    out: &mut Violations,
) {
    if !allowed.iter().any(|(number, _)| *number == value) {
        out.push(at, format_args!("must be one of {}", Names(allowed)));
    }
}

/// `enum.not_in`: the refused numbers and their names.
pub fn none_of(
    value: i32,
    refused: &[(i32, &'static str)],
    at: &FieldPath<'_>,
    out: &mut Violations,
) {
    if let Some((_, name)) = refused.iter().find(|(number, _)| *number == value) {
        out.push(at, format_args!("must not be {name}"));
    }
}

/// `repeated.min_items`.
pub fn min_items(count: usize, least: u64, at: &FieldPath<'_>, out: &mut Violations) {
    if (count as u64) < least {
        out.push(at, format_args!("must have at least {}", Count(least, "item")));
    }
}

/// `repeated.max_items`.
pub fn max_items(count: usize, most: u64, at: &FieldPath<'_>, out: &mut Violations) {
    if count as u64 > most {
        out.push(at, format_args!("must have at most {}", Count(most, "item")));
    }
}

/// `map.min_pairs`.
pub fn min_pairs(count: usize, least: u64, at: &FieldPath<'_>, out: &mut Violations) {
    if (count as u64) < least {
        out.push(at, format_args!("must have at least {}", Count(least, "entry")));
    }
}

/// `map.max_pairs`.
pub fn max_pairs(count: usize, most: u64, at: &FieldPath<'_>, out: &mut Violations) {
    if count as u64 > most {
        out.push(at, format_args!("must have at most {}", Count(most, "entry")));
    }
}

/// `repeated.unique`: one violation for every item that repeats an earlier one.
pub fn unique<T: Ord>(items: &[T], at: &FieldPath<'_>, out: &mut Violations) {
    let mut seen = BTreeSet::new();
    for (index, item) in items.iter().enumerate() {
        if !seen.insert(item) {
            out.push(at.index(index), "must not repeat an earlier item");
        }
    }
}

/// A number of things, in words.
struct Count(u64, &'static str);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self(1, thing) => write!(f, "1 {thing}"),
            Self(count, "entry") => write!(f, "{count} entries"),
            Self(count, thing) => write!(f, "{count} {thing}s"),
        }
    }
}

/// Names, separated by commas.
struct Names<'a>(&'a [(i32, &'static str)]);

impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (_, name)) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            f.write_str(name)?;
        }
        Ok(())
    }
}
