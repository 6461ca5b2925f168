//! Contenders take turns, so that all of them meet the same machine.

use std::{pin::Pin, time::Duration};

use super::{
    args::RunArgs,
    callers::Caller,
    error::BenchError,
    load::{Spent, spend},
    progress,
    replica::Replica,
    stats::Runs,
};

/// Default number of concurrent callers.
const CALLERS: usize = 64;

/// Longest turn. Disturbances of a busy machine last longer.
const TURN: Duration = Duration::from_millis(250);

/// Contender of a comparison.
#[derive(Debug)]
pub(super) struct Contender<C> {
    callers: Vec<C>,
    /// Number of concurrent callers.
    at_once: usize,
    /// Process whose processor time counts. Default: this process, the client.
    server: Option<Replica>,
    spent: Spent,
    /// Calls per second of each run.
    pub(super) rate: Runs,
    /// Microseconds of processor time per call of each run.
    pub(super) cpu: Runs,
}

impl<C: Caller> Contender<C> {
    /// Creates a contender. The calling tasks share its clients.
    pub(super) fn new(callers: Vec<C>) -> Self {
        let (spent, rate, cpu) = Default::default();
        Self { callers, at_once: CALLERS, server: None, spent, rate, cpu }
    }

    /// Sets the number of concurrent callers.
    pub(super) fn at_once(self, at_once: usize) -> Self {
        Self { at_once, ..self }
    }

    /// Counts the processor time of this server instead of the client.
    pub(super) fn judged_by(self, server: Replica) -> Self {
        Self { server: Some(server), ..self }
    }

    /// Makes calls without measuring, to warm buffers and estimates.
    async fn warm_up(&self) -> Result<(), BenchError> {
        spend(&self.callers, self.at_once, TURN).await.map(drop)
    }

    /// Takes one turn of a run.
    async fn turn(&mut self, run: &RunArgs) -> Result<(), BenchError> {
        let before = self.server_cpu().await?;
        let mut spent = spend(&self.callers, self.at_once, run.window() / turns(run)).await?;
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

    fn end_run(&mut self) {
        let spent = std::mem::take(&mut self.spent);
        self.rate.push(spent.rate());
        self.cpu.push(spent.cpu_a_call());
    }
}

type Step<'a> = Pin<Box<dyn Future<Output = Result<(), BenchError>> + 'a>>;

/// A contender, whatever its clients.
pub(super) trait Compete {
    /// Makes calls without measuring.
    fn warm_up(&self) -> Step<'_>;

    /// Takes one turn of a run.
    fn turn<'a>(&'a mut self, run: &'a RunArgs) -> Step<'a>;

    /// Ends a run.
    fn end_run(&mut self);
}

impl<C: Caller> Compete for Contender<C> {
    fn warm_up(&self) -> Step<'_> {
        Box::pin(self.warm_up())
    }

    fn turn<'a>(&'a mut self, run: &'a RunArgs) -> Step<'a> {
        Box::pin(self.turn(run))
    }

    fn end_run(&mut self) {
        self.end_run();
    }
}

/// Warms the contenders up and measures all runs, in which they take turns in this order.
///
/// # Errors
/// [`BenchError`] if a call fails or a replica does not report its processor time.
pub(super) async fn compete(
    run: &RunArgs,
    contenders: &mut [&mut dyn Compete],
) -> Result<(), BenchError> {
    for contender in &*contenders {
        contender.warm_up().await?;
    }
    for number in 1..=run.runs {
        progress(&format!("  run {number} of {}", run.runs));
        for _ in 0..turns(run) {
            for contender in &mut *contenders {
                contender.turn(run).await?;
            }
        }
        contenders.iter_mut().for_each(|contender| contender.end_run());
    }
    Ok(())
}

/// Returns the number of turns in a run.
fn turns(run: &RunArgs) -> u32 {
    run.window().div_duration_f64(TURN).ceil() as u32
}
