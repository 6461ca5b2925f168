//! Standing of an endpoint for one call.

/// Standing of an endpoint for one call, best first. An endpoint is picked only if none stands better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// Nothing speaks against it.
    Fit,
    /// It already had an attempt of this call.
    Tried,
    /// It is ejected.
    Ejected,
    /// It cannot take the call, and is never picked.
    Unusable,
}

impl From<bool> for Standing {
    /// Returns `Fit` for true and `Unusable` for false.
    fn from(usable: bool) -> Self {
        if usable { Self::Fit } else { Self::Unusable }
    }
}
