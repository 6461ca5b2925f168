//! Where a server is in its life, told to everybody who has to know: the health
//! service, readiness, and the drain itself.

use tokio::sync::watch;

/// Where a server is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Made, not yet serving.
    Starting,
    /// Accepting calls.
    Serving,
    /// Finishing what is in flight, or done.
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

/// The beginning of a server's drain.
#[derive(Clone, Debug)]
pub struct Drain(pub(crate) watch::Receiver<State>);

impl Drain {
    /// Returns once the server drains or is gone: what only waits should end then.
    pub async fn begun(&self) {
        // An error says that the server is gone.
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
