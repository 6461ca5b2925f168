//! A configuration that follows its files.

use std::{
    convert::Infallible,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use tokio::{task::spawn_blocking, time::sleep};

use crate::files::{Contents, Files, InvalidTls, Mark};

type Build<C> = Box<dyn Fn(&Contents) -> Result<C, InvalidTls> + Send + Sync>;

/// A configuration as its files last allowed one.
pub struct Live<C> {
    current: ArcSwap<C>,
    /// The [`Mark`] of what is current.
    loaded: AtomicU64,
    files: Files,
    build: Build<C>,
    interval: Duration,
}

impl<C> Live<C> {
    pub(crate) fn load(
        files: Files,
        interval: Duration,
        build: impl Fn(&Contents) -> Result<C, InvalidTls> + Send + Sync + 'static,
    ) -> Result<Self, InvalidTls> {
        let read = files.read();
        let loaded = AtomicU64::new(Mark::of(&read).0);
        let current = ArcSwap::from_pointee(build(&read?)?);
        Ok(Self { current, loaded, files, build: Box::new(build), interval })
    }

    /// What a new connection is to use.
    pub fn current(&self) -> Arc<C> {
        self.current.load_full()
    }

    /// Follows the files for as long as it is polled; never ends by itself.
    pub async fn follow(&self) -> Infallible {
        let mut refused = Refused::default();
        loop {
            sleep(self.interval).await;
            let files = self.files.clone();
            let read = match spawn_blocking(move || files.read()).await {
                Ok(read) => read,
                // The runtime ends, and this with it.
                Err(_) => continue,
            };
            let mark = Mark::of(&read);
            if mark.0 == self.loaded.load(Ordering::Relaxed) {
                refused = Refused::default();
                continue;
            }
            match read.and_then(|contents| (self.build)(&contents)) {
                Ok(config) => {
                    self.current.store(Arc::new(config));
                    self.loaded.store(mark.0, Ordering::Relaxed);
                    refused = Refused::default();
                    tracing::info!("certificates reloaded");
                }
                Err(InvalidTls { key, why }) => {
                    if refused.is_to_be_told(mark) {
                        tracing::warn!(key, why, "certificates not reloaded, the old ones stay");
                    }
                }
            }
        }
    }
}

/// The state of the files that was refused last, and how often.
#[derive(Default)]
struct Refused(Option<(Mark, u32)>);

impl Refused {
    /// Whether this is the time to say so: the second, for the first may only have come
    /// between the writing of one file and of the next.
    fn is_to_be_told(&mut self, mark: Mark) -> bool {
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
    fn bad_files_are_spoken_of_once_and_not_before_they_are_seen_twice() {
        let wrong =
            |why: &str| Mark::of(&Err(InvalidTls { key: "cert_file", why: why.to_owned() }));
        let (first, second) = (wrong("first"), wrong("second"));
        let mut refused = Refused::default();
        let told = |refused: &mut Refused, marks: &[Mark]| -> Vec<bool> {
            marks.iter().map(|mark| refused.is_to_be_told(*mark)).collect()
        };
        assert_eq!(told(&mut refused, &[first; 4]), [false, true, false, false]);
        assert_eq!(told(&mut refused, &[second, second, second]), [false, true, false]);
        // A file that is still being written looks different each time.
        assert_eq!(told(&mut refused, &[first, second, first]), [false, false, false]);
    }
}
