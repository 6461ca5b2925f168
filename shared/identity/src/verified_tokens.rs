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
pub(crate) struct Verified {
    pub(crate) caller: Caller,
    pub(crate) lifetime: Lifetime,
}

/// SHA-256 of a token.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct TokenHash([u8; 32]);

impl TokenHash {
    pub(crate) fn of(token: &str) -> Self {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
        Self(hash)
    }
}

/// Cache of verified tokens, up to a fixed number.
pub(crate) struct VerifiedTokens(Cache<TokenHash, Arc<Verified>>);

impl VerifiedTokens {
    pub(crate) fn new(most: usize) -> Self {
        Self(Cache::new(most))
    }

    pub(crate) fn get(&self, hash: &TokenHash) -> Option<Arc<Verified>> {
        self.0.get(hash)
    }

    pub(crate) fn add(&self, hash: TokenHash, verified: Verified) {
        self.0.insert(hash, Arc::new(verified));
    }

    pub(crate) fn remove(&self, hash: &TokenHash) {
        self.0.remove(hash);
    }

    pub(crate) fn clear(&self) {
        self.0.clear();
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

impl fmt::Debug for VerifiedTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedTokens").finish_non_exhaustive()
    }
}
