//! Watch of one service: queries Consul and publishes endpoints.

use std::{future::Future, pin::pin, sync::Arc};

use tokio::time::{Instant, sleep};

use super::{
    client::{Client, ClientError},
    pace::{Backoff, Pace},
    query_state::{Decision, QueryState},
    requests::Passing,
    settings::Settings,
    wire::{Host, Registered},
};
use crate::{
    instance::{Endpoint, EndpointSet},
    names::{Found, Lookup, Name, Names},
    resolver::Publisher,
};

/// Maximum number of registrations without an endpoint that a message names.
const NAMED: usize = 3;

/// Source of a service's watches. Runs until it is dropped.
pub(super) struct Watching {
    client: Arc<Client>,
    service: String,
    datacenter: Option<String>,
    publisher: Arc<Publisher>,
    state: QueryState,
    pace: Pace,
    backoff: Backoff,
    /// True if Consul has answered, so that the published endpoints are its own.
    answered: bool,
    /// Last accepted answer of Consul, and the time at which it was current.
    registered: Vec<Registered>,
    as_of: Instant,
    /// Unusable registrations in the same answer.
    unusable: Vec<String>,
    /// Host names in `registered`.
    names: Names,
    /// Last logged description of the registrations without an endpoint.
    reported: Option<String>,
    /// Current failure of Consul. None while it answers.
    last_error: Option<String>,
}

impl Watching {
    pub(super) fn new(
        client: Arc<Client>,
        service: &str,
        publisher: Arc<Publisher>,
        settings: &Settings,
        lookup: Lookup,
    ) -> Self {
        let now = Instant::now();
        Self {
            client,
            service: service.to_owned(),
            datacenter: settings.datacenter.clone(),
            publisher,
            state: QueryState::new(now, settings.wait, settings.hold_empty),
            pace: Pace::new(now),
            backoff: Backoff::default(),
            answered: false,
            registered: Vec::new(),
            as_of: now,
            unusable: Vec::new(),
            names: Names::new(lookup, settings.name_refresh),
            reported: None,
            last_error: None,
        }
    }

    pub(super) async fn run(mut self) {
        loop {
            let query = self.state.next_query(Instant::now(), fastrand::f64());
            let client = Arc::clone(&self.client);
            let (service, datacenter) = (self.service.clone(), self.datacenter.clone());
            let querying =
                async move { client.passing(&service, datacenter.as_deref(), query).await };
            let answer = self.meanwhile(querying).await;
            let pause = match self.take(answer).await {
                Ok(news) => {
                    self.backoff.succeeded();
                    self.pace.after(Instant::now(), news)
                }
                Err(error) => {
                    self.state.failed(Instant::now());
                    self.query_failed(error.to_string());
                    self.backoff.failed(fastrand::f64())
                }
            };
            self.meanwhile(sleep(pause)).await;
        }
    }

    /// Waits for `waiting`. Publishes new addresses of host names meanwhile.
    async fn meanwhile<T>(&mut self, waiting: impl Future<Output = T>) -> T {
        let mut waiting = pin!(waiting);
        loop {
            tokio::select! {
                biased;
                done = &mut waiting => return done,
                () = self.names.changed() => self.resolved(),
            }
        }
    }

    /// Publishes an answer, unless it is doubtful. Returns true if Consul's state changed, even if
    /// the endpoints did not: a new instance that is still critical changes no endpoint, but the
    /// next answer, in which it passes, must not be delayed.
    async fn take(&mut self, answer: Result<Passing, ClientError>) -> Result<bool, ClientError> {
        let Passing { index, led, age, entries } = answer?;
        let now = Instant::now();
        let as_of = now.checked_sub(age).unwrap_or(now);
        let knows_none = entries.is_empty();
        let (mut registered, mut unusable) = (Vec::new(), Vec::new());
        for entry in entries {
            match entry.registered() {
                Ok(instance) => registered.push(instance),
                Err(why) => unusable.push(why),
            }
        }
        let had = self.publisher.current();
        if !led {
            // Without a leader, the data may be outdated. Use it only if there is no other.
            if !self.answered && !registered.is_empty() {
                self.answered = true;
                self.accept(registered, unusable, as_of);
            }
            return Err(ClientError::NoLeader);
        }

        if knows_none {
            self.client.may_read(&self.service).await?;
        }
        let lost_all = registered.is_empty() && !had.is_empty();
        let newer = self.state.is_newer(index);
        match self.state.answered(Instant::now(), index, lost_all) {
            Decision::Publish => {
                let news = !self.answered || newer;
                self.answered = true;
                if self.last_error.take().is_some() {
                    tracing::info!(service = self.service, "consul answers again");
                }
                self.accept(registered, unusable, as_of);
                Ok(news || *had != *self.publisher.current())
            }
            Decision::Hold => {
                self.query_failed(
                    "consul may have lost its data: it suddenly lists no instance".into(),
                );
                Ok(false)
            }
        }
    }

    fn accept(&mut self, registered: Vec<Registered>, unusable: Vec<String>, as_of: Instant) {
        self.names.follow(registered.iter().filter_map(|instance| match &instance.host {
            Host::Name(name) => Some(name.clone()),
            Host::Ip => None,
        }));
        (self.registered, self.unusable, self.as_of) = (registered, unusable, as_of);
        self.publish();
    }

    /// Publishes new results of name look-ups.
    fn resolved(&mut self) {
        self.publish();
        if let Some(why) = &self.last_error {
            // Consul itself is still failing.
            self.publisher.failed(why.as_str());
        }
    }

    fn publish(&mut self) {
        let set: EndpointSet = self.registered.iter().flat_map(|one| self.endpoints(one)).collect();
        let waits = |(_, found): (&Name, &Found)| !found.is_looked_up();
        // An instance exists, and its address will be known soon. Do not publish an empty set.
        if set.is_empty() && self.names.iter().any(waits) {
            return;
        }
        self.publisher.publish_as_of(self.as_of, set);
        let report = self.report_unusable();
        if let (Some(why), true) = (&report, report != self.reported) {
            tracing::warn!(service = self.service, why, "registrations without an endpoint");
        }
        self.publisher.unusable(report.clone());
        self.reported = report;
    }

    fn endpoints(&self, registered: &Registered) -> Vec<Endpoint> {
        match &registered.host {
            Host::Ip => vec![registered.endpoint()],
            Host::Name(name) => {
                let addresses = self.names.get(name).map_or(&[][..], |found| &found.addresses);
                addresses.iter().map(|address| registered.at(*address)).collect()
            }
        }
    }

    /// Describes the registrations without an endpoint. None if all have one.
    fn report_unusable(&self) -> Option<String> {
        let unresolved = self.registered.iter().filter_map(|one| {
            let Host::Name(name) = &one.host else { return None };
            let found = self.names.get(name)?;
            let why = found.last_error.as_ref().filter(|_| found.addresses.is_empty())?;
            Some(format!("{:?}: the host name {:?}: {why}", one.id, name.0))
        });
        let all: Vec<_> = self.unusable.iter().cloned().chain(unresolved).collect();
        let named = all.iter().take(NAMED).cloned();
        let more = all.len().saturating_sub(NAMED);
        let more = (more > 0).then(|| format!("and {more} more"));
        (!all.is_empty()).then(|| named.chain(more).collect::<Vec<_>>().join("; "))
    }

    fn query_failed(&mut self, why: String) {
        self.publisher.failed(why.as_str());
        if self.last_error.as_ref() != Some(&why) {
            tracing::warn!(
                service = self.service,
                why,
                "watch failed, the last endpoints stay in use"
            );
            self.last_error = Some(why);
        }
    }
}

#[cfg(test)]
mod tests;
