//! Keeps the watchers of one service told.

use std::{future::Future, pin::pin, sync::Arc};

use tokio::time::{Instant, sleep};

use super::{
    client::{Client, ClientError},
    follower::{Follower, Verdict},
    pace::{Backoff, Pace},
    requests::Passing,
    settings::Settings,
    wire::{Host, Registered},
};
use crate::{
    instance::{Endpoint, EndpointSet},
    names::{Found, Lookup, Name, Names},
    resolver::Publisher,
};

/// Registrations without an endpoint that a message names; the others are counted.
const NAMED: usize = 3;

/// The source of a service's watches. Runs until it is dropped.
pub(super) struct Watching {
    client: Arc<Client>,
    service: String,
    datacenter: Option<String>,
    publisher: Arc<Publisher>,
    follower: Follower,
    pace: Pace,
    backoff: Backoff,
    /// Whether Consul has ever answered, so that what watchers have is its word.
    answered: bool,
    /// What Consul last said that is believed, and as of when.
    registered: Vec<Registered>,
    as_of: Instant,
    /// Registrations of the same answer that name no host and port.
    unusable: Vec<String>,
    /// Host names of `registered`.
    names: Names,
    /// What was last logged as left out.
    left_out: Option<String>,
    /// The failure that was last logged and is not over.
    trouble: Option<String>,
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
            follower: Follower::new(now, settings.wait, settings.hold_empty),
            pace: Pace::new(now),
            backoff: Backoff::default(),
            answered: false,
            registered: Vec::new(),
            as_of: now,
            unusable: Vec::new(),
            names: Names::new(lookup, settings.name_refresh),
            left_out: None,
            trouble: None,
        }
    }

    pub(super) async fn run(mut self) {
        loop {
            let question = self.follower.question(Instant::now(), fastrand::f64());
            let client = Arc::clone(&self.client);
            let (service, datacenter) = (self.service.clone(), self.datacenter.clone());
            let asking =
                async move { client.passing(&service, datacenter.as_deref(), question).await };
            let answer = self.meanwhile(asking).await;
            let pause = match self.take(answer).await {
                Ok(news) => {
                    self.backoff.succeeded();
                    self.pace.after(Instant::now(), news)
                }
                Err(error) => {
                    self.follower.failed(Instant::now());
                    self.in_trouble(error.to_string());
                    self.backoff.failed(fastrand::f64())
                }
            };
            self.meanwhile(sleep(pause)).await;
        }
    }

    /// Waits for something, and tells watchers meanwhile where host names lead.
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

    /// Tells the watchers, where the answer is to be believed. Gives whether it was
    /// news: not always to them, since an instance that registers and is still
    /// critical is news to Consul, and the one that passes next must not wait for it.
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
            // What a server without a leader knows is better than nothing, but not
            // better than what is known already.
            if !self.answered && !registered.is_empty() {
                self.answered = true;
                self.believe(registered, unusable, as_of);
            }
            return Err(ClientError::NoLeader);
        }

        if knows_none {
            self.client.may_read(&self.service).await?;
        }
        let lost_all = registered.is_empty() && !had.is_empty();
        let newer = self.follower.is_newer(index);
        match self.follower.answered(Instant::now(), index, lost_all) {
            Verdict::Tell => {
                let news = !self.answered || newer;
                self.answered = true;
                if self.trouble.take().is_some() {
                    tracing::info!(service = self.service, "consul answers again");
                }
                self.believe(registered, unusable, as_of);
                Ok(news || *had != *self.publisher.current())
            }
            Verdict::Hold => {
                self.in_trouble(
                    "consul may have lost its data: it suddenly knows no instance".into(),
                );
                Ok(false)
            }
        }
    }

    fn believe(&mut self, registered: Vec<Registered>, unusable: Vec<String>, as_of: Instant) {
        self.names.follow(registered.iter().filter_map(|instance| match &instance.host {
            Host::Name(name) => Some(name.clone()),
            Host::Ip => None,
        }));
        (self.registered, self.unusable, self.as_of) = (registered, unusable, as_of);
        self.publish();
    }

    /// A host name leads somewhere, or nowhere.
    fn resolved(&mut self) {
        self.publish();
        if let Some(why) = &self.trouble {
            // Consul itself did not say more than before.
            self.publisher.failed(why.as_str());
        }
    }

    fn publish(&mut self) {
        let set: EndpointSet = self.registered.iter().flat_map(|one| self.endpoints(one)).collect();
        let waits = |(_, found): (&Name, &Found)| !found.is_looked_up();
        // An instance is known, and where it is in a moment: that is not none.
        if set.is_empty() && self.names.iter().any(waits) {
            return;
        }
        self.publisher.publish_as_of(self.as_of, set);
        let left_out = self.left_out();
        if let (Some(why), true) = (&left_out, left_out != self.left_out) {
            tracing::warn!(service = self.service, why, "registrations give no endpoint");
        }
        self.publisher.left_out(left_out.clone());
        self.left_out = left_out;
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

    /// Registrations that gave no endpoint, and why.
    fn left_out(&self) -> Option<String> {
        let unresolved = self.registered.iter().filter_map(|one| {
            let Host::Name(name) = &one.host else { return None };
            let found = self.names.get(name)?;
            let why = found.trouble.as_ref().filter(|_| found.addresses.is_empty())?;
            Some(format!("{:?}: the host name {:?}: {why}", one.id, name.0))
        });
        let all: Vec<_> = self.unusable.iter().cloned().chain(unresolved).collect();
        let named = all.iter().take(NAMED).cloned();
        let more = all.len().saturating_sub(NAMED);
        let more = (more > 0).then(|| format!("and {more} more"));
        (!all.is_empty()).then(|| named.chain(more).collect::<Vec<_>>().join("; "))
    }

    fn in_trouble(&mut self, why: String) {
        self.publisher.failed(why.as_str());
        if self.trouble.as_ref() != Some(&why) {
            tracing::warn!(
                service = self.service,
                why,
                "watching failed, the last endpoints are kept"
            );
            self.trouble = Some(why);
        }
    }
}

#[cfg(test)]
mod tests;
