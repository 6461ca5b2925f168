//! Invalid setting.

use std::borrow::Cow;

/// Invalid setting.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key} must be {expected}")]
pub struct InvalidSetting {
    /// Key, relative to the server's settings.
    pub key: Cow<'static, str>,
    /// Description of the valid values.
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
