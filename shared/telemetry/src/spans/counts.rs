//! Counts of exported and dropped spans.
//!
//! The counts are process-wide, like the subscriber. The metrics therefore need no handle to the
//! exporter.

use std::sync::atomic::{AtomicU64, Ordering};

/// Reason for dropping a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// The queue was full: the collector is too slow or away, or there are too many spans.
    QueueFull,
    /// The batch could not be delivered.
    ExportFailed,
    /// The collector refused the span.
    Rejected,
}

static DROPPED: [AtomicU64; 3] = [const { AtomicU64::new(0) }; 3];
static EXPORTED: AtomicU64 = AtomicU64::new(0);

impl Reason {
    pub(crate) const ALL: [Self; 3] = [Self::QueueFull, Self::ExportFailed, Self::Rejected];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::ExportFailed => "export_failed",
            Self::Rejected => "rejected",
        }
    }
}

pub(super) fn count_dropped(reason: Reason, spans: u64) {
    DROPPED[reason as usize].fetch_add(spans, Ordering::Relaxed);
}

pub(super) fn count_exported(spans: u64) {
    EXPORTED.fetch_add(spans, Ordering::Relaxed);
}

/// Returns the number of spans that this process dropped for a reason.
pub(crate) fn dropped(reason: Reason) -> u64 {
    DROPPED[reason as usize].load(Ordering::Relaxed)
}

/// Returns the number of spans that a collector accepted.
pub(crate) fn exported() -> u64 {
    EXPORTED.load(Ordering::Relaxed)
}
