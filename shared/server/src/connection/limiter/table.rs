//! Table of open connections: decides which are admitted and which are closed. Pure: takes the
//! time.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

use super::standing::{Rank, Standing};
use crate::{
    settings::{ConnectionSettings, DEFAULT_MAX},
    source::Source,
};

/// Maximum number of closing connections beyond the limit. New ones wait while it is reached.
const MAX_CLOSING: usize = 64;

/// Time for which a source stays proven after an authenticated call.
const KNOWN_FOR: Duration = Duration::from_secs(60 * 60);

/// Maximum number of known sources without an open connection.
const MAX_KNOWN: usize = 10_000;

/// Reason why a connection was closed unserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The total limit is reached.
    Full,
    /// The limit of its address is reached.
    FullForAddress,
    /// The limit of its IPv6 /48 network is reached.
    FullForSite,
    /// The remaining connections are reserved for sources that made an authenticated call.
    FullForStrangers,
}

impl Refused {
    pub(crate) const ALL: [Self; 4] =
        [Self::Full, Self::FullForAddress, Self::FullForSite, Self::FullForStrangers];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::FullForAddress => "full_for_address",
            Self::FullForSite => "full_for_site",
            Self::FullForStrangers => "full_for_strangers",
        }
    }
}

/// Limits of open connections.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) max: usize,
    /// Part of `max` reserved for sources that made an authenticated call.
    pub(crate) reserved: usize,
    pub(crate) per_source: usize,
    pub(crate) per_site: usize,
}

impl Limits {
    pub(crate) fn new(settings: &ConnectionSettings) -> Self {
        // Set when the server is built.
        let max = settings.max.unwrap_or(DEFAULT_MAX) as usize;
        Self {
            max,
            reserved: max * settings.reserved_percent as usize / 100,
            per_source: settings.max_per_address as usize,
            per_site: settings.max_per_site as usize,
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Table {
    next: u64,
    /// Number of open connections, without closing ones.
    open: usize,
    closing: usize,
    /// Number of open connections that are not proven.
    strangers: usize,
    sources: HashMap<Source, Connections>,
    sites: HashMap<Source, usize>,
    /// Sources with unproven connections: their number, and the oldest one. The last entry goes
    /// first.
    unproven: BTreeSet<(usize, Reverse<u64>, Source)>,
    known: HashMap<Source, Instant>,
}

/// Open connections of one source.
#[derive(Debug, Default)]
struct Connections {
    all: BTreeMap<u64, Arc<Standing>>,
    unproven: BTreeSet<u64>,
    proven: usize,
}

/// Scope of a limit.
#[derive(Clone, Copy, Debug)]
enum Scope {
    Any,
    /// Connections of sources without an authenticated call.
    Strangers,
    OfSource(Source),
    OfSite(Source),
}

impl Table {
    pub(super) fn is_clearing(&self) -> bool {
        self.closing >= MAX_CLOSING
    }

    /// Admits a connection. Also returns true if another connection is closed for it.
    pub(super) fn admit(
        &mut self,
        source: Source,
        exempt: bool,
        limits: &Limits,
        now: Instant,
    ) -> Result<(Arc<Standing>, bool), Refused> {
        if self.is_clearing() {
            return Err(Refused::Full);
        }
        let mut evicted = false;
        for (scope, refused) in self.missing(source, exempt, limits, now) {
            // The connection that was closed for one limit may also have made room in this one.
            if self.is_full(scope, limits) {
                let victim = self.victim(scope, source).ok_or(refused)?;
                self.remove(&victim, now);
                self.closing += 1;
                victim.closing().cancel();
                evicted = true;
            }
        }
        let standing = Arc::new(Standing::new(self.next, source, exempt, now));
        self.next += 1;
        self.insert(&standing);
        Ok((standing, evicted))
    }

    /// Returns the limits that are reached for a connection, with the refusal for each.
    fn missing(
        &self,
        source: Source,
        exempt: bool,
        limits: &Limits,
        now: Instant,
    ) -> Vec<(Scope, Refused)> {
        let mut scopes = Vec::with_capacity(4);
        if !exempt {
            scopes.push((Scope::OfSource(source), Refused::FullForAddress));
            scopes.extend(source.site().map(|site| (Scope::OfSite(site), Refused::FullForSite)));
        }
        scopes.push((Scope::Any, Refused::Full));
        if !exempt && !self.is_known(source, now) {
            scopes.push((Scope::Strangers, Refused::FullForStrangers));
        }
        scopes.retain(|(scope, _)| self.is_full(*scope, limits));
        scopes
    }

    fn is_full(&self, scope: Scope, limits: &Limits) -> bool {
        match scope {
            Scope::Any => self.open >= limits.max,
            Scope::Strangers => self.strangers >= limits.max - limits.reserved,
            Scope::OfSource(source) => self.count(source) >= limits.per_source,
            Scope::OfSite(site) => {
                self.sites.get(&site).copied().unwrap_or_default() >= limits.per_site
            }
        }
    }

    fn count(&self, source: Source) -> usize {
        self.sources.get(&source).map_or(0, |connections| connections.all.len())
    }

    fn is_known(&self, source: Source, now: Instant) -> bool {
        self.sources.get(&source).is_some_and(|connections| connections.proven > 0)
            || self.known.get(&source).is_some_and(|proved| now < *proved + KNOWN_FOR)
    }

    /// Returns the connection to close for a new one from `newcomer`.
    fn victim(&self, scope: Scope, newcomer: Source) -> Option<Arc<Standing>> {
        let unproven = match scope {
            Scope::Any | Scope::Strangers => self.unproven.last().map(|(.., source)| *source),
            Scope::OfSource(source) => Some(source),
            Scope::OfSite(site) => {
                let mut most = self.unproven.iter().rev().map(|(.., source)| *source);
                most.find(|source| source.site() == Some(site))
            }
        };
        let unproven = || self.oldest_unproven(unproven?);
        let idle = || match scope {
            Scope::Any => self.idle_of_largest(newcomer, Rank::Proven),
            Scope::Strangers => self.idle_of_largest(newcomer, Rank::Anonymous),
            Scope::OfSource(_) | Scope::OfSite(_) => None,
        };
        // If the newcomer's source has the most unproven connections, prefer an idle one of another
        // source: connections opened together must not close each other.
        if self.unproven.last().is_some_and(|(.., most)| *most == newcomer) {
            idle().or_else(unproven)
        } else {
            unproven().or_else(idle)
        }
    }

    fn oldest_unproven(&self, source: Source) -> Option<Arc<Standing>> {
        let connections = self.sources.get(&source)?;
        connections.all.get(connections.unproven.first()?).cloned()
    }

    /// Returns an idle connection with at most this rank, from the largest source that has one.
    /// After its removal the source still has at least as many connections as the newcomer's.
    fn idle_of_largest(&self, newcomer: Source, up_to: Rank) -> Option<Arc<Standing>> {
        let mut found = None;
        let mut largest = self.count(newcomer) + 1;
        for connections in self.sources.values().filter(|source| source.all.len() > 1) {
            if connections.all.len() > largest
                && let Some(idle) = connections.longest_idle(up_to)
            {
                largest = connections.all.len();
                found = Some(idle);
            }
        }
        found
    }

    fn insert(&mut self, standing: &Arc<Standing>) {
        self.open += 1;
        if standing.exempt {
            return;
        }
        let source = standing.source;
        self.strangers += 1;
        if let Some(site) = source.site() {
            *self.sites.entry(site).or_default() += 1;
        }
        self.change(source, |connections| {
            connections.all.insert(standing.id, Arc::clone(standing));
            connections.unproven.insert(standing.id);
        });
    }

    fn remove(&mut self, standing: &Standing, now: Instant) {
        self.open -= 1;
        if standing.exempt {
            return;
        }
        let (source, rank) = (standing.source, standing.rank());
        if let Some(site) = source.site()
            && let Some(count) = self.sites.get_mut(&site)
        {
            *count -= 1;
            if *count == 0 {
                self.sites.remove(&site);
            }
        }
        self.change(source, |connections| {
            connections.all.remove(&standing.id);
            connections.unproven.remove(&standing.id);
            connections.proven -= usize::from(rank == Rank::Proven);
        });
        if rank == Rank::Proven {
            self.remember(source, now);
        } else {
            self.strangers -= 1;
        }
    }

    /// Changes the connections of a source and updates `unproven`.
    fn change(&mut self, source: Source, change: impl FnOnce(&mut Connections)) {
        let connections = self.sources.entry(source).or_default();
        let key = |connections: &Connections| {
            let oldest = connections.unproven.first()?;
            Some((connections.unproven.len(), Reverse(*oldest), source))
        };
        let before = key(connections);
        change(connections);
        let after = key(connections);
        if connections.all.is_empty() {
            self.sources.remove(&source);
        }
        if before != after {
            before.map(|before| self.unproven.remove(&before));
            after.map(|after| self.unproven.insert(after));
        }
    }

    fn has(&self, standing: &Standing) -> bool {
        let connections = self.sources.get(&standing.source);
        connections.is_some_and(|connections| connections.all.contains_key(&standing.id))
    }

    pub(super) fn completed(&mut self, standing: &Standing) {
        if !self.has(standing) || standing.rank() > Rank::Unproven {
            return;
        }
        standing.set_rank(Rank::Anonymous);
        self.change(standing.source, |connections| {
            connections.unproven.remove(&standing.id);
        });
    }

    pub(super) fn proved(&mut self, standing: &Standing, now: Instant) {
        if !self.has(standing) || standing.rank() == Rank::Proven {
            return;
        }
        standing.set_rank(Rank::Proven);
        self.strangers -= 1;
        self.change(standing.source, |connections| {
            connections.unproven.remove(&standing.id);
            connections.proven += 1;
        });
        self.remember(standing.source, now);
    }

    fn remember(&mut self, source: Source, now: Instant) {
        if self.known.len() >= MAX_KNOWN && !self.known.contains_key(&source) {
            self.known.retain(|_, proved| now < *proved + KNOWN_FOR);
            if self.known.len() >= MAX_KNOWN {
                return;
            }
        }
        self.known.insert(source, now);
    }

    pub(super) fn release(&mut self, standing: &Standing, now: Instant) {
        if standing.closing().is_cancelled() {
            self.closing -= 1;
        } else {
            self.remove(standing, now);
        }
    }
}

impl Connections {
    /// Returns the idle connection with the lowest rank, at most `up_to`; among equals, the longest
    /// idle.
    fn longest_idle(&self, up_to: Rank) -> Option<Arc<Standing>> {
        let idle = self.all.values().filter(|standing| standing.rank() <= up_to);
        let idle = idle.filter_map(|standing| Some((standing.useless_since()?, standing)));
        let (_, longest) = idle.min_by_key(|(since, standing)| (standing.rank(), *since))?;
        Some(Arc::clone(longest))
    }
}

#[cfg(test)]
mod tests;
