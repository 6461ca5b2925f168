//! Instructions of a pick, which do not depend on the load of the machine.

use crate::{
    error::BenchError,
    picks::COUNTED,
    row::{Bound::AtMost, Row, Target::Ratio},
    stats::Runs,
    valgrind::{callgrind, collected, not_started},
};

const PICKS: u32 = 10_000;

pub(super) async fn measure() -> Result<Vec<Row>, BenchError> {
    let few: Runs = [instructions(10).await?].into_iter().collect();
    let many: Runs = [instructions(1_000).await?].into_iter().collect();
    Ok(vec![
        Row::new("a pick among 1,000 endpoints", "instructions", &many)
            .against("among 10", &many, &few)
            .target(Ratio(AtMost(1.1))),
    ])
}

/// Counts the instructions of a pick.
async fn instructions(endpoints: u32) -> Result<f64, BenchError> {
    let program = std::env::current_exe().map_err(BenchError::Replica)?;
    let mut command = callgrind(&program, Some(COUNTED));
    command.args(["picks", "--endpoints", &endpoints.to_string()]);
    command.args(["--picks", &PICKS.to_string()]);
    let output = command.output().await.map_err(not_started)?;
    Ok(collected(&output)? / f64::from(PICKS))
}
