//! Tests of the Consul adapter, with real agents and with a scripted one.

mod acl;
mod agent;
mod churn;
mod heartbeat;
mod nonsense;
mod outages;
mod pacing;
mod partition;
mod registering;
mod scripted;
mod secrecy;
mod serving;
mod supervising;
mod tls;
mod watching;

use std::time::Duration;

use gantry_discovery::{Registry, Settings, Status, Watch, consul};
use tokio::time::{sleep, timeout};

/// Guard against a hanging test. Generous, because the machine may be busy.
const TEST_TIMEOUT: Duration = Duration::from_secs(60);

/// Creates the registry from settings, as a process does.
fn registry(consul: consul::Settings) -> Registry {
    let mut settings: Settings = toml::from_str("kind = \"consul\"").unwrap();
    settings.consul = consul;
    Registry::from_settings(&settings).unwrap()
}

/// Waits until `probe` returns a value.
async fn eventually<T>(what: &str, mut probe: impl AsyncFnMut() -> Option<T>) -> T {
    let probing = async {
        loop {
            match probe().await {
                Some(found) => return found,
                None => sleep(Duration::from_millis(20)).await,
            }
        }
    };
    timeout(TEST_TIMEOUT, probing).await.unwrap_or_else(|_| panic!("never happened: {what}"))
}

async fn is_live(watch: &Watch) {
    let live = async || matches!(watch.status(), Status::Live { .. }).then_some(());
    eventually("consul answers", live).await;
}

/// Waits until the set is stale. Returns the reason.
async fn is_stale(watch: &Watch) -> String {
    let stale = async || match watch.status() {
        Status::Stale { why, .. } => Some(why),
        _ => None,
    };
    eventually("the set is stale", stale).await
}

/// Returns the reason why the set is pending, once there is one.
async fn is_pending(watch: &Watch) -> String {
    let pending = async || match watch.status() {
        Status::Pending { why } => why,
        other => panic!("expected a pending set, got {other:?}"),
    };
    eventually("a reason is given", pending).await
}

/// Fails the test if an empty set is published after a full one.
struct NeverEmpty {
    task: tokio::task::JoinHandle<()>,
}

impl NeverEmpty {
    fn from_now_on(watch: &Watch) -> Self {
        let mut watch = watch.clone();
        let task = tokio::spawn(async move {
            loop {
                assert!(!watch.current().is_empty(), "an empty set was published");
                watch.changed().await;
            }
        });
        Self { task }
    }

    async fn end(self) {
        self.task.abort();
        let ended = self.task.await.unwrap_err();
        assert!(ended.is_cancelled(), "{ended}");
    }
}
