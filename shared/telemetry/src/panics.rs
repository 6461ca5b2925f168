//! Panics as log lines.
//!
//! The default hook writes to stderr directly. The write blocks if nobody reads stderr, and a
//! collector of JSON lines cannot parse it.

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    panic::{self, PanicHookInfo},
    sync::Arc,
    thread,
};

use tracing::Level;

use crate::{
    line::{Line, Style},
    output::Queue,
};

/// Installs a hook that logs each panic of the process regardless of the filter. With
/// `RUST_BACKTRACE=1` the line includes a backtrace.
pub(crate) fn log(style: Style, queue: Arc<Queue>) {
    panic::set_hook(Box::new(move |info| queue.push(Level::ERROR, &style.render(&line(info)))));
}

fn line(info: &PanicHookInfo<'_>) -> Line {
    let backtrace = Backtrace::capture();
    let backtrace =
        (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
    Line::own(Level::ERROR, "a thread panicked")
        .with("panic", info.payload_as_str().unwrap_or("no message"))
        .with("thread", thread::current().name())
        .with("location", info.location().map(ToString::to_string))
        .with("backtrace", backtrace)
}
