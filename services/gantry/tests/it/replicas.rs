//! Replicas of a server as processes on a real Consul agent, restarted under load. Each records its
//! executions in a journal; the tests count them.

use std::{
    collections::HashMap,
    fs,
    net::SocketAddr,
    path::PathBuf,
    time::{Duration, Instant},
};

use gantry_client::Channel;
use gantry_consul_agent::Agent;
use gantry_contract::{GantryReason, Reason as _};
use gantry_replica::{
    CONTRACT,
    replica::v1::{AddRequest, PutRequest, replica_service_client::ReplicaServiceClient},
};
use tempfile::TempDir;
use tonic::Code;

use crate::{
    cluster::{at_consul, binary},
    load::{Load, connected, eventually},
    process::{Process, free_address},
    shop::id,
};

const REPLICAS: usize = 3;

/// Three replicas, each with a fixed address.
struct Replicas {
    running: Vec<Process>,
    addresses: Vec<SocketAddr>,
    agent: Agent,
    folder: TempDir,
    starts: usize,
}

impl Replicas {
    async fn start() -> Self {
        let addresses: Vec<_> = (0..REPLICAS).map(|_| free_address()).collect();
        let folder = tempfile::tempdir().unwrap();
        let mut replicas =
            Self { running: Vec::new(), addresses, agent: Agent::start().await, folder, starts: 0 };
        for number in 0..REPLICAS {
            let process = replicas.process(number);
            replicas.running.push(process);
        }
        replicas
    }

    /// Starts a process of a replica, with a journal of its own.
    fn process(&mut self, number: usize) -> Process {
        let mut command = binary("replica");
        command.arg(self.addresses[number].to_string()).arg(self.agent.url());
        command.arg(self.journal(self.starts));
        let mut process = Process::start(&mut command, &self.log(self.starts));
        self.starts += 1;
        process.until_logged("serving");
        process
    }

    /// Stops a replica with SIGTERM.
    fn terminate(&mut self, number: usize) {
        self.running[number].send_term();
        let status = self.running[number].wait();
        assert!(status.success(), "{}", self.running[number].log());
    }

    /// Restarts a replica under load, and waits until it receives calls. The registry first removes the
    /// registration of its earlier process.
    async fn start_again(&mut self, number: usize, channel: &Channel) {
        let journal = self.journal(self.starts);
        self.running[number] = self.process(number);
        connected(channel, REPLICAS).await;
        eventually("the replica is called again", || {
            fs::metadata(&journal).is_ok_and(|journal| journal.len() > 0)
        })
        .await;
    }

    /// Returns the path of the journal of a start.
    fn journal(&self, start: usize) -> PathBuf {
        self.folder.path().join(format!("{start}.journal"))
    }

    fn channel(&self) -> Channel {
        let builder = Channel::builder("replica").contract(&CONTRACT);
        builder.registry(at_consul(&self.agent)).build().unwrap()
    }

    /// Returns the number of executions of each call. Panics if a process executed none.
    fn executed(&self) -> HashMap<String, usize> {
        let mut executed = HashMap::new();
        for start in 0..self.starts {
            let journal = fs::read_to_string(self.journal(start)).unwrap();
            assert!(!journal.is_empty(), "process {start} got no call");
            for call in journal.lines() {
                *executed.entry(call.to_owned()).or_default() += 1;
            }
        }
        executed
    }

    fn log(&self, start: usize) -> PathBuf {
        self.folder.path().join(format!("{start}.log"))
    }

    fn logs(&self) -> String {
        (0..self.starts).map(|start| fs::read_to_string(self.log(start)).unwrap()).collect()
    }
}

/// Starts a load of calls that must not execute twice.
fn adding(channel: &Channel, callers: usize) -> Load {
    let client = ReplicaServiceClient::new(channel.clone());
    Load::start(callers, move || {
        let mut client = client.clone();
        async move { client.add(AddRequest { call_id: id() }).await.map(drop) }
    })
}

/// Starts a load of idempotent calls.
fn putting(channel: &Channel, callers: usize) -> Load {
    let client = ReplicaServiceClient::new(channel.clone());
    Load::start(callers, move || {
        let mut client = client.clone();
        async move { client.put(PutRequest { request_id: id() }).await.map(drop) }
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_that_restart_in_turn_lose_and_repeat_no_call() {
    /// Number of calls of the design. A slow machine stops at [`TIME`] instead.
    const CALLS: usize = 50_000;
    const TIME: Duration = Duration::from_secs(30);
    let mut replicas = Replicas::start().await;
    let channel = replicas.channel();
    connected(&channel, REPLICAS).await;
    let started = Instant::now();
    let (adding, putting) = (adding(&channel, 16), putting(&channel, 16));
    for number in 0..REPLICAS {
        adding.pass(500).await;
        replicas.terminate(number);
        replicas.start_again(number, &channel).await;
    }
    adding.pass(500).await;
    while adding.good() + putting.good() < CALLS && started.elapsed() < TIME {
        adding.pass(100).await;
    }
    let (adding, putting) = (adding.stop().await, putting.stop().await);
    adding.expect_no_failure(|| replicas.logs());
    putting.expect_no_failure(|| replicas.logs());
    let executed = replicas.executed();
    assert_eq!(executed.len(), adding.good + putting.good);
    let twice = executed.values().filter(|times| **times != 1).count();
    assert_eq!(twice, 0, "of {} calls", executed.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_replicas_fail_no_retriable_call_and_repeat_no_other() {
    let mut replicas = Replicas::start().await;
    let channel = replicas.channel();
    connected(&channel, REPLICAS).await;
    let (adding, putting) = (adding(&channel, 4), putting(&channel, 12));
    for turn in 0..6 {
        putting.pass(500).await;
        replicas.running[turn % REPLICAS].kill();
        putting.pass(500).await;
        replicas.start_again(turn % REPLICAS, &channel).await;
    }
    putting.pass(500).await;
    let (adding, putting) = (adding.stop().await, putting.stop().await);
    putting.expect_no_failure(|| replicas.logs());
    // A call in flight at a killed replica may have executed: its status says OUTCOME_UNKNOWN.
    for status in &adding.failed {
        assert_eq!(status.code(), Code::Unavailable, "{status:?}");
        assert!(GantryReason::OutcomeUnknown.is_given_by(status), "{status:?}");
    }
    // At most the calls in flight: one for each caller and each kill.
    assert!(adding.failed.len() <= 6 * 4, "{} of {}", adding.failed.len(), adding.good);
    let (added, put): (Vec<_>, Vec<_>) =
        replicas.executed().into_iter().partition(|(call, _)| call.starts_with("add"));
    assert!(added.iter().all(|(_, times)| *times == 1));
    assert!(added.len() >= adding.good && added.len() <= adding.good + adding.failed.len());
    assert_eq!(put.len(), putting.good);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_of_consul_without_its_data_fails_no_call() {
    let mut replicas = Replicas::start().await;
    let channel = replicas.channel();
    connected(&channel, REPLICAS).await;
    let (adding, putting) = (adding(&channel, 8), putting(&channel, 8));
    adding.pass(500).await;
    replicas.agent.kill();
    adding.pass(500).await;
    replicas.agent.restart().await;
    // Registered at the start and once again since.
    for replica in &mut replicas.running {
        replica.until_logged_again("registered at consul", 2);
    }
    adding.pass(500).await;
    // Later changes reach the channel.
    replicas.terminate(0);
    connected(&channel, REPLICAS - 1).await;
    replicas.start_again(0, &channel).await;
    adding.pass(500).await;
    let (adding, putting) = (adding.stop().await, putting.stop().await);
    adding.expect_no_failure(|| replicas.logs());
    putting.expect_no_failure(|| replicas.logs());
    let executed = replicas.executed();
    assert_eq!(executed.len(), adding.good + putting.good);
    assert!(executed.values().all(|times| *times == 1));
}
