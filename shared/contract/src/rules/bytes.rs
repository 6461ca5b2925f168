//! Rules of `buf.validate.BytesRules`.

use super::Count;
use crate::{FieldPath, Violations};

/// `bytes.min_len`.
pub fn min_len(value: &[u8], least: u64, at: &FieldPath<'_>, out: &mut Violations) {
    if (value.len() as u64) < least {
        out.push(at, format_args!("must have at least {}", Count(least, "byte")));
    }
}

/// `bytes.max_len`.
pub fn max_len(value: &[u8], most: u64, at: &FieldPath<'_>, out: &mut Violations) {
    if value.len() as u64 > most {
        out.push(at, format_args!("must have at most {}", Count(most, "byte")));
    }
}
