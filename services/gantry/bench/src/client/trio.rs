//! Three replicas with a service time of 5 ms, under calls of every idempotency.

use std::{
    collections::{BTreeMap, HashSet},
    net::SocketAddr,
    path::PathBuf,
    time::Duration,
};

use tempfile::TempDir;

use crate::{
    callers::Method,
    error::BenchError,
    load::{Call, Outcome, Work},
    progress,
    replica::{Behaviour, Plan, Replica},
    row::{Bound::AtMost, Row, Target::Value},
    stats::{Runs, percentile},
};

/// Service time of a healthy replica.
pub(super) const SERVICE_TIME: Duration = Duration::from_millis(5);

pub(super) const HEALTHY: Behaviour = Behaviour::Delay(SERVICE_TIME);

/// Numbers of callers: few, and more than a connection has streams.
pub(super) const CALLERS: [usize; 2] = [16, 256];

/// A third of the calls is not idempotent.
pub(super) const ALL_KINDS: &[Method] = &[Method::Read, Method::Put, Method::Add];

pub(super) fn work(callers: usize, methods: &'static [Method]) -> Work {
    Work { callers, methods, pause: Duration::ZERO }
}

/// Three replicas. The last one gets sick.
#[derive(Debug)]
pub(super) struct Trio {
    replicas: Vec<Replica>,
    pub(super) addresses: Vec<SocketAddr>,
    journal: Option<PathBuf>,
}

impl Trio {
    pub(super) async fn start(journal: Option<PathBuf>) -> Result<Self, BenchError> {
        let mut trio = Self { replicas: Vec::new(), addresses: Vec::new(), journal };
        for number in 0..3 {
            let replica = Replica::start(&trio.plan(number, 0)).await?;
            trio.addresses.push(replica.address()?);
            trio.replicas.push(replica);
        }
        Ok(trio)
    }

    fn plan(&self, number: u32, port: u16) -> Plan {
        let journal = self.journal.clone();
        Plan { number, behaviour: HEALTHY, port, ports: 1, journal, ..Plan::default() }
    }

    fn sick(&mut self) -> Result<&mut Replica, BenchError> {
        self.replicas.last_mut().ok_or(BenchError::Nonsense("no replica".to_owned()))
    }

    /// Changes the behaviour of the last replica.
    pub(super) async fn behave(&mut self, behaviour: Behaviour) -> Result<(), BenchError> {
        self.sick()?.behave(behaviour).await
    }

    /// Kills the last replica.
    pub(super) async fn kill(&mut self) -> Result<(), BenchError> {
        match self.replicas.pop() {
            Some(replica) => replica.kill().await,
            None => Ok(()),
        }
    }

    /// Restarts the killed replica at its address.
    pub(super) async fn revive(&mut self) -> Result<(), BenchError> {
        let number = self.replicas.len();
        let plan = self.plan(number as u32, self.addresses[number].port());
        self.replicas.push(Replica::start(&plan).await?);
        Ok(())
    }

    /// Returns the calls that each replica received so far.
    pub(super) async fn calls(&mut self) -> Result<Reached, BenchError> {
        let sick = self.sick()?.calls().await?;
        let mut all = 0;
        for replica in &mut self.replicas {
            all += replica.calls().await?;
        }
        Ok(Reached { sick, all })
    }
}

/// Calls received by the last replica and by all, as the replicas count.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reached {
    sick: u64,
    all: u64,
}

impl Reached {
    /// Returns the sick replica's share since then, in percent.
    pub(super) fn share_since(self, before: Self) -> f64 {
        100.0 * (self.sick - before.sick) as f64 / (self.all - before.all) as f64
    }
}

/// Returns the 99th percentile of the callers' latency, in milliseconds.
pub(super) fn p99<'a>(calls: impl IntoIterator<Item = &'a Call>) -> f64 {
    percentile(calls.into_iter().map(Call::took).collect(), 99.0)
}

/// Failed calls, summed over all runs: a median would hide a single failure.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Failures {
    repeatable: u32,
    others: u32,
    unexplained: u32,
}

impl Failures {
    /// Counts the failed calls and prints them by kind.
    pub(super) fn add(&mut self, calls: &[Call]) {
        let mut kinds = BTreeMap::<_, u32>::new();
        for call in calls.iter().filter(|call| call.has_failed()) {
            *kinds.entry(format!("{:?} {:?}", call.method, call.outcome)).or_default() += 1;
            if call.method != Method::Add {
                self.repeatable += 1;
                continue;
            }
            self.others += 1;
            if call.outcome != Outcome::Unknown {
                self.unexplained += 1;
            }
        }
        if !kinds.is_empty() {
            progress(&format!("    failed: {kinds:?}"));
        }
    }

    /// All failed calls.
    pub(super) fn all(self) -> u32 {
        self.repeatable + self.others
    }

    /// Failed calls that could have been retried.
    pub(super) fn repeatable(self, name: String, tonic: &Self) -> Row {
        let (ours, theirs) = (total(self.repeatable), total(tonic.repeatable));
        let row = Row::new(name, "in all", &ours).against("tonic balance_list", &ours, &theirs);
        row.target(Value(AtMost(0.0)))
    }

    /// Failed calls that must not be retried.
    pub(super) fn others(self, name: String, tonic: &Self) -> Row {
        let (ours, theirs) = (total(self.others), total(tonic.others));
        Row::new(name, "in all", &ours).against("tonic balance_list", &ours, &theirs)
    }

    /// Of those, the ones whose error is not OUTCOME_UNKNOWN.
    pub(super) fn unexplained(self, name: String) -> Row {
        Row::new(name, "in all", &total(self.unexplained)).target(Value(AtMost(0.0)))
    }
}

/// Creates a row of one number over all runs.
pub(super) fn total(count: u32) -> Runs {
    [f64::from(count)].into_iter().collect()
}

/// Executions of non-idempotent calls, as the replicas recorded them.
#[derive(Debug)]
pub(super) struct Journal(TempDir);

impl Journal {
    pub(super) fn new() -> Result<Self, BenchError> {
        TempDir::new().map(Self).map_err(BenchError::Replica)
    }

    pub(super) fn path(&self) -> PathBuf {
        self.0.path().join("journal")
    }

    /// Counts the calls that were executed more than once.
    pub(super) fn doubles(&self, name: &str) -> Result<Row, BenchError> {
        let bytes = std::fs::read(self.path()).map_err(BenchError::Replica)?;
        let (executed, _) = bytes.as_chunks::<8>();
        let different: HashSet<_> = executed.iter().collect();
        let doubles = executed.len() - different.len();
        Ok(Row::new(name, "in all", &total(doubles as u32)).target(Value(AtMost(0.0))))
    }
}
