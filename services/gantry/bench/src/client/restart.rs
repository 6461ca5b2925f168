//! Failed calls while three replicas with the whole server stack, registered in Consul, are restarted
//! in turn under load.

use std::{net::SocketAddr, time::Duration};

use tokio::time::sleep;

use super::trio::{Failures, Journal, total};
use crate::{
    callers::{Caller, Method, Ours, tonic_balanced},
    consul::{self, Agent},
    error::BenchError,
    load::{Load, Work},
    progress,
    replica::{Plan, Replica, Served},
    row::{
        Bound::{AtLeast, AtMost},
        Row,
        Target::Value,
    },
    stats::Runs,
};

/// Every second call is not idempotent.
const WORK: Work =
    Work { callers: 32, methods: &[Method::Read, Method::Add], pause: Duration::ZERO };

const CALLS: u64 = 50_000;

pub(super) async fn measure() -> Result<Vec<Row>, BenchError> {
    let agent = Agent::start().await?;
    let journal = Journal::new()?;
    let mut fleet = Fleet::start(&agent, &journal).await?;
    progress("  our client");
    let ours = fleet
        .roll(&Ours::within(consul::registry(&agent.url())?, Default::default())?.client)
        .await?;
    let doubles = journal.doubles("rolling restart: double executions")?;
    progress("  tonic balance_list");
    let tonic = fleet.roll(&tonic_balanced(&fleet.addresses)?).await?;
    const TONIC: &str = "tonic balance_list";
    let row = |name, ours: &Runs, theirs: &Runs| {
        Row::new(name, "in all", ours).against(TONIC, ours, theirs)
    };
    Ok(vec![
        row("rolling restart, 32 callers: calls", &ours.calls, &tonic.calls)
            .target(Value(AtLeast(CALLS as f64))),
        row("rolling restart, 32 callers: failed calls", &ours.failed, &tonic.failed)
            .target(Value(AtMost(0.0))),
        doubles,
    ])
}

/// Results as callers saw them.
struct Seen {
    calls: Runs,
    failed: Runs,
}

/// Replicas registered in Consul.
struct Fleet {
    url: String,
    journal: std::path::PathBuf,
    replicas: Vec<Replica>,
    addresses: Vec<SocketAddr>,
    /// Watches the service as callers do.
    watch: Ours,
}

impl Fleet {
    async fn start(agent: &Agent, journal: &Journal) -> Result<Self, BenchError> {
        let watch = Ours::within(consul::registry(&agent.url())?, Default::default())?;
        let (url, journal) = (agent.url(), journal.path());
        let mut fleet = Self { url, journal, replicas: Vec::new(), addresses: Vec::new(), watch };
        for number in 0..3 {
            let replica = fleet.replica(number, 0).await?;
            fleet.addresses.push(replica.address()?);
            fleet.replicas.push(replica);
        }
        fleet.watch.connected(fleet.replicas.len()).await?;
        Ok(fleet)
    }

    async fn replica(&self, number: usize, port: u16) -> Result<Replica, BenchError> {
        Replica::start(&Plan {
            number: number as u32,
            port,
            ports: 1,
            journal: Some(self.journal.clone()),
            served: Served::Ours,
            consul: Some(self.url.clone()),
            ..Plan::default()
        })
        .await
    }

    /// Restarts each replica in turn under load.
    async fn roll<C: Caller>(&mut self, caller: &C) -> Result<Seen, BenchError> {
        let load = Load::start(caller, WORK);
        sleep(Duration::from_millis(500)).await;
        for (number, address) in self.addresses.clone().into_iter().enumerate() {
            let replica = self.replicas.remove(0);
            replica.terminate().await?;
            self.watch.connected(self.replicas.len()).await?;
            let again = self.replica(number, address.port()).await?;
            self.replicas.push(again);
            self.watch.connected(self.replicas.len()).await?;
        }
        while load.ended() < CALLS {
            sleep(Duration::from_millis(50)).await;
        }
        let calls = load.finish().await;
        let mut failures = Failures::default();
        failures.add(&calls);
        Ok(Seen { calls: total(calls.len() as u32), failed: total(failures.all()) })
    }
}
