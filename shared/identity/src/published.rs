//! Cache of a remote JWKS. Keeps the last known keys while the publisher is down and, if a cache
//! file is configured, across restarts.

use std::{
    fmt,
    future::Future,
    path::PathBuf,
    pin::Pin,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use time::OffsetDateTime;
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};

use crate::{Issues, Jwk, PublicKey, cache_file::CacheFile};

/// Background refresh interval. Publish a new key for longer than this before signing with it.
const REFRESH_INTERVAL: Duration = Duration::from_secs(5 * 60);

/// Minimum time between fetches. Bounds the load that tokens with unknown key ids can cause; also
/// the retry interval while the publisher is unreachable.
const MIN_FETCH_INTERVAL: Duration = Duration::from_secs(10);

/// Retry interval until the first successful fetch, while all user tokens are rejected.
const INITIAL_RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// Timeout of one fetch.
const FETCH_TIMEOUT: Duration = Duration::from_secs(3);

type Fetching<K> = Pin<Box<dyn Future<Output = Result<K, String>> + Send>>;

/// Source of published keys.
#[derive(Clone)]
pub struct KeySource(Arc<dyn Fn() -> Fetching<Vec<Jwk>> + Send + Sync>);

impl KeySource {
    /// Creates a source. `fetch` returns all currently published keys, or a human-readable reason.
    pub fn new<F, A>(fetch: F) -> Self
    where
        F: Fn() -> A + Send + Sync + 'static,
        A: Future<Output = Result<Vec<Jwk>, String>> + Send + 'static,
    {
        Self(Arc::new(move || Box::pin(fetch())))
    }
}

/// Returns the fetched keys that can verify tokens. The error is a human-readable reason.
async fn usable_keys(fetching: Fetching<Vec<Jwk>>) -> Result<Vec<PublicKey>, String> {
    let Ok(answer) = timeout(FETCH_TIMEOUT, fetching).await else {
        return Err(format!("no answer within {FETCH_TIMEOUT:?}"));
    };
    let keys: Vec<_> = answer?.iter().filter_map(Jwk::public_key).collect();
    // An empty set would reject every user. Treat it as an error of the publisher.
    if keys.is_empty() { Err("the response has no usable key".to_owned()) } else { Ok(keys) }
}

impl fmt::Debug for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeySource").finish_non_exhaustive()
    }
}

/// Keys of one publisher, from the last successful fetch.
#[derive(Debug)]
pub struct PublishedKeys {
    pub(crate) issuer: String,
    pub(crate) issues: Issues,
    source: KeySource,
    cached: RwLock<Cached>,
    /// Locked during a fetch, so that concurrent callers share its result.
    fetch_state: Mutex<FetchState>,
    cache_file: Option<Arc<CacheFile>>,
}

/// State of the latest fetch.
#[derive(Default)]
struct FetchState {
    /// Start of the running fetch, or end of the last one.
    at: Option<Instant>,
    /// The running fetch. It stays here if its caller is cancelled, so that the next caller
    /// waits for it instead of starting another.
    running: Option<Fetching<(Vec<PublicKey>, OffsetDateTime)>>,
}

impl fmt::Debug for FetchState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FetchState").field("at", &self.at).finish_non_exhaustive()
    }
}

/// Result of the fetches so far.
#[derive(Debug, Default)]
struct Cached {
    keys: Vec<PublicKey>,
    /// Time of the fetch of `keys`.
    at: Option<OffsetDateTime>,
    /// True if a fetch has succeeded since the start of the process.
    answered: bool,
    /// Reason why the latest fetch failed.
    last_error: Option<String>,
}

impl Cached {
    /// Returns the minimum time between fetches for tokens with unknown keys.
    fn min_interval(&self) -> Duration {
        if self.keys.is_empty() { INITIAL_RETRY_INTERVAL } else { MIN_FETCH_INTERVAL }
    }

    fn refresh_delay(&self) -> Duration {
        if self.answered && self.last_error.is_none() {
            REFRESH_INTERVAL
        } else {
            self.min_interval()
        }
    }
}

/// State of the keys of one publisher, for readiness and metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeysReport {
    /// Issuer whose tokens the keys verify.
    pub issuer: String,
    /// Number of known keys. While it is 0, all tokens of the issuer are rejected.
    pub keys: usize,
    /// Time of the last successful fetch.
    pub fetched_at: Option<OffsetDateTime>,
    /// Reason why the latest fetch failed.
    pub last_error: Option<String>,
}

impl KeysReport {
    /// Checks that at least one key is known.
    ///
    /// # Errors
    /// A human-readable reason if no key is known.
    pub fn ready(&self) -> Result<(), String> {
        if self.keys > 0 {
            return Ok(());
        }
        let why = self.last_error.as_deref().unwrap_or("not fetched yet");
        Err(format!("no key of {} is known: {why}", self.issuer))
    }
}

impl PublishedKeys {
    /// Creates an empty cache of the keys from `source`, which sign the tokens of `issuer`. Fetches
    /// nothing yet.
    pub fn new(issuer: &str, issues: Issues, source: KeySource) -> Self {
        Self {
            issuer: issuer.to_owned(),
            issues,
            source,
            cached: RwLock::default(),
            fetch_state: Mutex::default(),
            cache_file: None,
        }
    }

    /// Loads the keys that an earlier process cached in `file` less than a day ago, and stores
    /// later fetches there. Logs a warning if the file cannot be used.
    #[must_use]
    pub fn kept_in(self, file: PathBuf) -> Self {
        let cache_file = CacheFile::new(file);
        let cached = match cache_file.load() {
            Some((keys, at)) => Cached { keys, at: Some(at), ..Cached::default() },
            None => Cached::default(),
        };
        Self { cached: RwLock::new(cached), cache_file: Some(Arc::new(cache_file)), ..self }
    }

    pub(crate) fn find(&self, key_id: &str) -> Option<PublicKey> {
        self.cached().keys.iter().find(|key| key.key_id() == key_id).cloned()
    }

    pub(crate) fn report(&self) -> KeysReport {
        let Cached { keys, at, last_error, .. } = &*self.cached();
        KeysReport {
            issuer: self.issuer.clone(),
            keys: keys.len(),
            fetched_at: *at,
            last_error: last_error.clone(),
        }
    }

    /// Returns the time until the next background fetch.
    pub(crate) fn refresh_delay(&self) -> Duration {
        self.cached().refresh_delay()
    }

    /// Fetches the keys, unless the last fetch was within the minimum interval. Returns true if the
    /// keys changed.
    pub(crate) async fn refresh(&self) -> bool {
        let mut fetch_state = self.fetch_state.lock().await;
        let ago = fetch_state.at.map(|at| at.elapsed());
        // The result of an abandoned fetch may be outdated: discard it.
        if ago >= Some(FETCH_TIMEOUT) && fetch_state.running.take().is_some() {
            self.failed("the fetch was abandoned: no caller waited for it".to_owned());
        }
        if fetch_state.running.is_none()
            && ago.is_some_and(|ago| ago < self.cached().min_interval())
        {
            return false;
        }
        if fetch_state.running.is_none() {
            fetch_state.at = Some(Instant::now());
        }
        let answer = fetch_state.running.get_or_insert_with(|| self.start_fetch()).await;
        *fetch_state = FetchState { at: Some(Instant::now()), running: None };
        match answer {
            Ok((keys, at)) => self.replace(keys, at),
            Err(why) => {
                self.failed(why);
                false
            }
        }
    }

    fn start_fetch(&self) -> Fetching<(Vec<PublicKey>, OffsetDateTime)> {
        let (fetching, cache_file) = (usable_keys((self.source.0)()), self.cache_file.clone());
        Box::pin(async move {
            let keys = fetching.await?;
            let now = OffsetDateTime::now_utc();
            if let Some(cache_file) = cache_file {
                cache_file.store(&keys, now).await;
            }
            Ok((keys, now))
        })
    }

    fn failed(&self, why: String) {
        let issuer = &self.issuer;
        let mut cached = self.cached.write().unwrap_or_else(PoisonError::into_inner);
        if cached.last_error.is_none() {
            let known = cached.keys.len();
            tracing::warn!(
                issuer,
                why,
                known,
                "published keys not fetched, known keys stay in use"
            );
        }
        cached.last_error = Some(why);
    }

    fn replace(&self, keys: Vec<PublicKey>, now: OffsetDateTime) -> bool {
        let mut cached = self.cached.write().unwrap_or_else(PoisonError::into_inner);
        let changed = cached.keys != keys;
        if changed {
            let ids: Vec<_> = keys.iter().map(PublicKey::key_id).collect();
            tracing::info!(issuer = self.issuer, keys = ids.join(","), "published keys changed");
        } else if cached.last_error.is_some() {
            tracing::info!(issuer = self.issuer, "published keys fetched again");
        }
        *cached = Cached { keys, at: Some(now), answered: true, last_error: None };
        changed
    }

    fn cached(&self) -> std::sync::RwLockReadGuard<'_, Cached> {
        // Nothing panics while the lock is held.
        self.cached.read().unwrap_or_else(PoisonError::into_inner)
    }
}
