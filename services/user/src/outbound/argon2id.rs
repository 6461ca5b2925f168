//! Passwords hashed with Argon2id.
//!
//! - A hash costs tens of milliseconds of a processor and megabytes of memory, so it
//!   runs on a thread where blocking is allowed, and only so many run at a time.
//!   A caller who goes away while waiting gives up its place; a hash that has begun
//!   keeps its place until it ends, because that is when the memory is free again.
//! - No more wait than a bound: a longer queue would only hash for callers who have
//!   given up.
//! - The memory is taken once for each that may run and used again and again: an
//!   allocator keeps what it is given back on many threads, one lot for each.
//! - Where there is no hash to compare with, a made-up one is compared with, under
//!   the parameters that real ones are made with.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use argon2::{
    Algorithm, Argon2, Block, Params, PasswordHash as Phc, Version,
    password_hash::{
        phc::{Output, ParamsString, Salt},
        try_generate_salt,
    },
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
    /// The memory of those that do not run: no more lots than have run at a time.
    memory: Arc<Mutex<Vec<Vec<Block>>>>,
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
        let nobodys = blocking(move || hash(&hasher, &mut Vec::new(), b"")).await?;
        Ok(Self {
            argon2,
            nobodys,
            memory: Arc::default(),
            places: Arc::new(Semaphore::new(parallel + waiting)),
            turns: Arc::new(Semaphore::new(parallel)),
        })
    }

    /// Does the work once it is its turn.
    async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Argon2<'_>, &mut Vec<Block>) -> Result<T, UserError> + Send + 'static,
    ) -> Result<T, UserError> {
        let place = Arc::clone(&self.places).try_acquire_owned();
        let place = place.map_err(|_full| UserError::Overloaded)?;
        let turn = Arc::clone(&self.turns).acquire_owned().await;
        let turn = turn.map_err(UserError::failed)?;
        let argon2 = self.argon2.clone();
        let free = Arc::clone(&self.memory);
        blocking(move || {
            let _until_done = (place, turn);
            // Nothing fails while it is locked, so a poisoned lock holds what it should.
            let lot = free.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let mut memory = lot.unwrap_or_default();
            let done = work(&argon2, &mut memory);
            free.lock().unwrap_or_else(PoisonError::into_inner).push(memory);
            done
        })
        .await
    }
}

#[async_trait]
impl PasswordHasher for Argon2id {
    async fn hash(&self, password: Password) -> Result<PasswordHash, UserError> {
        self.in_turn(move |argon2, memory| hash(argon2, memory, password.expose().as_bytes())).await
    }

    async fn verify(
        &self,
        attempt: Attempt,
        hash: Option<PasswordHash>,
    ) -> Result<bool, UserError> {
        // The made-up hash has a password as well, but no user.
        let is_somebodys = hash.is_some();
        let hash = hash.unwrap_or_else(|| self.nobodys.clone());
        let matches = self
            .in_turn(move |_, memory| verify(memory, attempt.expose().as_bytes(), &hash))
            .await?;
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
fn hash(
    argon2: &Argon2<'_>,
    memory: &mut Vec<Block>,
    password: &[u8],
) -> Result<PasswordHash, UserError> {
    let salt = try_generate_salt().map_err(UserError::failed)?;
    let salt = Salt::new(&salt).map_err(UserError::failed)?;
    let length = argon2.params().output_len().unwrap_or(Params::DEFAULT_OUTPUT_LEN);
    let phc = Phc {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(argon2.params()).map_err(UserError::failed)?,
        hash: Some(output(argon2, memory, password, &salt, length)?),
        salt: Some(salt),
    };
    Ok(PasswordHash::new(phc.to_string()))
}

/// Compares in constant time, under the parameters that the hash names.
fn verify(memory: &mut Vec<Block>, attempt: &[u8], hash: &PasswordHash) -> Result<bool, UserError> {
    let phc = Phc::new(hash.as_str()).map_err(UserError::failed)?;
    let (Some(salt), Some(expected)) = (&phc.salt, &phc.hash) else { return Ok(false) };
    let algorithm = Algorithm::try_from(phc.algorithm.as_str()).map_err(UserError::failed)?;
    let version = phc.version.map(Version::try_from).transpose().map_err(UserError::failed)?;
    let params = Params::try_from(&phc).map_err(UserError::failed)?;
    let argon2 = Argon2::new(algorithm, version.unwrap_or_default(), params);
    let computed = output(&argon2, memory, attempt, salt, expected.len())?;
    // An `Output` is compared in constant time.
    Ok(computed == *expected)
}

fn output(
    argon2: &Argon2<'_>,
    memory: &mut Vec<Block>,
    password: &[u8],
    salt: &[u8],
    length: usize,
) -> Result<Output, UserError> {
    memory.resize(argon2.params().block_count(), Block::default());
    let mut output = vec![0; length];
    argon2
        .hash_password_into_with_memory(password, salt, &mut output, memory.as_mut_slice())
        .map_err(UserError::failed)?;
    Output::new(&output).map_err(UserError::failed)
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
