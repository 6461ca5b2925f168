//! Counted instructions, which do not depend on the load of the machine.

use std::{io, path::Path, process::Output};

use tokio::process::Command;

use super::error::BenchError;

const TOOL: &str = "valgrind";

/// Returns a command that runs a program under callgrind. With `only`, counts within functions of that
/// name only.
pub(super) fn callgrind(program: &Path, only: Option<&str>) -> Command {
    let mut command = Command::new(TOOL);
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
    if let Some(function) = only {
        command.args(["--collect-atstart=no", &format!("--toggle-collect={function}")]);
    }
    command.arg(program);
    command
}

/// Returns the error of a failed start.
pub(super) fn not_started(error: io::Error) -> BenchError {
    match error.kind() {
        io::ErrorKind::NotFound => {
            BenchError::Missing { tool: TOOL, install: "as root, apt-get install valgrind" }
        }
        _ => BenchError::Tool { tool: TOOL, why: error.to_string() },
    }
}

/// Parses the line `==123== Collected : 4567`; `None` if nothing was collected.
pub(super) fn collected(output: &Output) -> Result<f64, BenchError> {
    let told = String::from_utf8_lossy(&output.stderr);
    let counted = told
        .lines()
        .find_map(|line| line.split_once("Collected :"))
        .and_then(|(_, count)| count.trim().parse().ok())
        .filter(|count| *count > 0.0 && output.status.success());
    counted.ok_or_else(|| BenchError::Tool { tool: TOOL, why: told.into_owned() })
}
