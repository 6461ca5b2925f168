//! Rate limit of log lines by kind.
//!
//! A flood of refused calls or broken connections must not fill the disk or hide other lines. In
//! each second the first [`PER_SECOND`] lines of a kind are written and the rest are counted. One
//! line per [`INTERVAL`] reports the count.
//!
//! A kind is a place in the source and, if the event has one, its field `log.kind`. The limit
//! applies to:
//!
//! - events with a `log.kind`, of any level;
//! - all warnings;
//! - errors of the libraries that handle connections, because peers can cause them.
//!
//! All other lines are always written.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tracing::{Level, Metadata, callsite::Identifier};

use crate::{
    dropped::{self, Reason},
    line::Line,
};

/// Maximum number of lines per kind and second.
const PER_SECOND: u32 = 10;

/// Interval of the lines that report omitted lines.
pub(crate) const INTERVAL: Duration = Duration::from_secs(10);

/// Maximum number of kinds tracked with their `log.kind`. Further kinds are distinguished only by
/// their place in the source.
const MAX_KINDS: usize = 256;

/// Libraries that log errors for events that a peer can cause at will.
const CONNECTION_LIBRARIES: [&str; 6] =
    ["h2", "hyper", "hyper_util", "rustls", "tokio_rustls", "tonic"];

/// Counts of lines by kind.
#[derive(Debug, Default)]
pub(crate) struct Limiter(Mutex<HashMap<Kind, Window>>);

type Kind = (Identifier, Option<Box<str>>);

/// Lines of a kind: written in the current second, and omitted since the last report.
#[derive(Debug)]
struct Window {
    since: Instant,
    written: u32,
    omitted: u64,
    /// Level of the kind, and target and message of one of its lines.
    example: (Level, String),
}

impl Limiter {
    /// Counts the line and returns false if it exceeds the limit.
    pub(crate) fn admits(&self, event: &Metadata<'_>, line: &Line, now: Instant) -> bool {
        if !is_limited(line) {
            return true;
        }
        let kind = line.kind.as_deref().or(line.logged_by()).map(Box::from);
        let kind = (event.callsite(), kind);
        let mut kinds = self.lock();
        let kind = match kinds.contains_key(&kind) || kinds.len() < MAX_KINDS {
            true => kind,
            false => (kind.0, None),
        };
        let window = kinds.entry(kind).or_insert_with(|| Window {
            since: now,
            written: 0,
            omitted: 0,
            example: (line.level, line.message.clone()),
        });
        if now.duration_since(window.since) >= Duration::from_secs(1) {
            (window.since, window.written) = (now, 0);
        }
        if window.written < PER_SECOND {
            window.written += 1;
            return true;
        }
        window.omitted += 1;
        dropped::count(Reason::Limited, 1);
        false
    }

    /// Returns one line for each kind with omitted lines since the last call.
    pub(crate) fn report(&self, now: Instant) -> Vec<Line> {
        let mut kinds = self.lock();
        let reports = kinds.iter_mut().filter(|(_, window)| window.omitted > 0);
        let reports = reports.map(|((_, kind), window)| {
            let (level, example) = &window.example;
            let lines = std::mem::take(&mut window.omitted);
            Line::own((*level).min(Level::WARN), "lines of one kind omitted")
                .with("lines", lines)
                .with("like", example.as_str())
                .with("kind", kind.as_deref())
        });
        let reports = reports.collect();
        kinds.retain(|_, window| now.duration_since(window.since) < INTERVAL);
        reports
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Kind, Window>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_limited(line: &Line) -> bool {
    let of_connections = || {
        let krate = line.target.split("::").next();
        krate.is_some_and(|krate| CONNECTION_LIBRARIES.contains(&krate))
    };
    line.kind.is_some()
        || line.level == Level::WARN
        || line.level == Level::ERROR && of_connections()
}
