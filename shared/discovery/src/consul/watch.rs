//! Keeps the watchers of one service told.

use std::sync::Arc;

use tokio::time::{Instant, sleep};

use super::{
    client::{Client, ClientError},
    follower::{Follower, Verdict},
    pace::{Backoff, Pace},
    requests::Passing,
    settings::Settings,
    wire::Entry,
};
use crate::{instance::EndpointSet, resolver::Publisher};

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
    /// The failure that was last logged and is not over.
    trouble: Option<String>,
}

impl Watching {
    pub(super) fn new(
        client: Arc<Client>,
        service: &str,
        publisher: Arc<Publisher>,
        settings: &Settings,
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
            trouble: None,
        }
    }

    pub(super) async fn run(mut self) {
        loop {
            let question = self.follower.question(Instant::now(), fastrand::f64());
            let answer =
                self.client.passing(&self.service, self.datacenter.as_deref(), question).await;
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
            sleep(pause).await;
        }
    }

    /// Tells the watchers, where the answer is to be believed. Gives whether it was
    /// news: not always to them, since an instance that registers and is still
    /// critical is news to Consul, and the one that passes next must not wait for it.
    async fn take(&mut self, answer: Result<Passing, ClientError>) -> Result<bool, ClientError> {
        let Passing { index, led, age, entries } = answer?;
        let now = Instant::now();
        let as_of = now.checked_sub(age).unwrap_or(now);
        let set = self.endpoints(entries);
        let had = self.publisher.current();
        if !led {
            // What a server without a leader knows is better than nothing, but not
            // better than what is known already.
            if !self.answered && !set.is_empty() {
                self.answered = true;
                self.publisher.publish_as_of(as_of, set);
            }
            return Err(ClientError::NoLeader);
        }

        if set.is_empty() {
            self.client.may_read(&self.service).await?;
        }
        let lost_all = set.is_empty() && !had.is_empty();
        let newer = self.follower.is_newer(index);
        match self.follower.answered(Instant::now(), index, lost_all) {
            Verdict::Tell => {
                let news = !self.answered || newer || *had != set;
                self.answered = true;
                self.publisher.publish_as_of(as_of, set);
                if self.trouble.take().is_some() {
                    tracing::info!(service = self.service, "consul answers again");
                }
                Ok(news)
            }
            Verdict::Hold => {
                self.in_trouble(
                    "consul may have lost its data: it suddenly knows no instance".into(),
                );
                Ok(false)
            }
        }
    }

    fn endpoints(&self, entries: Vec<Entry>) -> EndpointSet {
        let usable = |entry: Entry| {
            let unusable = |id| {
                tracing::debug!(
                    service = self.service,
                    id,
                    "a registration names no address and port"
                );
            };
            entry.endpoint().map_err(unusable).ok()
        };
        entries.into_iter().filter_map(usable).collect()
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
