//! Loss of a leader, and dropped packets.

use std::{
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use gantry_consul_agent::{Agent, Partition};
use gantry_discovery::{RegistrationState, Watch};
use tokio::{task::JoinHandle, time::sleep};
use tonic::transport::Endpoint;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use super::{
    NeverEmpty, agent::Reached, eventually, is_live, is_stale, registry, serving::Serving,
};
use crate::contract::{ports, sees};

/// Calls the first endpoint of the watch in a loop.
struct Calls {
    done: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Calls {
    fn from_now_on(watch: &Watch) -> Self {
        let mut watch = watch.clone();
        let done = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&done);
        let task = tokio::spawn(async move {
            loop {
                let address = watch.current().endpoints()[0].address;
                let channel = Endpoint::from_shared(format!("http://{address}")).unwrap();
                let mut health = HealthClient::new(channel.connect().await.unwrap());
                health.check(HealthCheckRequest::default()).await.unwrap();
                counted.fetch_add(1, Ordering::Relaxed);
                sleep(Duration::from_millis(20)).await;
            }
        });
        Self { done, task }
    }

    /// Waits until more calls have succeeded.
    async fn go_on(&self) {
        let enough = self.done.load(Ordering::Relaxed) + 5;
        let called = async || {
            assert!(!self.task.is_finished(), "a call failed");
            (self.done.load(Ordering::Relaxed) >= enough).then_some(())
        };
        eventually("calls go on", called).await;
    }

    async fn end(self) {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled(), "a call failed");
    }
}

#[tokio::test]
async fn a_killed_leader_costs_no_endpoint_and_no_call() {
    let [mut leader, follower, _other] = Agent::cluster().await;
    let registry = registry(follower.settings());
    let (server, later) = (Serving::start().await, Serving::start().await);
    let mut watch = registry.resolver.watch("user");
    let registration = registry.registrar.register(server.instance("user")).await.unwrap();
    sees(&mut watch, &[server.port()]).await;
    let never_empty = NeverEmpty::from_now_on(&watch);
    let calls = Calls::from_now_on(&watch);

    leader.kill();
    calls.go_on().await;
    // An instance that registers without a leader is published once there is one.
    let _later = registry.registrar.register(later.instance("user")).await.unwrap();
    let both = async || (watch.current().len() == 2).then_some(());
    eventually("the watch catches up", both).await;
    is_live(&watch).await;
    calls.go_on().await;
    calls.end().await;
    never_empty.end().await;
    let registered = async || (registration.state() == RegistrationState::Registered).then_some(());
    eventually("it is still registered", registered).await;
}

#[tokio::test]
async fn without_a_quorum_the_last_endpoints_stay() {
    let [mut leader, follower, mut other] = Agent::cluster().await;
    let mut settings = follower.settings();
    settings.wait = Duration::from_secs(1);
    let registry = registry(settings);
    let server = Serving::start().await;
    let mut watch = registry.resolver.watch("user");
    let _registration = registry.registrar.register(server.instance("user")).await.unwrap();
    sees(&mut watch, &[server.port()]).await;
    let never_empty = NeverEmpty::from_now_on(&watch);
    let calls = Calls::from_now_on(&watch);

    leader.kill();
    other.kill();
    let why = is_stale(&watch).await;
    assert!(why.contains("leader"), "{why}");
    calls.go_on().await;
    other.spawn();
    is_live(&watch).await;
    assert_eq!(ports(&watch.current()), [server.port()]);
    calls.end().await;
    never_empty.end().await;
}

#[tokio::test]
async fn dropped_packets_cost_no_endpoint_and_no_call() {
    let agent = Agent::start_at(Ipv4Addr::new(127, 0, 0, 9)).await;
    let mut settings = agent.settings();
    settings.wait = Duration::from_secs(1);
    settings.timeout = Duration::from_secs(1);
    let registry = registry(settings);
    let (server, later) = (Serving::start().await, Serving::start().await);
    let mut watch = registry.resolver.watch("user");
    let registration = registry.registrar.register(server.instance("user")).await.unwrap();
    sees(&mut watch, &[server.port()]).await;
    let never_empty = NeverEmpty::from_now_on(&watch);
    let calls = Calls::from_now_on(&watch);

    let partition = Partition::before(&agent);
    let why = is_stale(&watch).await;
    assert!(why.contains("did not answer within") || why.contains("unreachable"), "{why}");
    let lost = async || match registration.state() {
        RegistrationState::Retrying { .. } => Some(()),
        RegistrationState::Registered => None,
    };
    eventually("the registration is in doubt", lost).await;
    let _later = registry.registrar.register(later.instance("user")).await.unwrap();
    calls.go_on().await;
    assert_eq!(ports(&watch.current()), [server.port()]);

    drop(partition);
    let both = async || (watch.current().len() == 2).then_some(());
    eventually("the watch catches up", both).await;
    is_live(&watch).await;
    assert_eq!(agent.registrations(), 2, "the first was made again");
    calls.end().await;
    never_empty.end().await;
}
