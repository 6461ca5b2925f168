//! What a caller thinks of an endpoint at the moment.

/// How an endpoint stands for one call, best first. An endpoint is picked only where
/// none stands better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// Nothing speaks against it.
    Fit,
    /// This call was tried there already.
    Tried,
    /// It is ejected.
    Ejected,
    /// It cannot take the call: never picked.
    Unusable,
}

impl From<bool> for Standing {
    /// Whether the endpoint is usable.
    fn from(usable: bool) -> Self {
        if usable { Self::Fit } else { Self::Unusable }
    }
}
