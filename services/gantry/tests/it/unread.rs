//! Unread or closed output does not stop the suite from serving or ending.

use std::{
    io::{PipeReader, Write, pipe},
    process::{Command, Stdio},
};

use crate::process::{Process, free_offset, gantry};

/// Capacity of a pipe without a reader.
const PIPE: usize = 64 * 1024;

/// Checks that a suite with a pipe as output starts, serves and ends.
fn serves(output: impl Fn(&mut Command) -> Option<PipeReader>) {
    let folder = tempfile::tempdir().unwrap();
    let ready = folder.path().join("ready.json");
    let mut command = gantry();
    command.arg("up").args(["--port-offset", &free_offset().to_string()]);
    command.arg("--data-dir").arg(folder.path().join("data"));
    command.arg("--ready-file").arg(&ready);
    command.stdin(Stdio::null());
    let reader = output(&mut command);
    let mut process = Process::unlogged(&mut command, folder.path());
    // Only the process has writing ends.
    drop(command);
    process.until("readiness", || ready.exists());
    process.send_term();
    assert!(process.wait().success());
    drop(reader);
}

#[test]
fn unread_output_blocks_nothing() {
    serves(|command| {
        let (reader, mut writer) = pipe().unwrap();
        writer.write_all(&vec![b'x'; PIPE]).unwrap();
        command.stdout(writer.try_clone().unwrap()).stderr(writer);
        Some(reader)
    });
}

#[test]
fn closed_output_blocks_nothing() {
    serves(|command| {
        let (reader, writer) = pipe().unwrap();
        drop(reader);
        command.stdout(writer.try_clone().unwrap()).stderr(writer);
        None
    });
}

#[test]
fn a_failed_start_ends_with_unread_output() {
    for args in [["up", "--config", "/no/such/file"], ["up", "--consul", "http://127.0.0.1:1"]] {
        let (reader, mut writer) = pipe().unwrap();
        writer.write_all(&vec![b'x'; PIPE]).unwrap();
        let mut command = gantry();
        command.args(args).stdin(Stdio::null());
        command.stdout(writer.try_clone().unwrap()).stderr(writer);
        let folder = tempfile::tempdir().unwrap();
        let mut process = Process::unlogged(&mut command, folder.path());
        drop(command);
        assert!(!process.wait().success(), "{args:?}");
        drop(reader);
    }
}
