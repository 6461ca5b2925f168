//! Readiness of a server, and the checks of its dependencies.

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

/// Timeout of one check.
const CHECK_TIMEOUT: Duration = Duration::from_secs(3);

type Checking = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

/// Check of one dependency.
#[derive(Clone)]
pub(crate) struct Check {
    name: String,
    /// If false, the server without the dependency is degraded but ready.
    required: bool,
    check: Arc<dyn Fn() -> Checking + Send + Sync>,
}

impl Check {
    pub(crate) fn new<F, Fut, E>(name: &str, check: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: fmt::Display,
    {
        let check = move || -> Checking {
            let running = check();
            Box::pin(async move { running.await.map_err(|error| error.to_string()) })
        };
        Self { name: name.to_owned(), required: true, check: Arc::new(check) }
    }

    /// Makes the check optional: for a dependency that all replicas lose at the same time and can
    /// partly work without. If it were required, its outage would take down every replica.
    pub(crate) fn optional(self) -> Self {
        Self { required: false, ..self }
    }

    async fn run(&self) -> CheckReport {
        let started = Instant::now();
        let answer = timeout(CHECK_TIMEOUT, (self.check)()).await;
        let error = match answer {
            Ok(answer) => answer.err(),
            Err(_) => Some(format!("no answer within {CHECK_TIMEOUT:?}")),
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
    /// Reason if no endpoint is connected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Service that the server calls.
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

/// Handle on a server's readiness. Add it to an [`Admin`](crate::Admin).
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

    /// Returns the current state of the server.
    pub fn state(&self) -> State {
        *self.state.borrow()
    }

    /// Waits until the server is no longer starting. Returns its state: serving or draining.
    pub async fn started(&mut self) -> State {
        // A server that was dropped does not serve: report it as draining.
        self.state.wait_for(|state| *state != State::Starting).await.map_or(State::Draining, |s| *s)
    }

    /// Runs all checks concurrently, each with a timeout of 3 s.
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

/// Readiness of a server.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Name of the service.
    pub service: String,
    /// True if the server serves, every required dependency answers, and the server is registered
    /// where registration is required.
    pub ready: bool,
    /// True if the server is ready and something optional fails: an optional dependency, a called
    /// service without a connected endpoint, a registry that does not know the server, or a
    /// registration without an endpoint.
    pub degraded: bool,
    /// State of the server.
    pub state: State,
    /// Result of each check.
    pub checks: Vec<CheckReport>,
    /// Endpoints of each service that the server calls. If none is connected, the server is
    /// degraded and stays ready: otherwise an outage of that service would take down all its
    /// callers.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub needs: BTreeMap<String, Endpoints>,
    /// State of the registry, if the server has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registry: Option<RegistryReport>,
}

/// Result of a check.
#[derive(Clone, Debug, Serialize)]
pub struct CheckReport {
    /// Name of the dependency.
    pub name: String,
    /// True if the server is not ready without the dependency.
    pub required: bool,
    /// True if the dependency can be used.
    pub ready: bool,
    /// Duration of the check in milliseconds.
    pub millis: u128,
    /// Reason if the dependency cannot be used.
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
    async fn waits_end_when_the_drain_begins() {
        let lifecycle = Lifecycle::new();
        lifecycle.set(State::Serving);
        let drain = Drain(lifecycle.watch());
        let limit = Duration::from_secs(1);
        assert!(timeout(limit, drain.begun()).await.is_err());
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
    async fn a_server_without_an_optional_dependency_is_degraded() {
        let lifecycle = Lifecycle::new();
        lifecycle.set(State::Serving);
        let keys = |known: bool| {
            let answer = if known { Ok(()) } else { Err("no key is known") };
            Check::new("keys", move || ready(answer)).optional()
        };
        let report = status(&lifecycle, vec![keys(false)]).report().await;
        assert_eq!((report.ready, report.degraded), (true, true));
        assert_eq!(report.checks[0].error.as_deref(), Some("no key is known"));
        let report = status(&lifecycle, vec![keys(true)]).report().await;
        assert_eq!((report.ready, report.degraded), (true, false));
        let broken = Check::new("db", || ready(Err("out of disk")));
        let report = status(&lifecycle, vec![keys(false), broken]).report().await;
        assert_eq!((report.ready, report.degraded), (false, false));
    }
}
