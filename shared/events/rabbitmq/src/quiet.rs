//! Silence of the client library while it sends the password.
//!
//! The library's thread logs each frame at level TRACE, and the frame of the authentication holds the
//! password. Failures of that time reach the caller as errors.

use std::{
    cell::RefCell,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tracing::subscriber::{DefaultGuard, NoSubscriber, set_default};

thread_local! {
    static SILENCE: RefCell<Option<DefaultGuard>> = const { RefCell::new(None) };
}

/// Silence of one thread of the library, which begins there and ends elsewhere.
#[derive(Clone, Debug, Default)]
pub(crate) struct Silence {
    has_ended: Arc<AtomicBool>,
}

impl Silence {
    /// Silences the current thread.
    pub(crate) fn begin() {
        SILENCE.set(Some(set_default(NoSubscriber::new())));
    }

    /// Lets the thread log from its next look on.
    pub(crate) fn end(&self) {
        self.has_ended.store(true, Ordering::Relaxed);
    }

    /// Ends the silence of the current thread if it has ended.
    pub(crate) fn look(&self) {
        if self.has_ended.load(Ordering::Relaxed) && SILENCE.with_borrow(Option::is_some) {
            drop(SILENCE.take());
        }
    }
}
