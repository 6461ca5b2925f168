//! What generated validation is made of.
//!
//! A rule of `buf.validate` becomes a condition and its words, both made by the
//! build library: the code that checks a field and the reference that describes it
//! cannot differ. Here are the conditions that are more than an operator. None
//! allocates and none compiles a pattern for each call.
//!
//! Semantics are protovalidate's: strings are measured in characters (Unicode code
//! points), not bytes; NaN is within no limit; a regular expression is searched
//! for, not matched whole.

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

/// How many items are compared with each other before a set is cheaper.
const FEW: usize = 32;

/// Notes what a rule says where it does not hold.
#[inline]
pub fn check(holds: bool, says: &'static str, at: &FieldPath<'_>, out: &mut Violations) {
    if !holds {
        out.push(at, says);
    }
}

/// `required`: says whether the value is there, so that other rules follow only
/// where it is.
#[inline]
pub fn required(present: bool, at: &FieldPath<'_>, out: &mut Violations) -> bool {
    check(present, "is required", at, out);
    present
}

/// `repeated.unique`: one violation for every item that repeats an earlier one.
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
