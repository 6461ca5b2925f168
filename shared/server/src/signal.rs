//! When the operating system wants the process to end.

use std::{future::Future, process, time::Duration};

use tracing::warn;

/// What a process says that was told to end and did not wait for its drain: 128
/// and the number of SIGTERM.
const CUT_SHORT: i32 = 143;

/// Time for the last line of the log to be written.
const LAST_LINE: Duration = Duration::from_millis(50);

/// Resolves at the first SIGTERM or Ctrl-C. From then on a second one ends the
/// process at once: whoever asks twice does not want to wait.
///
/// Signals are caught from this call on, not from the first poll.
///
/// # Panics
/// Outside of a tokio runtime.
pub fn shutdown_signal() -> impl Future<Output = ()> + Send + 'static {
    let mut signals = Signals::catch();
    async move {
        signals.next().await;
        // Owned by the process, which it may outlive by no instruction.
        tokio::spawn(async move {
            signals.next().await;
            warn!("told to end a second time: not waiting for the drain");
            // The log is written by a thread of its own.
            tokio::time::sleep(LAST_LINE).await;
            process::exit(CUT_SHORT);
        });
    }
}

#[cfg(unix)]
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    #[expect(clippy::expect_used, reason = "both are signals that can be caught")]
    fn catch() -> Self {
        use tokio::signal::unix::{SignalKind, signal};
        Self {
            terminate: signal(SignalKind::terminate()).expect("SIGTERM can be caught"),
            interrupt: signal(SignalKind::interrupt()).expect("SIGINT can be caught"),
        }
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

#[cfg(windows)]
struct Signals {
    interrupt: tokio::signal::windows::CtrlC,
}

#[cfg(windows)]
impl Signals {
    #[expect(clippy::expect_used, reason = "a process has room for a handler")]
    fn catch() -> Self {
        Self { interrupt: tokio::signal::windows::ctrl_c().expect("Ctrl-C can be caught") }
    }

    async fn next(&mut self) {
        self.interrupt.recv().await;
    }
}
