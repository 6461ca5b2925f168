//! The endpoints and who of them is ejected. Everything here is under the detector's lock.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    config::Config,
    endpoint::{Endpoint, length},
    outliers::{self, Answers, Counts},
};

/// Reason of an ejection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It failed too many times in a row.
    ConsecutiveFailures,
    /// It succeeded far less often than the others.
    SuccessRate,
    /// It hardly ever succeeded.
    FailurePercentage,
    /// It refused many calls in a row while the others did not.
    Refusals,
}

impl Reason {
    /// The name for metrics and admin pages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ConsecutiveFailures => "consecutive_failures",
            Self::SuccessRate => "success_rate",
            Self::FailurePercentage => "failure_percentage",
            Self::Refusals => "refusals",
        }
    }
}

/// An endpoint that was ejected just now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ejected<K> {
    /// Key of the endpoint.
    pub key: K,
    /// Reason of the ejection.
    pub reason: Reason,
    /// Length of the ejection.
    pub time: Duration,
    /// Ejection count, excluding decayed ejections.
    pub times: u32,
}

/// State of an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointSnapshot<K> {
    /// Key of the endpoint.
    pub key: K,
    /// End of its ejection; `None` if it is not ejected.
    pub ejected_until: Option<Instant>,
    /// Reason of its last ejection, if any.
    pub reason: Option<Reason>,
    /// The ejections that are not forgotten yet.
    pub times: u32,
    /// All its ejections since it joined the set.
    pub ejections: u64,
    /// The failures in a row.
    pub consecutive_failures: u32,
    /// The calls since the last look that succeeded.
    pub successes: u32,
    /// The calls since the last look that failed.
    pub failures: u32,
}

#[derive(Debug)]
pub(super) struct Set<K> {
    members: BTreeMap<K, Member<K>>,
    /// Number of times that the counts began again.
    looks: u64,
}

#[derive(Debug)]
struct Member<K> {
    endpoint: Arc<Endpoint<K>>,
    reason: Option<Reason>,
    ejections: u64,
    /// The number of ejections, as of the end of the last one.
    times: u32,
    /// End of the last ejection, in microseconds after the epoch.
    ended: u64,
    /// Start of the comparison of its run of refusals with the others.
    compared: Option<Compared>,
}

/// Moment at which a run of refusals began to be compared.
#[derive(Clone, Copy, Debug)]
struct Compared {
    /// Refusals in a row by then.
    run: u32,
    /// Answers of the others by then, within the look.
    others: Answers,
    look: u64,
}

impl<K> Member<K> {
    fn new(endpoint: Arc<Endpoint<K>>) -> Self {
        Self { endpoint, reason: None, ejections: 0, times: 0, ended: 0, compared: None }
    }

    fn is_out(&self) -> bool {
        self.endpoint.until() != 0
    }

    /// The number of ejections that are not forgotten yet.
    fn times(&self, now: u64, config: &Config) -> u32 {
        let forgotten =
            now.saturating_sub(self.ended) / length(config.parameters().interval).max(1);
        self.times.saturating_sub(u32::try_from(forgotten).unwrap_or(u32::MAX))
    }

    fn come_back(&mut self, now: u64) {
        self.ended = self.ended.min(now);
        self.endpoint.come_back();
    }
}

impl<K: Ord + Clone> Set<K> {
    pub(super) fn new() -> Self {
        Self { members: BTreeMap::new(), looks: 0 }
    }

    /// Becomes the set of these, with the state of those that stay.
    pub(super) fn replace(
        &mut self,
        keys: impl IntoIterator<Item = K>,
        epoch: Instant,
        now: u64,
        config: &Config,
    ) -> Vec<Arc<Endpoint<K>>> {
        let mut left = std::mem::take(&mut self.members);
        let endpoints = keys
            .into_iter()
            .map(|key| {
                let member = self.members.entry(key).or_insert_with_key(|key| {
                    left.remove(key)
                        .unwrap_or_else(|| Member::new(Arc::new(Endpoint::new(key.clone(), epoch))))
                });
                Arc::clone(&member.endpoint)
            })
            .collect();
        // Other endpoints are the others from now on.
        self.members.values_mut().for_each(|member| member.compared = None);
        // Calls may hold those that left for a while yet.
        left.into_values().for_each(|member| member.endpoint.come_back());
        self.settle(now);
        let room = config.most_ejected(self.members.len());
        let mut out: Vec<_> = self.members.values_mut().filter(|member| member.is_out()).collect();
        out.sort_by_key(|member| member.ended);
        let too_many = out.len().saturating_sub(room);
        out.into_iter().take(too_many).for_each(|member| member.come_back(now));
        endpoints
    }

    /// Ejects the endpoint if it is one of the set, is not ejected, and there is room.
    pub(super) fn eject(
        &mut self,
        endpoint: &Endpoint<K>,
        reason: Reason,
        now: u64,
        config: &Config,
    ) -> Option<Ejected<K>> {
        // So that those that are out are counted by what is stored, not by the time: were
        // the clock of another thread a little behind, there would be more.
        self.settle(now);
        if self.is_full(config) {
            return None;
        }
        let member = self.members.get_mut(endpoint.key())?;
        if member.is_out() || !std::ptr::eq(Arc::as_ptr(&member.endpoint), endpoint) {
            return None;
        }
        member.times = member.times(now, config).saturating_add(1).min(config.most_times());
        let time = config.ejection(member.times);
        // An ejection takes a microsecond at least: 0 would be none.
        member.ended = now + length(time).max(1);
        member.reason = Some(reason);
        member.compared = None;
        member.ejections += 1;
        member.endpoint.eject(member.ended);
        Some(Ejected { key: endpoint.key().clone(), reason, time, times: member.times })
    }

    /// Compares a run of refusals with what the others answered since the run was first looked
    /// at, and ejects the endpoint if it refuses alone. Every run is looked at first at the
    /// same length, which so begins the comparison anew.
    pub(super) fn compare(
        &mut self,
        endpoint: &Endpoint<K>,
        run: u32,
        now: u64,
        config: &Config,
    ) -> Option<Ejected<K>> {
        let others = self.others(endpoint);
        let look = self.looks;
        let member = self.members.get_mut(endpoint.key())?;
        let Some(began) = member.compared.filter(|began| began.run < run) else {
            member.compared = Some(Compared { run, others, look });
            return None;
        };
        // Since the look the counts began at nothing.
        let before = if began.look == look { began.others } else { Answers::default() };
        if !outliers::refuses_alone(run - began.run, others.since(before)) {
            return None;
        }
        self.eject(endpoint, Reason::Refusals, now, config)
    }

    /// Answers of all endpoints but this since the last look.
    fn others(&self, endpoint: &Endpoint<K>) -> Answers {
        let others = self.members.values().filter(|one| one.endpoint.key() != endpoint.key());
        others.fold(Answers::default(), |sum, one| sum.plus(one.endpoint.answers()))
    }

    /// Ejects whoever stands out among the calls since the last look.
    pub(super) fn judge(&mut self, now: u64, config: &Config) -> Vec<Ejected<K>> {
        self.looks += 1;
        let endpoints = self.endpoints();
        let counts: Vec<Counts> = endpoints.iter().map(|one| one.take_counts()).collect();
        let parameters = config.parameters();
        let straying =
            parameters.success_rate.map(|rule| outliers::by_success_rate(&counts, &rule));
        let failing = parameters
            .failure_percentage
            .map(|rule| outliers::by_failure_percentage(&counts, &rule));
        let reasons = [(straying, Reason::SuccessRate), (failing, Reason::FailurePercentage)];
        let mut ejected = Vec::new();
        for (outliers, reason) in reasons {
            for index in outliers.unwrap_or_default() {
                ejected.extend(self.eject(&endpoints[index], reason, now, config));
            }
        }
        ejected
    }

    /// Forgets the calls since the last look.
    pub(super) fn forget_counts(&mut self) {
        self.looks += 1;
        self.members.values().for_each(|member| _ = member.endpoint.take_counts());
    }

    /// Until when nobody can be ejected, as the set is now.
    pub(super) fn full_until(&self, config: &Config) -> u64 {
        if !self.is_full(config) {
            return 0;
        }
        let ends = self.members.values().filter(|member| member.is_out()).map(|out| out.ended);
        // Where nobody is out, nobody ever can be.
        ends.min().unwrap_or(u64::MAX)
    }

    pub(super) fn snapshot(
        &self,
        epoch: Instant,
        now: u64,
        config: &Config,
    ) -> Vec<EndpointSnapshot<K>> {
        let snapshot = |member: &Member<K>| {
            let (endpoint, until) = (&member.endpoint, member.endpoint.until());
            let Counts { successes, failures } = endpoint.counts();
            EndpointSnapshot {
                key: endpoint.key().clone(),
                ejected_until: (until > now).then(|| epoch + Duration::from_micros(until)),
                reason: member.reason,
                times: member.times(now, config),
                ejections: member.ejections,
                consecutive_failures: endpoint.run(),
                successes,
                failures,
            }
        };
        self.members.values().map(snapshot).collect()
    }

    fn endpoints(&self) -> Vec<Arc<Endpoint<K>>> {
        self.members.values().map(|member| Arc::clone(&member.endpoint)).collect()
    }

    fn is_full(&self, config: &Config) -> bool {
        let out = self.members.values().filter(|member| member.is_out()).count();
        out >= config.most_ejected(self.members.len())
    }

    /// Brings back whose time is over.
    fn settle(&mut self, now: u64) {
        for member in self.members.values_mut() {
            if (1..=now).contains(&member.endpoint.until()) {
                member.come_back(now);
            }
        }
    }
}
