//! State of a server, shared with health, readiness and the drain.

use tokio::sync::watch;

/// State of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Built, not yet serving.
    Starting,
    /// Accepting calls.
    Serving,
    /// Finishing calls in flight, or done.
    Draining,
}

impl State {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Serving => "serving",
            Self::Draining => "draining",
        }
    }
}

/// Notification of a server's drain.
#[derive(Clone, Debug)]
pub struct Drain(pub(crate) watch::Receiver<State>);

impl Drain {
    /// Waits until the server drains or is dropped. Use it to end waits in handlers.
    pub async fn begun(&self) {
        // An error means that the server was dropped.
        let _ = self.0.clone().wait_for(|state| *state == State::Draining).await;
    }
}

/// Sender of the state of a server.
#[derive(Clone, Debug)]
pub(crate) struct Lifecycle(watch::Sender<State>);

impl Lifecycle {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(State::Starting))
    }

    pub(crate) fn set(&self, state: State) {
        self.0.send_replace(state);
    }

    pub(crate) fn watch(&self) -> watch::Receiver<State> {
        self.0.subscribe()
    }
}
