//! A setting with a value that cannot be.

use std::borrow::Cow;

/// A setting with a value that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key} must be {expected}")]
pub struct InvalidSetting {
    /// The key, below the server's own.
    pub key: Cow<'static, str>,
    /// What it should be.
    pub expected: Cow<'static, str>,
}

impl InvalidSetting {
    pub(super) fn unless(
        holds: bool,
        key: impl Into<Cow<'static, str>>,
        expected: impl Into<Cow<'static, str>>,
    ) -> Option<Self> {
        (!holds).then(|| Self { key: key.into(), expected: expected.into() })
    }
}
