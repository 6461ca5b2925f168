//! Invalid settings.

/// Invalid setting: its key and the problem.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {why}")]
pub struct InvalidSetting {
    /// Key within the section: `breaker.open`.
    pub key: String,
    /// Problem with its value.
    pub why: String,
}

impl InvalidSetting {
    pub(crate) fn new(key: impl Into<String>, why: impl ToString) -> Self {
        Self { key: key.into(), why: why.to_string() }
    }
}
