//! What is wrong with the settings.

use std::fmt;

/// Rules that a type alone does not express.
pub trait Check {
    /// Adds what is wrong with `self` to `problems`.
    fn check(&self, problems: &mut Problems);
}

/// Collects what [`Check`] finds.
#[derive(Debug, Default)]
pub struct Problems {
    prefix: Vec<String>,
    pub(crate) found: Vec<(String, String)>,
}

impl Problems {
    /// The value of `key` is not what was expected: `at least 1`, `a folder`.
    pub fn expected(&mut self, key: &str, expected: impl fmt::Display) {
        self.add(key, format!("expected {expected}"));
    }

    /// Something else is wrong with `key`.
    pub fn add(&mut self, key: &str, what: impl Into<String>) {
        let mut path = self.prefix.clone();
        path.push(key.to_owned());
        self.found.push((path.join("."), what.into()));
    }

    /// Checks the settings that stand under `key`.
    pub fn within(&mut self, key: &str, settings: &impl Check) {
        self.prefix.push(key.to_owned());
        settings.check(self);
        self.prefix.pop();
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The key, levels parted by dots; empty where a source as a whole is wrong.
    pub key: String,
    /// Where the value comes from, where there is one.
    pub source: Option<String>,
    /// What is wrong, and what was expected instead.
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

/// The settings were refused: everything that is wrong, one line each.
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
