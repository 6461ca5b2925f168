//! Who takes turns with others, so that all of them meet the same machine.

use std::time::Duration;

use crate::bench::{
    args::RunArgs,
    callers::Caller,
    error::BenchError,
    load::{Spent, spend},
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
    spent: Spent,
    /// Calls a second, run by run.
    pub(super) rate: Runs,
    /// Microseconds of processor time a call, run by run.
    pub(super) cpu: Runs,
}

impl<C: Caller> Contender<C> {
    /// The callers are shared among the tasks that call.
    pub(super) fn new(callers: Vec<C>) -> Self {
        Self { callers, spent: Spent::default(), rate: Runs::default(), cpu: Runs::default() }
    }

    /// Calls without being measured, so that buffers and estimates are as they will be.
    pub(super) async fn warm_up(&self) -> Result<(), BenchError> {
        spend(&self.callers, CALLERS, TURN).await.map(drop)
    }

    /// Takes one of the turns of a run.
    pub(super) async fn turn(&mut self, run: &RunArgs) -> Result<(), BenchError> {
        self.spent += spend(&self.callers, CALLERS, run.window() / turns(run)).await?;
        Ok(())
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
