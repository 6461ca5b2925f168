//! Load of many concurrent callers: either counted, or recorded call by call.

use std::{
    ops::AddAssign,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use gantry_contract::{GantryReason, Reason};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::{
    callers::{Caller, Method},
    cpu,
    error::BenchError,
};

/// Cost of the calls so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Spent {
    calls: u64,
    took: Duration,
    pub(super) cpu: Duration,
}

impl Spent {
    /// Calls a second.
    pub(super) fn rate(&self) -> f64 {
        self.calls as f64 / self.took.as_secs_f64()
    }

    /// Returns the microseconds of this process's processor time per call.
    pub(super) fn cpu_a_call(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.calls as f64
    }
}

impl AddAssign for Spent {
    fn add_assign(&mut self, more: Self) {
        self.calls += more.calls;
        self.took += more.took;
        self.cpu += more.cpu;
    }
}

/// Runs `concurrency` calling tasks for a duration and returns their cost. The tasks share the
/// clients. No call may fail.
pub(super) async fn spend<C: Caller>(
    callers: &[C],
    concurrency: usize,
    window: Duration,
) -> Result<Spent, BenchError> {
    let (started, used) = (Instant::now(), cpu::used());
    let calls = burst(callers, concurrency, window).await?;
    Ok(Spent { calls, took: started.elapsed(), cpu: cpu::used() - used })
}

async fn burst<C: Caller>(
    callers: &[C],
    concurrency: usize,
    window: Duration,
) -> Result<u64, BenchError> {
    let stop = Arc::new(AtomicBool::new(false));
    let mut tasks = JoinSet::new();
    for mut caller in callers.iter().cycle().take(concurrency).cloned() {
        let stop = Arc::clone(&stop);
        tasks.spawn(async move {
            let mut calls = 0;
            while !stop.load(Ordering::Relaxed) {
                caller.call(Method::Read, calls).await?;
                calls += 1;
            }
            Ok::<u64, Status>(calls)
        });
    }
    sleep(window).await;
    stop.store(true, Ordering::Relaxed);
    let mut calls = 0;
    for counted in tasks.join_all().await {
        calls += counted?;
    }
    Ok(calls)
}

/// Record of one call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    /// Start and end, counted from the start of the load.
    pub(super) made: Duration,
    pub(super) ended: Duration,
    pub(super) method: Method,
    pub(super) outcome: Outcome,
}

/// Result of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Answered by the replica with this number.
    Answered(u32),
    /// Lost with the reason OUTCOME_UNKNOWN.
    Unknown,
    /// Any other failure, with its code.
    Failed(Code),
}

impl Call {
    /// Returns the caller's latency.
    pub(super) fn took(&self) -> Duration {
        self.ended - self.made
    }

    pub(super) fn has_failed(&self) -> bool {
        !matches!(self.outcome, Outcome::Answered(_))
    }
}

/// Running load that records each call.
#[derive(Debug)]
pub(super) struct Load {
    pub(super) started: Instant,
    ended: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    tasks: JoinSet<Vec<Call>>,
}

/// Parameters of a load.
#[derive(Clone, Copy, Debug)]
pub(super) struct Work {
    /// Number of concurrent callers.
    pub(super) callers: usize,
    /// Calls that each caller repeats in turn.
    pub(super) methods: &'static [Method],
    /// Pause of a caller after each call.
    pub(super) pause: Duration,
}

impl Load {
    /// Starts calling, until [`finish`](Self::finish).
    pub(super) fn start<C: Caller>(caller: &C, work: Work) -> Self {
        let (started, stop) = (Instant::now(), Arc::new(AtomicBool::new(false)));
        let ended = Arc::new(AtomicU64::new(0));
        let mut tasks = JoinSet::new();
        for first in 0..work.callers {
            let (mut caller, stop) = (caller.clone(), Arc::clone(&stop));
            let ended = Arc::clone(&ended);
            tasks.spawn(async move {
                let mut calls = Vec::new();
                for turn in first.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let method = work.methods[turn % work.methods.len()];
                    calls.push(one(&mut caller, method, started).await);
                    ended.fetch_add(1, Ordering::Relaxed);
                    if !work.pause.is_zero() {
                        sleep(work.pause).await;
                    }
                }
                calls
            });
        }
        Self { started, ended, stop, tasks }
    }

    /// Returns the number of calls that ended so far.
    pub(super) fn ended(&self) -> u64 {
        self.ended.load(Ordering::Relaxed)
    }

    /// Ends the load and returns every call.
    pub(super) async fn finish(self) -> Vec<Call> {
        self.stop.store(true, Ordering::Relaxed);
        self.tasks.join_all().await.concat()
    }
}

/// Open-loop load: calls start at a fixed rate, regardless of earlier ones.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// Calls a second.
    pub(super) rate: f64,
    pub(super) method: Method,
    pub(super) window: Duration,
}

impl Pace {
    /// Makes the calls and waits until all have ended.
    pub(super) async fn calls<C: Caller>(self, caller: &C) -> Vec<Call> {
        /// Interval between starts: short compared with a call.
        const TICK: Duration = Duration::from_millis(2);
        let (started, mut tasks, mut made) = (Instant::now(), JoinSet::new(), 0);
        while started.elapsed() < self.window {
            let due = (self.rate * started.elapsed().as_secs_f64()) as u64;
            for _ in made..due {
                let mut caller = caller.clone();
                tasks.spawn(async move { one(&mut caller, self.method, started).await });
            }
            made = due;
            sleep(TICK).await;
        }
        tasks.join_all().await
    }
}

/// Makes a call and records it.
async fn one<C: Caller>(caller: &mut C, method: Method, started: Instant) -> Call {
    /// Number of the next call, unique in the process.
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let made = started.elapsed();
    let answer = caller.call(method, NEXT.fetch_add(1, Ordering::Relaxed)).await;
    let outcome = answer.map_or_else(|status| failed(&status), Outcome::Answered);
    Call { made, ended: started.elapsed(), method, outcome }
}

fn failed(status: &Status) -> Outcome {
    let unknown = GantryReason::OutcomeUnknown.reason();
    match status.get_details_error_info() {
        Some(info) if info.reason == unknown => Outcome::Unknown,
        _ => Outcome::Failed(status.code()),
    }
}
