//! Regular expressions of a contract.

use std::sync::OnceLock;

use regex::Regex;

/// A regular expression that is compiled once, at its first use.
#[derive(Debug)]
pub struct Pattern {
    source: &'static str,
    regex: OnceLock<Regex>,
}

impl Pattern {
    /// Creates a pattern. The build has already checked that `source` compiles.
    pub const fn new(source: &'static str) -> Self {
        Self { source, regex: OnceLock::new() }
    }

    /// Returns true if the pattern matches anywhere in `value`.
    #[expect(clippy::expect_used, reason = "the contract's build fails on a bad pattern")]
    pub fn is_in(&self, value: &str) -> bool {
        let compiled = || Regex::new(self.source).expect("the build compiled it");
        self.regex.get_or_init(compiled).is_match(value)
    }
}
