//! Replicas as real processes, so that a kill is real and processor time is attributed.
//!
//! A replica is this program again. It prints its addresses, reads its behaviour from standard input,
//! and ends when that is closed, so no replica outlives the benchmark.

mod behaviour;
mod serve;
mod users;

use std::{io, net::SocketAddr, path::PathBuf, process::Stdio, time::Duration};

use clap::ValueEnum;
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    time::timeout,
};

pub(crate) use behaviour::{Behaviour, Served};
pub(super) use serve::serve;

use super::{
    error::BenchError,
    traces::TraceArgs,
    valgrind::{callgrind, collected, not_started},
};

/// Start timeout: longer than a start takes on a busy machine.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

/// Parameters of a replica.
#[derive(Clone, Debug, Default)]
pub(super) struct Plan {
    pub(super) number: u32,
    pub(super) behaviour: Behaviour,
    /// First port; 0 takes any free one.
    pub(super) port: u16,
    /// Number of ports that it listens on.
    pub(super) ports: u32,
    pub(super) journal: Option<PathBuf>,
    pub(super) served: Served,
    /// Number of calls that the handler works on concurrently; `None` is unlimited.
    pub(super) slots: Option<u32>,
    /// Consul agent to register at.
    pub(super) consul: Option<String>,
    /// Database of the users that it serves.
    pub(super) database: Option<String>,
    /// True if its instructions are counted.
    pub(super) counted: bool,
    pub(super) traces: TraceArgs,
}

/// Running replica. Killed when dropped.
#[derive(Debug)]
pub(super) struct Replica {
    child: Child,
    stdin: ChildStdin,
    stdout: Lines<BufReader<ChildStdout>>,
    pub(super) addresses: Vec<SocketAddr>,
}

impl Replica {
    /// Starts a replica and waits until it listens.
    pub(super) async fn start(plan: &Plan) -> Result<Self, BenchError> {
        let program = std::env::current_exe().map_err(BenchError::Replica)?;
        let mut command = match plan.counted {
            true => callgrind(&program, None),
            false => Command::new(program),
        };
        command.args(["replica", "--number", &plan.number.to_string()]);
        command.args(["--behaviour", &plan.behaviour.to_string()]);
        command.args(["--port", &plan.port.to_string(), "--ports", &plan.ports.to_string()]);
        if let Some(journal) = &plan.journal {
            command.arg("--journal").arg(journal);
        }
        if let Some(served) = plan.served.to_possible_value() {
            command.args(["--served", served.get_name()]);
        }
        if let Some(slots) = plan.slots {
            command.args(["--slots", &slots.to_string()]);
        }
        plan.traces.add_to(&mut command);
        if let Some(consul) = &plan.consul {
            command.args(["--consul", consul]);
        }
        if let Some(database) = &plan.database {
            command.args(["--database", database]);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        if plan.counted {
            command.stderr(Stdio::piped());
        }
        let mut child = command.spawn().map_err(|error| match plan.counted {
            true => not_started(error),
            false => BenchError::Replica(error),
        })?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(BenchError::Replica(io::ErrorKind::BrokenPipe.into()));
        };
        let stdout = BufReader::new(stdout).lines();
        let mut replica = Self { child, stdin, stdout, addresses: Vec::new() };
        let line = replica.line().await?;
        replica.addresses =
            serde_json::from_str(&line).map_err(|_| BenchError::Nonsense(line.clone()))?;
        Ok(replica)
    }

    /// Returns its first address.
    pub(super) fn address(&self) -> Result<SocketAddr, BenchError> {
        self.addresses.first().copied().ok_or(BenchError::Nonsense("no address".to_owned()))
    }

    /// Changes its behaviour.
    pub(super) async fn behave(&mut self, behaviour: Behaviour) -> Result<(), BenchError> {
        // The replica answers after the change.
        self.ask(&behaviour.to_string()).await.map(drop)
    }

    /// Returns the calls that it received so far.
    pub(super) async fn calls(&mut self) -> Result<u64, BenchError> {
        let line = self.ask("calls").await?;
        line.parse().map_err(|_| BenchError::Nonsense(line))
    }

    /// Returns the processor time that it used so far.
    pub(super) async fn cpu(&mut self) -> Result<Duration, BenchError> {
        let line = self.ask("cpu").await?;
        line.parse().map(Duration::from_nanos).map_err(|_| BenchError::Nonsense(line))
    }

    /// Ends it and returns the instructions of its lifetime.
    pub(super) async fn instructions(self) -> Result<f64, BenchError> {
        let Self { child, stdin, .. } = self;
        drop(stdin);
        collected(&child.wait_with_output().await.map_err(BenchError::Replica)?)
    }

    /// Kills it with SIGKILL.
    pub(super) async fn kill(mut self) -> Result<(), BenchError> {
        self.child.kill().await.map_err(BenchError::Replica)
    }

    /// Stops it with SIGTERM and waits for its end.
    pub(super) async fn terminate(mut self) -> Result<(), BenchError> {
        if let Some(pid) = self.child.id().and_then(|id| Pid::from_raw(id.cast_signed())) {
            kill_process(pid, Signal::TERM).map_err(|error| BenchError::Replica(error.into()))?;
        }
        self.child.wait().await.map(drop).map_err(BenchError::Replica)
    }

    async fn ask(&mut self, line: &str) -> Result<String, BenchError> {
        let line = format!("{line}\n");
        self.stdin.write_all(line.as_bytes()).await.map_err(BenchError::Replica)?;
        self.line().await
    }

    async fn line(&mut self) -> Result<String, BenchError> {
        let line = timeout(ANSWER_TIMEOUT, self.stdout.next_line())
            .await
            .map_err(|_| BenchError::Late("a replica did not answer", ANSWER_TIMEOUT))?;
        match line.map_err(BenchError::Replica)? {
            Some(line) => Ok(line),
            None => Err(BenchError::Nonsense(String::new())),
        }
    }
}
