//! Regular expressions of a contract.

use std::sync::OnceLock;

use regex::Regex;

/// A regular expression, compiled at its first use and never again.
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

    /// Whether it is found in `value`.
    #[expect(clippy::expect_used, reason = "the contract's build fails on a bad pattern")]
    pub fn is_in(&self, value: &str) -> bool {
        let compiled = || Regex::new(self.source).expect("the build compiled it");
        self.regex.get_or_init(compiled).is_match(value)
    }
}
