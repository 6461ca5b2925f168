//! Whether a server could do its work if it were asked now.

use std::{
    collections::BTreeMap,
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use serde::Serialize;
use tokio::{sync::watch, time::timeout};

use crate::{
    lifecycle::State,
    registered::{Registered, RegistryReport},
};

/// How long a dependency may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);

type Checking = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

/// One dependency and how to ask it.
#[derive(Clone)]
pub(crate) struct Check {
    name: String,
    /// Whether the server can do nothing without it; else it does less.
    required: bool,
    ask: Arc<dyn Fn() -> Checking + Send + Sync>,
}

impl Check {
    pub(crate) fn new<F, Fut, E>(name: &str, ask: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: fmt::Display,
    {
        let ask = move || -> Checking {
            let asked = ask();
            Box::pin(async move { asked.await.map_err(|error| error.to_string()) })
        };
        Self { name: name.to_owned(), required: true, ask: Arc::new(ask) }
    }

    /// Something that all replicas lack at the same time, and without which each of them is
    /// still of use: were it required, its absence would take all of them away.
    pub(crate) fn optional(self) -> Self {
        Self { required: false, ..self }
    }

    async fn run(&self) -> CheckReport {
        let started = Instant::now();
        let answer = timeout(PATIENCE, (self.ask)()).await;
        let error = match answer {
            Ok(answer) => answer.err(),
            Err(_) => Some(format!("no answer within {PATIENCE:?}")),
        };
        CheckReport {
            name: self.name.clone(),
            required: self.required,
            ready: error.is_none(),
            millis: started.elapsed().as_millis(),
            error,
        }
    }
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Check").field(&self.name).finish()
    }
}

/// Endpoints of a service that the server calls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Endpoints {
    /// Number of endpoints that the registry lists.
    pub known: usize,
    /// Number of endpoints that are connected.
    pub connected: usize,
    /// Reason if none is connected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A service that the server calls.
#[derive(Clone)]
pub(crate) struct Need {
    pub(crate) service: String,
    pub(crate) endpoints: Arc<dyn Fn() -> Endpoints + Send + Sync>,
}

impl fmt::Debug for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Need").field(&self.service).finish()
    }
}

/// A server's readiness, to be asked at any time; give it to an
/// [`Admin`](crate::Admin).
#[derive(Clone, Debug)]
pub struct Status {
    service: String,
    state: watch::Receiver<State>,
    checks: Arc<[Check]>,
    needs: Vec<Need>,
    registered: Option<Registered>,
}

impl Status {
    pub(crate) fn new(
        service: &str,
        state: watch::Receiver<State>,
        checks: Arc<[Check]>,
        needs: Vec<Need>,
        registered: Option<Registered>,
    ) -> Self {
        Self { service: service.to_owned(), state, checks, needs, registered }
    }

    /// Where the server is in its life.
    pub fn state(&self) -> State {
        *self.state.borrow()
    }

    /// Returns once the server serves, or will never: it drains.
    pub async fn settled(&mut self) -> State {
        // Where the server is gone without a word, it does not serve either.
        self.state.wait_for(|state| *state != State::Starting).await.map_or(State::Draining, |s| *s)
    }

    /// Asks every dependency at once; each has 3 s to answer.
    pub async fn report(&self) -> Report {
        let state = self.state();
        let checks = join_all(self.checks.iter().map(Check::run)).await;
        let registry = self.registered.as_ref().map(Registered::report);
        let suffices = self.registered.iter().zip(&registry).all(|(to, said)| to.suffices(said));
        let checked = checks.iter().all(|check| check.ready || !check.required);
        let ready = state == State::Serving && checked && suffices;
        let needs = self.needs.iter().map(|need| (need.service.clone(), (need.endpoints)()));
        let needs: BTreeMap<_, _> = needs.collect();
        let whole = checks.iter().all(|check| check.ready)
            && needs.values().all(|need| need.connected > 0)
            && registry.as_ref().is_none_or(RegistryReport::is_whole);
        let degraded = ready && !whole;
        Report { service: self.service.clone(), ready, degraded, state, checks, needs, registry }
    }
}

/// What a server says of its readiness.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The service's name.
    pub service: String,
    /// Whether it serves, every required dependency answers, and the registry knows it where
    /// that is demanded.
    pub ready: bool,
    /// Whether it is ready, and yet something is amiss: a dependency that is not required,
    /// a called service without a connected endpoint, or a registry that does not know it or
    /// has registrations that give no endpoint.
    pub degraded: bool,
    /// Where it is in its life.
    pub state: State,
    /// Each dependency.
    pub checks: Vec<CheckReport>,
    /// Endpoints of each service that it calls. None of them connected makes it degraded and
    /// not unready: an outage of that service would take away all of its callers.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub needs: BTreeMap<String, Endpoints>,
    /// The registry, where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registry: Option<RegistryReport>,
}

/// What a dependency answered.
#[derive(Clone, Debug, Serialize)]
pub struct CheckReport {
    /// Its name.
    pub name: String,
    /// Whether the server is not ready without it.
    pub required: bool,
    /// Whether it can be used.
    pub ready: bool,
    /// How long it took to answer, in milliseconds.
    pub millis: u128,
    /// Why it cannot be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;
    use crate::lifecycle::{Drain, Lifecycle};

    fn status(lifecycle: &Lifecycle, checks: Vec<Check>) -> Status {
        Status::new("greeter", lifecycle.watch(), checks.into(), Vec::new(), None)
    }

    #[tokio::test]
    async fn a_server_is_ready_while_it_serves() {
        let lifecycle = Lifecycle::new();
        let status = status(&lifecycle, vec![Check::new("db", || ready(Ok::<_, String>(())))]);
        assert!(!status.report().await.ready);
        lifecycle.set(State::Serving);
        assert!(status.report().await.ready);
        lifecycle.set(State::Draining);
        assert!(!status.report().await.ready);
    }

    #[tokio::test(start_paused = true)]
    async fn what_waits_hears_of_the_drain() {
        let lifecycle = Lifecycle::new();
        lifecycle.set(State::Serving);
        let drain = Drain(lifecycle.watch());
        let patience = Duration::from_secs(1);
        assert!(timeout(patience, drain.begun()).await.is_err());
        lifecycle.set(State::Draining);
        drain.begun().await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_dependency_that_fails_or_hangs_is_named() {
        let lifecycle = Lifecycle::new();
        lifecycle.set(State::Serving);
        let status = status(
            &lifecycle,
            vec![
                Check::new("fine", || ready(Ok::<_, String>(()))),
                Check::new("broken", || ready(Err("out of disk"))),
                Check::new("stuck", pending::<Result<(), String>>),
            ],
        );
        let report = status.report().await;
        assert!(!report.ready);
        let errors: Vec<_> = report.checks.iter().map(|check| check.error.as_deref()).collect();
        assert_eq!(errors, [None, Some("out of disk"), Some("no answer within 3s")]);
    }

    #[tokio::test]
    async fn without_what_is_not_required_it_is_ready_and_says_that_it_is_degraded() {
        let lifecycle = Lifecycle::new();
        lifecycle.set(State::Serving);
        let keys = |known: bool| {
            let answer = if known { Ok(()) } else { Err("nobody publishes them") };
            Check::new("keys", move || ready(answer)).optional()
        };
        let report = status(&lifecycle, vec![keys(false)]).report().await;
        assert_eq!((report.ready, report.degraded), (true, true));
        assert_eq!(report.checks[0].error.as_deref(), Some("nobody publishes them"));
        let report = status(&lifecycle, vec![keys(true)]).report().await;
        assert_eq!((report.ready, report.degraded), (true, false));
        let broken = Check::new("db", || ready(Err("out of disk")));
        let report = status(&lifecycle, vec![keys(false), broken]).report().await;
        assert_eq!((report.ready, report.degraded), (false, false));
    }
}
