//! Standing of an endpoint for one call.

/// Standing of an endpoint for one call, best first. An endpoint is picked only if none stands better.
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
    /// Converts the answer to "is it usable?".
    fn from(usable: bool) -> Self {
        if usable { Self::Fit } else { Self::Unusable }
    }
}
