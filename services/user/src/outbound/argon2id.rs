//! Password hashes with Argon2id.
//!
//! - A hash costs tens of milliseconds of a processor and megabytes of memory. It runs on a thread
//!   for blocking work, and only [`parallel`](HashSettings::parallel) run at a time. A caller that
//!   cancels while waiting frees its place. A running hash keeps its place until it ends, because it
//!   holds its memory until then.
//! - The queue is bounded: a longer one would only hash for callers that have given up.
//! - Memory is allocated once per concurrent hash and reused. An allocator would keep freed memory
//!   once per thread.
//! - An attempt for an unknown user is compared with a made-up hash under the current parameters, so
//!   that it takes as long as any other.

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
use gantry_config::{Check, Problems};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::{sync::Semaphore, task};

use crate::{
    application::{PasswordHasher, UserError},
    domain::{Password, PasswordAttempt, PasswordHash},
};

/// Cost of a hash, and limits of concurrent hashes.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HashSettings {
    /// Memory of one hash, in KiB (m).
    pub memory_kib: u32,
    /// Passes over the memory (t).
    pub iterations: u32,
    /// Lanes (p).
    pub lanes: u32,
    /// Maximum number of running hashes, each with its own thread and memory.
    pub parallel: usize,
    /// Maximum number of waiting callers.
    pub waiting: usize,
}

impl HashSettings {
    /// Returns the least memory, in KiB, with which a hash of this number of passes resists guessing:
    /// OWASP's equivalent parameters.
    pub fn least_memory_kib(&self) -> u32 {
        match self.iterations {
            0 | 1 => 47_104,
            2 => 19_456,
            3 => 12_288,
            4 => 9_216,
            _ => 7_168,
        }
    }
}

impl Check for HashSettings {
    fn check(&self, problems: &mut Problems) {
        /// Most KiB that one hash passes over: some seconds of a processor.
        const MAX_WORK: u64 = 4 * 1024 * 1024;
        /// Most KiB of all running hashes: 16 GiB.
        const MAX_MEMORY: u64 = 16 * 1024 * 1024;
        let memory = u64::from(self.memory_kib);
        let most = |total: u64| total / memory.max(1);
        if memory < u64::from(self.lanes) * 8 {
            problems.expected("memory_kib", "at least 8 for each lane");
        }
        if u64::from(self.iterations) > most(MAX_WORK) {
            let most = most(MAX_WORK);
            let why = format!("at most {most} with this memory_kib: one hash would take too long");
            problems.expected("iterations", why);
        }
        if self.parallel as u64 > most(MAX_MEMORY) {
            let most = most(MAX_MEMORY);
            let why = format!("at most {most} with this memory_kib: together at most 16 GiB");
            problems.expected("parallel", why);
        }
    }
}

/// Password hasher.
pub struct Argon2id {
    argon2: Argon2<'static>,
    /// Hash for attempts of unknown users.
    nobodys: PasswordHash,
    /// Memory of hashes that are not running, one entry per concurrent hash so far.
    memory: Arc<Mutex<Vec<Vec<Block>>>>,
    /// One permit for each running or waiting hash.
    places: Arc<Semaphore>,
    /// One permit for each running hash.
    turns: Arc<Semaphore>,
}

impl Argon2id {
    /// Creates the hasher. Makes one hash, for unknown users.
    ///
    /// # Errors
    /// [`UserError::Failed`] if the parameters are not Argon2's, or the system has no randomness or too
    /// little memory.
    pub async fn new(settings: &HashSettings) -> Result<Self, UserError> {
        let HashSettings { memory_kib, iterations, lanes, parallel, waiting } = *settings;
        let params = Params::new(memory_kib, iterations, lanes, None).map_err(UserError::failed)?;
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

    /// Does the work when a turn is free.
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
            // Nothing panics under the lock, so a poisoned one is intact.
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
        attempt: PasswordAttempt,
        hash: Option<PasswordHash>,
    ) -> Result<bool, UserError> {
        // The made-up hash has a password too, but no user.
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

/// Hashes with a new salt.
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

/// Compares in constant time, with the parameters in the hash.
fn verify(memory: &mut Vec<Block>, attempt: &[u8], hash: &PasswordHash) -> Result<bool, UserError> {
    let phc = Phc::new(hash.as_str()).map_err(UserError::failed)?;
    let (Some(salt), Some(expected)) = (&phc.salt, &phc.hash) else { return Ok(false) };
    let algorithm = Algorithm::try_from(phc.algorithm.as_str()).map_err(UserError::failed)?;
    let version = phc.version.map(Version::try_from).transpose().map_err(UserError::failed)?;
    let params = Params::try_from(&phc).map_err(UserError::failed)?;
    let argon2 = Argon2::new(algorithm, version.unwrap_or_default(), params);
    let computed = output(&argon2, memory, attempt, salt, expected.len())?;
    // `Output` compares in constant time.
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

/// Runs `work` on a thread for blocking work.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, UserError> + Send + 'static,
) -> Result<T, UserError> {
    match task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(UserError::failed(error)),
    }
}
