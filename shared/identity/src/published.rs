//! Keys that somebody publishes (a JWKS), kept through the outages of whoever does, and
//! where there is a file for them through our own restarts as well.

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

use crate::{Issues, Jwk, PublicKey, kept::Kept};

/// How often the publisher is asked without a reason. A key that is published for longer
/// before it signs is known everywhere by then.
const REFRESH: Duration = Duration::from_secs(5 * 60);

/// The least time between two questions, whoever brings tokens of unknown keys: it bounds
/// what strangers can make us ask. While nobody answers the publisher is asked so often.
const PAUSE: Duration = Duration::from_secs(10);

/// The same before the first answer, when every user is turned away.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// How long the publisher may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);

type Fetching<K> = Pin<Box<dyn Future<Output = Result<K, String>> + Send>>;

/// Where published keys are fetched from.
#[derive(Clone)]
pub struct KeySource(Arc<dyn Fn() -> Fetching<Vec<Jwk>> + Send + Sync>);

impl KeySource {
    /// Fetches all keys that are published now, or says in words why they cannot be had.
    pub fn new<F, A>(fetch: F) -> Self
    where
        F: Fn() -> A + Send + Sync + 'static,
        A: Future<Output = Result<Vec<Jwk>, String>> + Send + 'static,
    {
        Self(Arc::new(move || Box::pin(fetch())))
    }
}

/// The keys of an answer that we could check a token with.
async fn usable(fetching: Fetching<Vec<Jwk>>) -> Result<Vec<PublicKey>, String> {
    let Ok(answer) = timeout(PATIENCE, fetching).await else {
        return Err(format!("no answer within {PATIENCE:?}"));
    };
    let keys: Vec<_> = answer?.iter().filter_map(Jwk::public_key).collect();
    // Nobody can log in anywhere without a key: such an answer is a mistake.
    if keys.is_empty() { Err("it publishes none".to_owned()) } else { Ok(keys) }
}

impl fmt::Debug for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeySource").finish_non_exhaustive()
    }
}

/// The keys of one publisher, as last heard.
#[derive(Debug)]
pub struct PublishedKeys {
    pub(crate) issuer: String,
    pub(crate) issues: Issues,
    source: KeySource,
    heard: RwLock<Heard>,
    /// Held while it is asked, so that whoever comes meanwhile waits for that answer.
    asked: Mutex<Asked>,
    kept: Option<Arc<Kept>>,
}

/// How the publisher was asked last.
#[derive(Default)]
struct Asked {
    /// When, until it answers, and then when it did.
    at: Option<Instant>,
    /// What is still on its way. It stays here where whoever waits for it gives up: calls are
    /// given up at any moment, and the next one is to wait for it and not to ask again.
    under_way: Option<Fetching<(Vec<PublicKey>, OffsetDateTime)>>,
}

impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asked").field("at", &self.at).finish_non_exhaustive()
    }
}

/// What was heard of a publisher.
#[derive(Debug, Default)]
struct Heard {
    keys: Vec<PublicKey>,
    /// When these were its keys.
    at: Option<OffsetDateTime>,
    /// Whether it has answered since we started.
    answered: bool,
    /// Why it did not answer when it was asked last.
    trouble: Option<String>,
}

impl Heard {
    /// How long the publisher is left alone, whoever brings tokens of unknown keys.
    fn pause(&self) -> Duration {
        if self.keys.is_empty() { FIRST_PAUSE } else { PAUSE }
    }

    fn rest(&self) -> Duration {
        if self.answered && self.trouble.is_none() { REFRESH } else { self.pause() }
    }
}

/// What is known of the keys that somebody publishes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeysReport {
    /// Whom the keys speak for.
    pub issuer: String,
    /// How many there are. While there is none, no token of the issuer's is believed.
    pub keys: usize,
    /// When they were fetched.
    pub fetched_at: Option<OffsetDateTime>,
    /// Why the publisher did not answer when it was asked last.
    pub trouble: Option<String>,
}

impl KeysReport {
    /// Whether there are keys to believe.
    ///
    /// # Errors
    /// Why there are none, in words.
    pub fn ready(&self) -> Result<(), String> {
        if self.keys > 0 {
            return Ok(());
        }
        let why = self.trouble.as_deref().unwrap_or("its publisher was not asked yet");
        Err(format!("no key of {} is known: {why}", self.issuer))
    }
}

impl PublishedKeys {
    /// The keys that `source` publishes may sign what `issuer` issues. None is known yet.
    pub fn new(issuer: &str, issues: Issues, source: KeySource) -> Self {
        Self {
            issuer: issuer.to_owned(),
            issues,
            source,
            heard: RwLock::default(),
            asked: Mutex::default(),
            kept: None,
        }
    }

    /// Begins with the keys that an earlier start left in this file less than a day ago, and
    /// leaves there what it hears. A file that cannot be used is one warning.
    #[must_use]
    pub fn kept_in(self, file: PathBuf) -> Self {
        let kept = Kept::new(file);
        let heard = match kept.load() {
            Some((keys, at)) => Heard { keys, at: Some(at), ..Heard::default() },
            None => Heard::default(),
        };
        Self { heard: RwLock::new(heard), kept: Some(Arc::new(kept)), ..self }
    }

    pub(crate) fn find(&self, key_id: &str) -> Option<PublicKey> {
        self.heard().keys.iter().find(|key| key.key_id() == key_id).cloned()
    }

    pub(crate) fn report(&self) -> KeysReport {
        let Heard { keys, at, trouble, .. } = &*self.heard();
        KeysReport {
            issuer: self.issuer.clone(),
            keys: keys.len(),
            fetched_at: *at,
            trouble: trouble.clone(),
        }
    }

    /// How long it is left alone without a reason.
    pub(crate) fn rest(&self) -> Duration {
        self.heard().rest()
    }

    /// Asks the publisher, unless that was done a moment ago. Says whether keys changed.
    pub(crate) async fn refresh(&self) -> bool {
        let mut asked = self.asked.lock().await;
        let ago = asked.at.map(|at| at.elapsed());
        // What it said when nobody waited any more may be so no longer.
        if ago >= Some(PATIENCE) && asked.under_way.take().is_some() {
            self.failed("nobody waited for the answer".to_owned());
        }
        if asked.under_way.is_none() && ago.is_some_and(|ago| ago < self.heard().pause()) {
            return false;
        }
        if asked.under_way.is_none() {
            asked.at = Some(Instant::now());
        }
        let answer = asked.under_way.get_or_insert_with(|| self.ask()).await;
        *asked = Asked { at: Some(Instant::now()), under_way: None };
        match answer {
            Ok((keys, at)) => self.replace(keys, at),
            Err(why) => {
                self.failed(why);
                false
            }
        }
    }

    fn ask(&self) -> Fetching<(Vec<PublicKey>, OffsetDateTime)> {
        let (fetching, kept) = (usable((self.source.0)()), self.kept.clone());
        Box::pin(async move {
            let keys = fetching.await?;
            let now = OffsetDateTime::now_utc();
            if let Some(kept) = kept {
                kept.store(&keys, now).await;
            }
            Ok((keys, now))
        })
    }

    fn failed(&self, why: String) {
        let issuer = &self.issuer;
        let mut heard = self.heard.write().unwrap_or_else(PoisonError::into_inner);
        if heard.trouble.is_none() {
            let known = heard.keys.len();
            tracing::warn!(issuer, why, known, "published keys not fetched, those known stay");
        }
        heard.trouble = Some(why);
    }

    fn replace(&self, keys: Vec<PublicKey>, now: OffsetDateTime) -> bool {
        let mut heard = self.heard.write().unwrap_or_else(PoisonError::into_inner);
        let changed = heard.keys != keys;
        if changed {
            let ids: Vec<_> = keys.iter().map(PublicKey::key_id).collect();
            tracing::info!(issuer = self.issuer, keys = ids.join(","), "published keys changed");
        } else if heard.trouble.is_some() {
            tracing::info!(issuer = self.issuer, "published keys are fetched again");
        }
        *heard = Heard { keys, at: Some(now), answered: true, trouble: None };
        changed
    }

    fn heard(&self) -> std::sync::RwLockReadGuard<'_, Heard> {
        // Nothing panics while the lock is held.
        self.heard.read().unwrap_or_else(PoisonError::into_inner)
    }
}
