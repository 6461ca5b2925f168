//! Endpoints of a set and their ejections. Everything here is under the detector's lock.

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
    /// Returns the name for metrics and admin pages.
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
    /// Ejection count, excluding decayed ejections.
    pub times: u32,
    /// Number of ejections since the endpoint joined the set.
    pub ejections: u64,
    /// Consecutive failures.
    pub consecutive_failures: u32,
    /// Successful calls since the last comparison.
    pub successes: u32,
    /// Failed calls since the last comparison.
    pub failures: u32,
}

#[derive(Debug)]
pub(super) struct Set<K> {
    members: BTreeMap<K, Member<K>>,
    /// Number of comparisons. Each resets the counts.
    looks: u64,
}

#[derive(Debug)]
struct Member<K> {
    endpoint: Arc<Endpoint<K>>,
    reason: Option<Reason>,
    ejections: u64,
    /// Ejection count at the end of the last ejection.
    times: u32,
    /// End of the last ejection, in microseconds after the epoch.
    ended: u64,
    /// Start of the current run of refusals, as far as it is compared with the others.
    compared: Option<Compared>,
}

/// Start of the comparison of a run of refusals.
#[derive(Clone, Copy, Debug)]
struct Compared {
    /// Consecutive refusals at that time.
    run: u32,
    /// Responses of the others at that time, since the comparison `look`.
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

    /// Returns the ejection count, excluding decayed ejections.
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

    /// Changes the set to these keys. Endpoints that stay keep their state.
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
        // The runs were compared with other endpoints.
        self.members.values_mut().for_each(|member| member.compared = None);
        // Calls may still hold the endpoints that left.
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
        // Brings back all whose time is over before the count: another thread's clock may be
        // slightly behind, and the count would be too high.
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
        // At least a microsecond: 0 means not ejected.
        member.ended = now + length(time).max(1);
        member.reason = Some(reason);
        member.compared = None;
        member.ejections += 1;
        member.endpoint.eject(member.ended);
        Some(Ejected { key: endpoint.key().clone(), reason, time, times: member.times })
    }

    /// Compares a run of refusals with the others' responses since the start of the comparison.
    /// Ejects the endpoint if it alone refuses. The first comparison of each run comes at the same
    /// length, and starts the comparison.
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
        // The counts restarted at zero with that comparison.
        let before = if began.look == look { began.others } else { Answers::default() };
        if !outliers::refuses_alone(run - began.run, others.since(before)) {
            return None;
        }
        self.eject(endpoint, Reason::Refusals, now, config)
    }

    /// Returns the responses of all other endpoints since the last comparison.
    fn others(&self, endpoint: &Endpoint<K>) -> Answers {
        let others = self.members.values().filter(|one| one.endpoint.key() != endpoint.key());
        others.fold(Answers::default(), |sum, one| sum.plus(one.endpoint.answers()))
    }

    /// Ejects the outliers among the calls since the last comparison.
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

    /// Discards the calls since the last comparison.
    pub(super) fn forget_counts(&mut self) {
        self.looks += 1;
        self.members.values().for_each(|member| _ = member.endpoint.take_counts());
    }

    /// Returns the time until which no endpoint can be ejected, in microseconds after the epoch,
    /// given the current set.
    pub(super) fn full_until(&self, config: &Config) -> u64 {
        if !self.is_full(config) {
            return 0;
        }
        let ends = self.members.values().filter(|member| member.is_out()).map(|out| out.ended);
        // If no endpoint is ejected, the set allows no ejection at all.
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

    /// Brings back the endpoints whose time is over.
    fn settle(&mut self, now: u64) {
        for member in self.members.values_mut() {
            if (1..=now).contains(&member.endpoint.until()) {
                member.come_back(now);
            }
        }
    }
}
