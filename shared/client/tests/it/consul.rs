//! Steady calls while a real Consul fails in every way. No call is lost, and later changes are
//! found.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use gantry_client::Channel;
use gantry_consul_agent::{Agent, KEPT, Partition};
use gantry_discovery::{Kind, Registration, Registry, Settings, Status};
use tokio::{task::JoinSet, time::sleep};

use crate::{
    caller::{ADD, Setup, builder, call, within},
    server::{Server, answer, reply},
};

const HEALTH: &str = "/grpc.health.v1.Health/Check";

/// Starts a server that passes Consul's health check and answers all other calls with its address.
async fn replica() -> Server {
    Server::answering(|hit| async move {
        if hit.request.uri().path() == HEALTH {
            // A HealthCheckResponse with the status SERVING.
            let serving = Bytes::from_static(&[0, 0, 0, 0, 2, 0x08, 0x01]);
            return answer([serving], &[("grpc-status", "0")]);
        }
        reply(&hit.address.to_string())
    })
    .await
}

fn setup(agent: &Agent, change: impl FnOnce(&mut Settings)) -> Setup {
    let mut settings = Settings::default().kind(Kind::Consul);
    settings.consul.url = agent.url();
    settings.consul.check_interval = Duration::from_secs(1);
    change(&mut settings);
    let registry = Registry::from_settings(&settings).unwrap();
    let channel = builder(&registry).build().unwrap();
    Setup { registry, channel }
}

/// Non-repeatable calls from several tasks, until it ends.
struct Steady {
    answered: Arc<Mutex<BTreeMap<String, usize>>>,
    callers: JoinSet<tonic::Status>,
}

impl Steady {
    fn start(channel: &Channel) -> Self {
        let answered = Arc::<Mutex<BTreeMap<String, usize>>>::default();
        let mut callers = JoinSet::new();
        for _ in 0..4 {
            let (channel, answered) = (channel.clone(), Arc::clone(&answered));
            callers.spawn(async move {
                loop {
                    match call(&channel, ADD).await {
                        Ok(by) => *answered.lock().unwrap().entry(by).or_default() += 1,
                        Err(status) => return status,
                    }
                    sleep(Duration::from_millis(5)).await;
                }
            });
        }
        Self { answered, callers }
    }

    fn by(&self, address: SocketAddr) -> usize {
        self.answered.lock().unwrap().get(&address.to_string()).copied().unwrap_or_default()
    }

    /// Waits until each of these servers has answered twenty more calls.
    async fn reach(&mut self, servers: &[&Server]) {
        for server in servers {
            let enough = self.by(server.address) + 20;
            within("further calls", || {
                let by = self.by(server.address);
                (by >= enough).then_some(()).ok_or((server.address, by))
            })
            .await;
        }
        self.lost_none();
    }

    fn lost_none(&mut self) {
        assert!(self.callers.try_join_next().is_none(), "a call was lost");
    }

    async fn end(mut self) {
        self.callers.abort_all();
        while let Some(ended) = self.callers.join_next().await {
            // The calls in flight at the end are not lost.
            assert!(ended.as_ref().is_err_and(|error| error.is_cancelled()), "{ended:?}");
        }
    }
}

async fn is_stale(setup: &Setup) {
    within("stale set", || match setup.channel.snapshot().registry {
        Status::Stale { .. } => Ok(()),
        other => Err(other),
    })
    .await;
}

async fn finds(setup: &Setup, count: usize) {
    within("endpoints", || {
        let snapshot = setup.channel.snapshot();
        let listed: Vec<_> = snapshot.endpoints.iter().filter(|one| one.listed).collect();
        let connected = listed.iter().all(|one| one.connections > 0);
        let live = matches!(snapshot.registry, Status::Live { .. });
        let found = live && connected && listed.len() == count;
        found.then_some(()).ok_or_else(|| format!("{snapshot:?}"))
    })
    .await;
}

/// Two replicas, registered in Consul and connected.
async fn two(setup: &Setup) -> [(Server, Registration); 2] {
    let (first, second) = (replica().await, replica().await);
    let registrations = (setup.register(first.address).await, setup.register(second.address).await);
    finds(setup, 2).await;
    [(first, registrations.0), (second, registrations.1)]
}

async fn restarts(mut agent: Agent) {
    let setup = setup(&agent, |_| {});
    let [(first, _first), (second, _second)] = two(&setup).await;
    let mut steady = Steady::start(&setup.channel);
    agent.kill();
    is_stale(&setup).await;
    steady.reach(&[&first, &second]).await;
    agent.restart().await;
    let third = replica().await;
    let _third = setup.register(third.address).await;
    steady.reach(&[&third]).await;
    finds(&setup, 3).await;
    steady.reach(&[&first, &second, &third]).await;
    steady.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_restarts_without_its_data_costs_no_call() {
    restarts(Agent::start().await).await;
}

/// Every instance is critical until Consul has checked it again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_restarts_with_its_data_costs_no_call() {
    restarts(Agent::start_with(KEPT).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_is_killed_costs_no_call() {
    let [mut leader, follower, _other] = Agent::cluster().await;
    let setup = setup(&follower, |_| {});
    let [(first, _first), (second, _second)] = two(&setup).await;
    let mut steady = Steady::start(&setup.channel);
    leader.kill();
    steady.reach(&[&first, &second]).await;
    // A replica joins while there is no leader.
    let third = replica().await;
    let _third = setup.register(third.address).await;
    steady.reach(&[&first, &second, &third]).await;
    finds(&setup, 3).await;
    steady.end().await;
}

/// The leaving replica cannot reach Consul either.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_costs_no_call_even_while_a_replica_drains() {
    let agent = Agent::start_at(Ipv4Addr::new(127, 0, 0, 10)).await;
    let setup = setup(&agent, |settings| {
        settings.consul.wait = Duration::from_secs(1);
        settings.consul.timeout = Duration::from_secs(1);
    });
    let [(first, _first), (second, second_registered)] = two(&setup).await;
    let mut steady = Steady::start(&setup.channel);
    let partition = Partition::before(&agent);
    is_stale(&setup).await;
    steady.reach(&[&first, &second]).await;
    let third = replica().await;
    let _third = setup.register(third.address).await;
    second_registered.deregister().await;
    second.drain().await;
    steady.reach(&[&first]).await;

    drop(partition);
    // Consul's own check finds that the second is gone.
    steady.reach(&[&first, &third]).await;
    finds(&setup, 2).await;
    steady.end().await;
}
