//! Passwords hashed with Argon2id.
//!
//! - A hash costs tens of milliseconds of a processor and megabytes of memory, so it
//!   runs on a thread where blocking is allowed, and only so many run at a time.
//!   A caller who goes away while waiting gives up its place; a hash that has begun
//!   keeps its place until it ends, because that is when the memory is free again.
//! - No more wait than a bound: a longer queue would only hash for callers who have
//!   given up.
//! - Where there is no hash to compare with, a made-up one is compared with, under
//!   the parameters that real ones are made with.

use std::{fmt, sync::Arc};

use argon2::{
    Algorithm, Argon2, Params, PasswordHash as Phc, PasswordHasher as _, PasswordVerifier, Version,
    password_hash::Error as HashError,
};
use async_trait::async_trait;
use tokio::{sync::Semaphore, task};

use crate::{
    application::{PasswordHasher, UserError},
    domain::{Attempt, Password, PasswordHash},
};

/// Hashes with Argon2id.
pub struct Argon2id {
    argon2: Argon2<'static>,
    /// Stands in for the hash of a user who does not exist.
    nobodys: PasswordHash,
    /// One permit for each hash that runs or waits.
    places: Arc<Semaphore>,
    /// One permit for each hash that runs.
    turns: Arc<Semaphore>,
}

impl Argon2id {
    /// Hashes with these parameters, `parallel` at a time while at most `waiting`
    /// wait. Makes one hash, which takes as long as any.
    ///
    /// # Errors
    /// [`UserError::Failed`] where the system has no randomness or too little memory.
    pub async fn new(params: Params, parallel: usize, waiting: usize) -> Result<Self, UserError> {
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let hasher = argon2.clone();
        let nobodys = blocking(move || hash(&hasher, b"")).await?;
        Ok(Self {
            argon2,
            nobodys,
            places: Arc::new(Semaphore::new(parallel + waiting)),
            turns: Arc::new(Semaphore::new(parallel)),
        })
    }

    /// Does the work once it is its turn.
    async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Argon2<'_>) -> Result<T, UserError> + Send + 'static,
    ) -> Result<T, UserError> {
        let place = Arc::clone(&self.places).try_acquire_owned();
        let place = place.map_err(|_full| UserError::Overloaded)?;
        let turn = Arc::clone(&self.turns).acquire_owned().await;
        let turn = turn.map_err(UserError::failed)?;
        let argon2 = self.argon2.clone();
        blocking(move || {
            let _until_done = (place, turn);
            work(&argon2)
        })
        .await
    }
}

#[async_trait]
impl PasswordHasher for Argon2id {
    async fn hash(&self, password: Password) -> Result<PasswordHash, UserError> {
        self.in_turn(move |argon2| hash(argon2, password.expose().as_bytes())).await
    }

    async fn verify(
        &self,
        attempt: Attempt,
        hash: Option<PasswordHash>,
    ) -> Result<bool, UserError> {
        // The made-up hash has a password as well, but no user.
        let is_somebodys = hash.is_some();
        let hash = hash.unwrap_or_else(|| self.nobodys.clone());
        let matches =
            self.in_turn(move |argon2| verify(argon2, attempt.expose().as_bytes(), &hash)).await?;
        Ok(matches && is_somebodys)
    }
}

impl fmt::Debug for Argon2id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Argon2id")
            .field("argon2", &self.argon2)
            .field("turns", &self.turns)
            .finish_non_exhaustive()
    }
}

/// The hash under a new salt.
fn hash(argon2: &Argon2<'_>, password: &[u8]) -> Result<PasswordHash, UserError> {
    let phc = argon2.hash_password(password).map_err(UserError::failed)?;
    Ok(PasswordHash::new(phc.to_string()))
}

/// Compares in constant time, under the parameters that the hash names.
fn verify(argon2: &Argon2<'_>, attempt: &[u8], hash: &PasswordHash) -> Result<bool, UserError> {
    let phc = Phc::new(hash.as_str()).map_err(UserError::failed)?;
    match argon2.verify_password(attempt, &phc) {
        Ok(()) => Ok(true),
        Err(HashError::PasswordInvalid) => Ok(false),
        Err(error) => Err(UserError::failed(error)),
    }
}

/// Runs `work` where blocking is allowed.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, UserError> + Send + 'static,
) -> Result<T, UserError> {
    match task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(UserError::failed(error)),
    }
}
