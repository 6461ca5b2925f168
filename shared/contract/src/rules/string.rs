//! Rules of `buf.validate.StringRules`.

use std::sync::OnceLock;

use regex::Regex;

use super::Count;
use crate::{FieldPath, Violations};

/// `string.len`.
pub fn len(value: &str, exactly: u64, at: &FieldPath<'_>, out: &mut Violations) {
    if chars(value) != exactly {
        out.push(at, format_args!("must have exactly {}", Count(exactly, "character")));
    }
}

/// `string.min_len`.
pub fn min_len(value: &str, least: u64, at: &FieldPath<'_>, out: &mut Violations) {
    if chars(value) < least {
        out.push(at, format_args!("must have at least {}", Count(least, "character")));
    }
}

/// `string.max_len`.
pub fn max_len(value: &str, most: u64, at: &FieldPath<'_>, out: &mut Violations) {
    // No string has more characters than bytes.
    if value.len() as u64 > most && chars(value) > most {
        out.push(at, format_args!("must have at most {}", Count(most, "character")));
    }
}

/// `string.email`: what an HTML form takes as an e-mail address.
pub fn email(value: &str, at: &FieldPath<'_>, out: &mut Violations) {
    if !is_email(value) {
        out.push(at, "must be an e-mail address");
    }
}

/// `string.uuid`: 32 hexadecimal digits in five groups.
pub fn uuid(value: &str, at: &FieldPath<'_>, out: &mut Violations) {
    if !is_uuid(value) {
        out.push(at, "must be a UUID");
    }
}

/// `string.pattern`.
pub fn pattern(value: &str, pattern: &Pattern, at: &FieldPath<'_>, out: &mut Violations) {
    if !pattern.regex().is_match(value) {
        out.push(at, format_args!("must match the pattern {}", pattern.source));
    }
}

/// A regular expression of a contract, compiled at its first use.
#[derive(Debug)]
pub struct Pattern {
    source: &'static str,
    regex: OnceLock<Regex>,
}

impl Pattern {
    /// The pattern with this source, which the build has compiled once already.
    pub const fn new(source: &'static str) -> Self {
        Self { source, regex: OnceLock::new() }
    }

    #[expect(clippy::expect_used, reason = "the contract's build fails on a bad pattern")]
    fn regex(&self) -> &Regex {
        self.regex.get_or_init(|| Regex::new(self.source).expect("the build compiled it"))
    }
}

fn chars(value: &str) -> u64 {
    value.chars().count() as u64
}

/// protovalidate's definition, which is HTML's:
/// `^[a-zA-Z0-9.!#$%&'*+/=?^_{|}~`-]+@LABEL(\.LABEL)*$`, where a label has 1 to 63
/// letters, digits and inner dashes.
fn is_email(value: &str) -> bool {
    let Some((local, domain)) = value.split_once('@') else { return false };
    let special = |byte| b".!#$%&'*+/=?^_`{|}~-".contains(&byte);
    !local.is_empty()
        && local.bytes().all(|byte| byte.is_ascii_alphanumeric() || special(byte))
        && domain.split('.').all(is_label)
}

fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

fn is_uuid(value: &str) -> bool {
    value.len() == 36
        && value.bytes().enumerate().all(|(index, byte)| match index {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}
