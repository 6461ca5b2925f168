//! Cache of verified tokens, so that a signature is checked once per token and not once per call.
//!
//! The cache stores the SHA-256 of a token, not the token. Rejected tokens are not stored, because
//! anyone could fill the cache with them. A full cache drops rarely used tokens first.

use std::{fmt, sync::Arc};

use aws_lc_rs::digest::{SHA256, digest};
use gantry_contract::access::Caller;
use quick_cache::sync::Cache;

use crate::claims::Lifetime;

/// Result of a successful verification.
#[derive(Debug)]
pub(crate) struct Proven {
    pub(crate) caller: Caller,
    pub(crate) lifetime: Lifetime,
}

/// SHA-256 of a token.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Mark([u8; 32]);

impl Mark {
    pub(crate) fn of(token: &str) -> Self {
        let mut mark = [0; 32];
        mark.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
        Self(mark)
    }
}

/// Verified tokens, up to a fixed number.
pub(crate) struct Known(Cache<Mark, Arc<Proven>>);

impl Known {
    pub(crate) fn new(most: usize) -> Self {
        Self(Cache::new(most))
    }

    pub(crate) fn get(&self, mark: &Mark) -> Option<Arc<Proven>> {
        self.0.get(mark)
    }

    pub(crate) fn add(&self, mark: Mark, proven: Proven) {
        self.0.insert(mark, Arc::new(proven));
    }

    pub(crate) fn remove(&self, mark: &Mark) {
        self.0.remove(mark);
    }

    pub(crate) fn clear(&self) {
        self.0.clear();
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

impl fmt::Debug for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Known").finish_non_exhaustive()
    }
}
