//! Invalid settings.

/// A setting that no channel can work with: its key and what is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {why}")]
pub struct InvalidSetting {
    /// The key within the section: `breaker.open`.
    pub key: String,
    /// What is wrong with its value.
    pub why: String,
}

impl InvalidSetting {
    pub(crate) fn new(key: impl Into<String>, why: impl ToString) -> Self {
        Self { key: key.into(), why: why.to_string() }
    }
}
