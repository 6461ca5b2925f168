//! `gantry bench` measures and reports. The values are not judged here, since that needs a quiet machine.

#![allow(missing_docs, reason = "a test")]
#![allow(clippy::unwrap_used, reason = "a test")]

use std::{
    fs,
    path::Path,
    process::{Command, Output},
    sync::{PoisonError, RwLock},
};

use serde_json::Value;

const BENCH: &str = env!("CARGO_BIN_EXE_gantry-bench");

/// Held for writing by a scenario whose values are judged: a flood beside it would let calls exceed their
/// deadline.
static MACHINE: RwLock<()> = RwLock::new(());

fn bench(args: &[&str]) -> Output {
    Command::new(BENCH).args(args).output().unwrap()
}

/// Runs a scenario once and briefly, and returns its rows.
fn rows(scenario: &str) -> Vec<Value> {
    rows_of("client", scenario, 100)
}

/// Runs a scenario with a window in milliseconds, and returns its rows. The window must be longer than a
/// call on a busy machine.
fn rows_of(benchmark: &str, scenario: &str, window: u32) -> Vec<Value> {
    rows_with(benchmark, scenario, window, &[])
}

/// As [`rows_of`], with more flags.
fn rows_with(benchmark: &str, scenario: &str, window: u32, more: &[&str]) -> Vec<Value> {
    let _shared = MACHINE.read().unwrap_or_else(PoisonError::into_inner);
    measured(benchmark, scenario, window, more).0
}

/// Returns the rows and what is told while they are measured.
fn measured(benchmark: &str, scenario: &str, window: u32, more: &[&str]) -> (Vec<Value>, String) {
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("rows.json");
    let window = window.to_string();
    let flags = [benchmark, "--runs", "1", "--window-ms", &window, "--only", scenario, "--json"];
    let output = bench(&[&flags[..], &[json.to_str().unwrap()], more].concat());
    let (told, table) =
        (String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout));
    assert!(output.status.success(), "{told}\n{table}");
    let report: Value = serde_json::from_slice(&fs::read(&json).unwrap()).unwrap();
    assert_eq!(report["missing"], Value::Array(Vec::new()));
    let rows = report["rows"].as_array().unwrap().clone();
    assert!(!rows.is_empty());
    for row in &rows {
        assert!(table.contains(row["name"].as_str().unwrap()), "{row} is not in\n{table}");
        assert!(row["value"].as_f64().is_some_and(|value| value >= 0.0), "{row}");
        assert_eq!(row["pass"].is_null(), row["target"].is_null(), "{row}");
    }
    (rows, told.into_owned())
}

#[test]
fn throughput_is_compared_with_tonic_and_hyper() {
    let rows = rows("throughput");
    for row in &rows {
        assert!(row["value"].as_f64() > Some(0.0), "{row}");
        assert!(row["ratio"].as_f64() > Some(0.0), "{row}");
    }
    assert_eq!(rows.iter().filter(|row| !row["target"].is_null()).count(), 4);
}

#[test]
fn a_closed_loop_over_a_static_list_is_compared_with_tonic() {
    let rows = rows("closed-loop");
    assert_eq!(rows.len(), 3);
    for row in &rows {
        assert!(row["ratio"].as_f64() > Some(0.0), "{row}");
    }
}

#[test]
fn a_slow_replica_is_measured_by_its_share_and_latency() {
    assert_eq!(rows("slow").len(), 6);
}

#[test]
fn a_failing_or_killed_replica_fails_no_retriable_call() {
    let _alone = MACHINE.write().unwrap_or_else(PoisonError::into_inner);
    for scenario in ["failing", "killed"] {
        let (rows, told) = measured("client", scenario, 100, &[]);
        let correct = ["may be repeated", "double executions", "without OUTCOME_UNKNOWN"];
        let judged: Vec<_> = rows
            .iter()
            .filter(|row| correct.iter().any(|name| row["name"].as_str().unwrap().contains(name)))
            .collect();
        assert!(judged.len() >= 3, "{rows:?}");
        for row in judged {
            assert_eq!(row["value"], 0.0, "{row}\n{told}");
        }
    }
}

#[test]
fn a_missing_tool_is_named_and_fails() {
    for (benchmark, scenario, install) in [
        ("client", "pick", "apt-get install valgrind"),
        ("client", "instructions", "apt-get install valgrind"),
        ("client", "restart", "deploy/consul/install.sh"),
        ("server", "instructions", "apt-get install valgrind"),
    ] {
        let mut command = Command::new(BENCH);
        command.args([benchmark, "--only", scenario]).env("PATH", "/nowhere");
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&output.stdout).contains(install));
    }
}

#[test]
fn an_outage_sends_little_and_ends_with_the_first_success() {
    assert_eq!(rows("outage").len(), 4);
}

#[test]
fn a_joiner_and_an_ejected_replica_get_calls() {
    for scenario in ["joiner", "ejected"] {
        assert_eq!(rows(scenario).len(), 1);
    }
}

#[test]
fn the_server_stack_is_compared_with_tonics() {
    assert_eq!(rows_of("server", "cost", 100).len(), 2);
    assert_eq!(rows_of("server", "validation", 100).len(), 1);
    // At five times its capacity, a busy machine has little time for the admitted calls.
    assert_eq!(rows_of("server", "overload", 2_000).len(), 6);
}

#[test]
fn each_attack_runs_and_is_compared_with_a_harmless_load() {
    let rows = rows_of("server", "resources", 500);
    assert_eq!(rows.len(), 9 * 5);
    for row in rows.iter().filter(|row| row["name"].as_str().unwrap().ends_with(": sent")) {
        assert!(row["value"].as_f64() > Some(0.0), "{row}");
    }
    let compared = rows.iter().filter(|row| !row["baseline"].is_null());
    assert_eq!(compared.count(), 9);
}

#[test]
fn each_call_is_compared_with_its_own_statements() {
    for scenario in ["calls-sqlite", "calls-postgres"] {
        let rows = rows_of("store", scenario, 250);
        assert_eq!(rows.len(), 5 * 2 + 2 + 2);
        for row in &rows {
            assert!(row["value"].as_f64() > Some(0.0), "{row}");
            assert!(!row["target"].is_null(), "{row}");
        }
        let commits: Vec<_> =
            rows.iter().filter(|row| row["name"].as_str().unwrap().contains("commits")).collect();
        assert!(commits.iter().all(|row| row["pass"] == true), "{commits:?}");
        assert_eq!(commits.len(), 2);
    }
}

/// The scenario `replicas` is left out: on a busy machine its calls wait longer than their deadline for the
/// few connections behind the delay.
#[test]
fn many_stored_orders_are_compared_with_few() {
    let rows = rows_with("store", "stored-sqlite", 250, &["--stored", "1000"]);
    assert_eq!(rows.len(), 5);
    for row in &rows {
        assert!(row["ratio"].as_f64() > Some(0.0), "{row}");
    }
}

#[test]
fn the_gantry_program_passes_on_its_arguments() {
    let gantry = Path::new(BENCH).with_file_name("gantry");
    let output = Command::new(gantry).args(["bench", "client", "--help"]).output().unwrap();
    assert!(output.status.success());
    assert_eq!(output.stdout, bench(&["client", "--help"]).stdout);
    assert!(String::from_utf8_lossy(&output.stdout).contains("--window-ms"));
}

#[test]
fn invalid_flags_are_rejected() {
    for args in [
        &[][..],
        &["client", "--only", "speed"],
        &["client", "--runs", "0"],
        &["client", "--window-ms", "0"],
        &["client", "--json"],
        &["store", "--stored", "1"],
        &["replica", "--behaviour", "sulk"],
    ] {
        let output = bench(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(!output.stderr.is_empty(), "{args:?}");
    }
}

#[test]
fn a_file_that_cannot_be_written_is_named() {
    let path = "/nowhere/rows.json";
    let flags = ["client", "--runs", "1", "--window-ms", "10", "--only", "throughput"];
    let output = bench(&[&flags[..], &["--json", path]].concat());
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains(path));
}
