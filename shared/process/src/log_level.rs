//! Filter of the log, changed by signals and by the admin page.
//!
//! | signal | effect |
//! |---|---|
//! | SIGUSR1 | more lines: `debug`, or `trace` if the filter is `debug` already |
//! | SIGUSR2 | the filter of the settings, which are read again |
//!
//! SIGHUP is not used: it ends a process whose terminal is gone.

use std::{convert::Infallible, fmt::Display};

use gantry_server::Admin;
use gantry_telemetry::{Filter, LogFilter};
use tracing::warn;

/// Adds the page `/log-filter`.
pub fn with_log_filter(admin: Admin, filter: &LogFilter) -> Admin {
    let (shown, changed) = (filter.clone(), filter.clone());
    let change = move |text: String| {
        let filter = Filter::try_from(text).map_err(|invalid| invalid.to_string())?;
        changed.change(filter).map_err(|ended| ended.to_string())
    };
    admin.log_filter(move || shown.current().to_string(), change)
}

/// Signals that change the filter of the log.
#[derive(Debug)]
pub struct LogSignals(Signals);

impl LogSignals {
    /// Catches the signals, from this call on: without a handler they end the process.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn catch() -> Self {
        Self(Signals::catch())
    }

    /// Follows the signals for as long as it is polled. `read` reads the filter of the settings
    /// again. If that fails, the filter stays, and a warning has the error.
    pub async fn follow<E: Display>(
        mut self,
        filter: &LogFilter,
        read: impl Fn() -> Result<Filter, E>,
    ) -> Infallible {
        loop {
            let wanted = match self.0.next().await {
                Signal::More => more(&filter.current().to_string()).map_err(|e| e.to_string()),
                Signal::Restore => read().map_err(|error| error.to_string()),
            };
            let changed =
                wanted.and_then(|wanted| filter.change(wanted).map_err(|error| error.to_string()));
            if let Err(error) = changed {
                warn!(error, "log filter not changed");
            }
        }
    }
}

/// Returns the next filter with more lines.
fn more(current: &str) -> Result<Filter, gantry_telemetry::InvalidFilter> {
    let filter = if ["debug", "trace"].contains(&current) { "trace" } else { "debug" };
    Filter::try_from(filter.to_owned())
}

/// Wish of a signal's sender.
enum Signal {
    More,
    Restore,
}

#[cfg(unix)]
#[derive(Debug)]
struct Signals {
    more: tokio::signal::unix::Signal,
    restore: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    #[expect(clippy::expect_used, reason = "both are signals that can be caught")]
    fn catch() -> Self {
        use tokio::signal::unix::{SignalKind, signal};
        let caught = |kind| signal(kind).expect("this signal can be caught");
        Self {
            more: caught(SignalKind::user_defined1()),
            restore: caught(SignalKind::user_defined2()),
        }
    }

    async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.more.recv() => Signal::More,
            _ = self.restore.recv() => Signal::Restore,
        }
    }
}

#[cfg(not(unix))]
#[derive(Debug)]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn catch() -> Self {
        Self
    }

    async fn next(&mut self) -> Signal {
        std::future::pending().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_signal_shows_more_up_to_everything() {
        for (current, next) in [
            ("info", "debug"),
            ("warn,gantry_sql=trace", "debug"),
            ("debug", "trace"),
            ("trace", "trace"),
        ] {
            assert_eq!(more(current).unwrap().to_string(), next);
        }
    }
}
