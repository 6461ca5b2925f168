//! What it costs to choose an endpoint, in instructions: they are the same on a busy machine.

use std::{io, process::Output};

use tokio::process::Command;

use crate::bench::{
    error::BenchError,
    picks::COUNTED,
    row::{Bound::AtMost, Row, Target::Ratio},
    stats::Runs,
};

const TOOL: &str = "valgrind";

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

/// The instructions of a pick.
async fn instructions(endpoints: u32) -> Result<f64, BenchError> {
    let program = std::env::current_exe().map_err(BenchError::Replica)?;
    let mut command = Command::new(TOOL);
    command.args(["--tool=callgrind", "--collect-atstart=no", "--callgrind-out-file=/dev/null"]);
    command.arg(format!("--toggle-collect={COUNTED}")).arg(program);
    command.args(["bench", "picks", "--endpoints", &endpoints.to_string()]);
    command.args(["--picks", &PICKS.to_string()]);
    let output = command.output().await.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            BenchError::Missing { tool: TOOL, install: "as root, apt-get install valgrind" }
        }
        _ => BenchError::Tool { tool: TOOL, why: error.to_string() },
    })?;
    let counted = collected(&output).filter(|_| output.status.success());
    let counted = counted.ok_or_else(|| BenchError::Tool {
        tool: TOOL,
        why: String::from_utf8_lossy(&output.stderr).into_owned(),
    })?;
    Ok(counted / f64::from(PICKS))
}

/// Of the line `==123== Collected : 4567`; nothing collected means nothing found.
fn collected(output: &Output) -> Option<f64> {
    let told = String::from_utf8_lossy(&output.stderr);
    let (_, count) = told.lines().find_map(|line| line.split_once("Collected :"))?;
    count.trim().parse().ok().filter(|count| *count > 0.0)
}
