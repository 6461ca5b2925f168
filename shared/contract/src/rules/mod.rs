//! Building blocks of generated validation.
//!
//! The build library turns each rule of `buf.validate` into a condition and its description, so the
//! code that checks a field and the reference that describes it always agree. This module has the
//! conditions that need more than an operator. None of them allocates, and none compiles a pattern
//! per call.
//!
//! The semantics are those of protovalidate. Strings are measured in characters (Unicode code
//! points), not in bytes. NaN is outside every limit. A regular expression may match anywhere in
//! the value.

use std::collections::BTreeSet;

use crate::{FieldPath, Violations};

pub mod bytes;
mod mask;
pub mod net;
mod pattern;
pub mod string;
mod time;
mod uri;

pub use mask::{any_path_within, paths_within};
pub use pattern::Pattern;
pub use time::{Moment, Span};
pub use uri::{is_uri, is_uri_ref};

/// Number of items up to which pairwise comparison is cheaper than a set.
const FEW: usize = 32;

/// Adds the violation `says` if the rule does not hold.
#[inline]
pub fn check(holds: bool, says: &'static str, at: &FieldPath<'_>, out: &mut Violations) {
    if !holds {
        out.push(at, says);
    }
}

/// `required`: adds a violation if the value is absent. Returns `present`, because the other rules
/// apply only to a present value.
#[inline]
pub fn required(present: bool, at: &FieldPath<'_>, out: &mut Violations) -> bool {
    check(present, "is required", at, out);
    present
}

/// `repeated.unique`: adds one violation for every item that repeats an earlier one.
pub fn unique<T: Ord>(items: &[T], at: &FieldPath<'_>, out: &mut Violations) {
    let mut repeats = |index| out.push(at.index(index), "must not repeat an earlier item");
    if items.len() <= FEW {
        for (index, item) in items.iter().enumerate() {
            if items[..index].contains(item) {
                repeats(index);
            }
        }
    } else {
        let mut seen = BTreeSet::new();
        for (index, item) in items.iter().enumerate() {
            if !seen.insert(item) {
                repeats(index);
            }
        }
    }
}
