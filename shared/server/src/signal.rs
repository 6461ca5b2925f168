//! Signals that end a process.
//!
//! | signal | first | second |
//! |---|---|---|
//! | SIGTERM, SIGINT (Ctrl-C) | begins the drain | ends the process at once (exit code 143) |
//! | SIGHUP (its terminal is gone) | begins the drain | nothing: a closing terminal sends several |
//!
//! A process started with SIGHUP ignored (`nohup`) keeps ignoring it.

use std::{future::Future, process, time::Duration};

use tracing::warn;

/// Exit code after a second signal during the drain: 128 plus the number of SIGTERM.
const CUT_SHORT: i32 = 143;

/// Time for the log's thread to write the last line.
const LAST_LINE: Duration = Duration::from_millis(50);

/// Resolves at the first signal that ends the process: SIGTERM, Ctrl-C or SIGHUP. From then on,
/// SIGTERM or Ctrl-C ends the process at once: a second signal means that its sender does not want
/// to wait.
///
/// Signals are caught from this call on, not from the first poll. Call it first in main: process 1
/// of a container loses signals that it does not catch yet.
///
/// # Panics
/// Outside of a tokio runtime.
pub fn shutdown_signal() -> impl Future<Output = ()> + Send + 'static {
    let mut signals = Signals::catch();
    async move {
        signals.first().await;
        // Runs until the process ends.
        tokio::spawn(async move {
            signals.second().await;
            warn!("second signal: ending without waiting for the drain");
            // A separate thread writes the log.
            tokio::time::sleep(LAST_LINE).await;
            process::exit(CUT_SHORT);
        });
    }
}

#[cfg(unix)]
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    hangup: Option<tokio::signal::unix::Signal>,
}

#[cfg(unix)]
impl Signals {
    #[expect(clippy::expect_used, reason = "all three are signals that can be caught")]
    fn catch() -> Self {
        use tokio::signal::unix::{SignalKind, signal};
        let hangup = SignalKind::hangup();
        let caught = |kind| signal(kind).expect("this signal can be caught");
        Self {
            terminate: caught(SignalKind::terminate()),
            interrupt: caught(SignalKind::interrupt()),
            hangup: (!is_ignored(hangup.as_raw_value())).then(|| caught(hangup)),
        }
    }

    async fn first(&mut self) {
        let hung_up = async {
            match &mut self.hangup {
                Some(signal) => drop(signal.recv().await),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
            () = hung_up => {}
        }
    }

    async fn second(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Returns true if the process was started with this signal ignored. Only Linux reports it;
/// elsewhere the signal counts as not ignored.
#[cfg(unix)]
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    ignored_in(&status, signal)
}

/// Parses `SigIgn: 0000000000000001`, a mask whose lowest bit is signal 1 (proc(5)).
#[cfg(unix)]
fn ignored_in(status: &str, signal: i32) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
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

    async fn first(&mut self) {
        self.interrupt.recv().await;
    }

    async fn second(&mut self) {
        self.interrupt.recv().await;
    }
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mask_of_ignored_signals_is_read() {
        let status = "Name:\tx\nSigBlk:\t0000000000000001\nSigIgn:\t0000000000001001\n";
        assert!(ignored_in(status, 1) && ignored_in(status, 13));
        assert!(!ignored_in(status, 15) && !ignored_in("", 1));
    }
}
