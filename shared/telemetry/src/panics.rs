//! Panics as lines of the log.
//!
//! std's own hook writes to stderr, which blocks if nobody reads it, and in a form that no collector of JSON
//! lines understands.

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

/// Has each panic of the process logged, whatever the filter says. With `RUST_BACKTRACE=1`, the line has a
/// backtrace.
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
