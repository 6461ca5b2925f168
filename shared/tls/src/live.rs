//! A configuration that is reloaded when its files change.

use std::{
    convert::Infallible,
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use tokio::{task::spawn_blocking, time::sleep};

use crate::files::{Contents, Files, InvalidTls, Mark};

type Build<C> = Box<dyn Fn(&Contents) -> Result<C, InvalidTls> + Send + Sync>;

/// Configuration from the latest valid content of its files.
pub struct Live<C> {
    current: ArcSwap<C>,
    /// [`Mark`] of the files of the current configuration.
    loaded: AtomicU64,
    followed: Mutex<Followed>,
    files: Files,
    build: Build<C>,
    interval: Duration,
}

/// State of the files and of their reloads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Followed {
    /// Earliest expiry of the certificate in use and its intermediate certificates, in seconds
    /// since 1970. None if this side has no certificate.
    pub expires_at: Option<i64>,
    /// Number of changes that were loaded.
    pub reloads: u64,
    /// Number of changes that were rejected.
    pub failures: u64,
    /// True if the current content of the files was rejected.
    pub is_refused: bool,
}

impl<C> Live<C> {
    pub(crate) fn load(
        files: Files,
        interval: Duration,
        build: impl Fn(&Contents) -> Result<C, InvalidTls> + Send + Sync + 'static,
    ) -> Result<Self, InvalidTls> {
        let read = files.read();
        let loaded = AtomicU64::new(Mark::of(&read).0);
        let contents = read?;
        files.inspect_secret()?;
        let current = ArcSwap::from_pointee(build(&contents)?);
        let expires_at = contents.expires_at();
        let followed = Mutex::new(Followed { expires_at, ..Followed::default() });
        Ok(Self { current, loaded, followed, files, build: Box::new(build), interval })
    }

    /// Returns the state of the files and of their reloads.
    pub fn followed(&self) -> Followed {
        *self.followed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, what: impl FnOnce(&mut Followed)) {
        what(&mut self.followed.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Returns the configuration for a new connection.
    pub fn current(&self) -> Arc<C> {
        self.current.load_full()
    }

    /// Reloads changed files while it is polled. Never completes.
    pub async fn follow(&self) -> Infallible {
        let mut refused = Refused::default();
        loop {
            sleep(self.interval).await;
            let files = self.files.clone();
            let read = match spawn_blocking(move || files.read()).await {
                Ok(read) => read,
                // The runtime is shutting down and will drop this future.
                Err(_) => continue,
            };
            let mark = Mark::of(&read);
            if mark.0 == self.loaded.load(Ordering::Relaxed) {
                refused = Refused::default();
                self.note(|followed| followed.is_refused = false);
                continue;
            }
            let built =
                read.and_then(|contents| Ok(((self.build)(&contents)?, contents.expires_at())));
            match built {
                Ok((config, expires_at)) => {
                    self.current.store(Arc::new(config));
                    self.loaded.store(mark.0, Ordering::Relaxed);
                    refused = Refused::default();
                    self.note(|followed| {
                        let reloads = followed.reloads + 1;
                        let is_refused = false;
                        *followed = Followed { expires_at, reloads, is_refused, ..*followed };
                    });
                    tracing::info!(files = %self.files, "certificates reloaded");
                }
                Err(InvalidTls { key, why }) => {
                    if refused.must_report(mark) {
                        self.note(|followed| {
                            followed.failures += 1;
                            followed.is_refused = true;
                        });
                        tracing::warn!(
                            key,
                            why,
                            "certificates not reloaded, previous ones stay in use"
                        );
                    }
                }
            }
        }
    }
}

/// Last rejected content of the files, and the number of checks that found it.
#[derive(Default)]
struct Refused(Option<(Mark, u32)>);

impl Refused {
    /// Returns true at the second check that finds the same content. The first check may have run
    /// after the write of a certificate and before the write of its key.
    fn must_report(&mut self, mark: Mark) -> bool {
        let times = match self.0 {
            Some((refused, times)) if refused == mark => times.saturating_add(1),
            _ => 1,
        };
        self.0 = Some((mark, times));
        times == 2
    }
}

impl<C> fmt::Debug for Live<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live").field("files", &self.files).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_files_are_reported_once_at_the_second_check() {
        let wrong =
            |why: &str| Mark::of(&Err(InvalidTls { key: "cert_file", why: why.to_owned() }));
        let (first, second) = (wrong("first"), wrong("second"));
        let mut refused = Refused::default();
        let reports = |refused: &mut Refused, marks: &[Mark]| -> Vec<bool> {
            marks.iter().map(|mark| refused.must_report(*mark)).collect()
        };
        assert_eq!(reports(&mut refused, &[first; 4]), [false, true, false, false]);
        assert_eq!(reports(&mut refused, &[second, second, second]), [false, true, false]);
        // A file that is still being written is different at each check.
        assert_eq!(reports(&mut refused, &[first, second, first]), [false, false, false]);
    }
}
