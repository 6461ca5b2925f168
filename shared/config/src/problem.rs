//! Problems of settings.

use std::fmt;

/// Rules that a type does not express.
pub trait Check {
    /// Adds every violated rule to `problems`.
    fn check(&self, problems: &mut Problems);
}

/// Problems found by [`Check`].
#[derive(Debug, Default)]
pub struct Problems {
    prefix: Vec<String>,
    pub(crate) found: Vec<(String, String)>,
}

impl Problems {
    /// Adds a problem: the value of `key` is not `expected` ("at least 1", "a folder").
    pub fn expected(&mut self, key: &str, expected: impl fmt::Display) {
        self.add(key, format!("expected {expected}"));
    }

    /// Adds another problem of `key`.
    pub fn add(&mut self, key: &str, what: impl Into<String>) {
        let mut path = self.prefix.clone();
        path.push(key.to_owned());
        self.found.push((path.join("."), what.into()));
    }

    /// Checks the settings below `key`.
    pub fn within(&mut self, key: &str, settings: &impl Check) {
        self.prefix.push(key.to_owned());
        settings.check(self);
        self.prefix.pop();
    }
}

/// A problem of a setting or of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Key, levels separated by dots. Empty for a problem of a whole source.
    pub key: String,
    /// Source of the value, if it has one.
    pub source: Option<String>,
    /// Description, with the expected value.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.what)?;
        match &self.source {
            Some(source) => write!(f, " ({source})"),
            None => Ok(()),
        }
    }
}

/// Rejected settings: all problems, formatted one a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// Never empty.
    pub problems: Vec<Problem>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, problem) in self.problems.iter().enumerate() {
            let line_break = if n == 0 { "" } else { "\n" };
            write!(f, "{line_break}{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}
