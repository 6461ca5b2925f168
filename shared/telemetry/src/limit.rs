//! Bound on how often lines of one kind are written.
//!
//! A flood of refused calls or broken connections must not fill the disk, nor hide everything else. The
//! first [`PER_SECOND`] lines of a kind are written in each second, the others are counted, and one
//! line each [`INTERVAL`] says how many there were.
//!
//! A kind is a place in the source and, if the event has one, its field `log.kind`. Limited are
//!
//! - events with a `log.kind`, of any level;
//! - all warnings;
//! - errors of the libraries that handle connections, which their peers cause.
//!
//! Other errors are always written, and so are other events below the level of warnings.

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

/// Lines of one kind that are written in a second.
const PER_SECOND: u32 = 10;

/// Time between two lines about lines that were left out.
pub(crate) const INTERVAL: Duration = Duration::from_secs(10);

/// Most kinds that are told apart. Further ones count by their place in the source only.
const MAX_KINDS: usize = 256;

/// Libraries that log errors which the other end of a connection can cause at will.
const CONNECTION_LIBRARIES: [&str; 6] =
    ["h2", "hyper", "hyper_util", "rustls", "tokio_rustls", "tonic"];

/// Counts of the lines of each kind.
#[derive(Debug, Default)]
pub(crate) struct Limiter(Mutex<HashMap<Kind, Window>>);

type Kind = (Identifier, Option<Box<str>>);

/// What was written of a kind in the current second, and left out since the last report.
#[derive(Debug)]
struct Window {
    since: Instant,
    written: u32,
    left_out: u64,
    /// Level, target and message of such a line.
    like: (Level, String),
}

impl Limiter {
    /// Returns false if the line is one too many, and counts it.
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
            left_out: 0,
            like: (line.level, line.message.clone()),
        });
        if now.duration_since(window.since) >= Duration::from_secs(1) {
            (window.since, window.written) = (now, 0);
        }
        if window.written < PER_SECOND {
            window.written += 1;
            return true;
        }
        window.left_out += 1;
        dropped::count(Reason::Limited, 1);
        false
    }

    /// Takes a line for each kind of which lines were left out since the last call.
    pub(crate) fn report(&self, now: Instant) -> Vec<Line> {
        let mut kinds = self.lock();
        let reports = kinds.iter_mut().filter(|(_, window)| window.left_out > 0);
        let reports = reports.map(|((_, kind), window)| {
            let (level, like) = &window.like;
            let lines = std::mem::take(&mut window.left_out);
            Line::own((*level).min(Level::WARN), "lines of one kind left out")
                .with("lines", lines)
                .with("like", like.as_str())
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
