//! Keys that somebody publishes (a JWKS), kept through the outages of whoever does.

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use async_trait::async_trait;
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};

use crate::{Issues, PublicKey};

/// How often the publisher is asked without a reason. A key that is published for longer
/// before it signs is known everywhere by then.
pub(crate) const REFRESH: Duration = Duration::from_secs(5 * 60);

/// The least time between two questions, whoever brings tokens of unknown keys: it bounds
/// what strangers can make us ask.
const PAUSE: Duration = Duration::from_secs(10);

/// The same before the first answer, when every user is turned away.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// How long the publisher may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// Where published keys are fetched from; the consumer's port.
#[async_trait]
pub trait KeySource: fmt::Debug + Send + Sync {
    /// All keys that are published now.
    ///
    /// # Errors
    /// Why they cannot be had, in words.
    async fn keys(&self) -> Result<Vec<PublicKey>, String>;
}

/// The keys of one publisher, as last heard.
#[derive(Debug)]
pub struct PublishedKeys {
    pub(crate) issuer: String,
    pub(crate) issues: Issues,
    source: Arc<dyn KeySource>,
    current: RwLock<Vec<PublicKey>>,
    /// When it was asked last, and whether it failed then. Held while it is asked, so that
    /// whoever comes meanwhile waits for that answer.
    asked: Mutex<Option<Asked>>,
}

#[derive(Debug)]
struct Asked {
    at: Instant,
    failed: bool,
}

impl PublishedKeys {
    /// The keys that `source` publishes may sign what `issuer` issues. None is known yet.
    pub fn new(issuer: &str, issues: Issues, source: Arc<dyn KeySource>) -> Self {
        Self {
            issuer: issuer.to_owned(),
            issues,
            source,
            current: RwLock::default(),
            asked: Mutex::default(),
        }
    }

    pub(crate) fn find(&self, key_id: &str) -> Option<PublicKey> {
        self.current().iter().find(|key| key.key_id() == key_id).cloned()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.current().is_empty()
    }

    /// Asks the publisher, unless that was done a moment ago. Says whether keys changed.
    pub(crate) async fn refresh(&self) -> bool {
        let mut asked = self.asked.lock().await;
        let pause = if self.is_empty() { FIRST_PAUSE } else { PAUSE };
        if asked.as_ref().is_some_and(|asked| asked.at.elapsed() < pause) {
            return false;
        }
        let had_failed = asked.as_ref().is_some_and(|asked| asked.failed);
        let answer = match timeout(PATIENCE, self.source.keys()).await {
            // Nobody can log in anywhere without a key: such an answer is a mistake.
            Ok(Ok(keys)) if keys.is_empty() => Err("it publishes none".to_owned()),
            Ok(answer) => answer,
            Err(_) => Err(format!("no answer within {PATIENCE:?}")),
        };
        *asked = Some(Asked { at: Instant::now(), failed: answer.is_err() });
        match answer {
            Ok(keys) => self.replace(keys),
            Err(why) => {
                if !had_failed {
                    tracing::warn!(
                        issuer = self.issuer,
                        why,
                        "published keys not fetched, those known stay"
                    );
                }
                false
            }
        }
    }

    fn replace(&self, keys: Vec<PublicKey>) -> bool {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if *current == keys {
            return false;
        }
        let ids: Vec<_> = keys.iter().map(PublicKey::key_id).collect();
        tracing::info!(issuer = self.issuer, keys = ids.join(","), "published keys changed");
        *current = keys;
        true
    }

    fn current(&self) -> std::sync::RwLockReadGuard<'_, Vec<PublicKey>> {
        // Nothing panics while the lock is held.
        self.current.read().unwrap_or_else(PoisonError::into_inner)
    }
}
