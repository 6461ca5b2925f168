//! Who takes turns with others, so that all of them meet the same machine.

use std::time::Duration;

use super::{
    args::RunArgs,
    callers::Caller,
    error::BenchError,
    load::{Spent, spend},
    replica::Replica,
    stats::Runs,
};

/// How many call at once.
const CALLERS: usize = 64;

/// A turn takes at most so long: the moods of a busy machine last longer.
const TURN: Duration = Duration::from_millis(250);

/// One of those that are compared.
#[derive(Debug)]
pub(super) struct Contender<C> {
    callers: Vec<C>,
    /// Whose processor time counts; without it that of this process, which is the client's.
    server: Option<Replica>,
    spent: Spent,
    /// Calls a second, run by run.
    pub(super) rate: Runs,
    /// Microseconds of processor time a call, run by run.
    pub(super) cpu: Runs,
}

impl<C: Caller> Contender<C> {
    /// The callers are shared among the tasks that call.
    pub(super) fn new(callers: Vec<C>) -> Self {
        let (spent, rate, cpu) = Default::default();
        Self { callers, server: None, spent, rate, cpu }
    }

    /// Counts the processor time of this server instead of the client's.
    pub(super) fn judged_by(self, server: Replica) -> Self {
        Self { server: Some(server), ..self }
    }

    /// Calls without being measured, so that buffers and estimates are as they will be.
    pub(super) async fn warm_up(&self) -> Result<(), BenchError> {
        spend(&self.callers, CALLERS, TURN).await.map(drop)
    }

    /// Takes one of the turns of a run.
    pub(super) async fn turn(&mut self, run: &RunArgs) -> Result<(), BenchError> {
        let before = self.server_cpu().await?;
        let mut spent = spend(&self.callers, CALLERS, run.window() / turns(run)).await?;
        if let (Some(before), Some(after)) = (before, self.server_cpu().await?) {
            spent.cpu = after - before;
        }
        self.spent += spent;
        Ok(())
    }

    async fn server_cpu(&mut self) -> Result<Option<Duration>, BenchError> {
        match &mut self.server {
            Some(server) => server.cpu().await.map(Some),
            None => Ok(None),
        }
    }

    /// The run is over.
    pub(super) fn end_run(&mut self) {
        let spent = std::mem::take(&mut self.spent);
        self.rate.push(spent.rate());
        self.cpu.push(spent.cpu_a_call());
    }
}

/// How many turns there are in a run.
pub(super) fn turns(run: &RunArgs) -> u32 {
    run.window().div_duration_f64(TURN).ceil() as u32
}
