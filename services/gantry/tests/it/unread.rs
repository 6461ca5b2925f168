//! Output that nobody reads, or that is closed: no reason not to serve, and not to end.

use std::{
    io::{PipeReader, Write, pipe},
    process::{Command, Stdio},
};

use crate::process::{Process, free_offset, gantry};

/// What a pipe takes until somebody reads it.
const PIPE: usize = 64 * 1024;

/// A suite whose output is made of a pipe starts, serves and ends well.
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
    // The process has the only writing ends.
    drop(command);
    process.until("readiness", || ready.exists());
    process.send_term();
    assert!(process.wait().success());
    drop(reader);
}

#[test]
fn output_that_nobody_reads_holds_up_nothing() {
    serves(|command| {
        let (reader, mut writer) = pipe().unwrap();
        writer.write_all(&vec![b'x'; PIPE]).unwrap();
        command.stdout(writer.try_clone().unwrap()).stderr(writer);
        Some(reader)
    });
}

#[test]
fn output_that_is_closed_holds_up_nothing() {
    serves(|command| {
        let (reader, writer) = pipe().unwrap();
        drop(reader);
        command.stdout(writer.try_clone().unwrap()).stderr(writer);
        None
    });
}

#[test]
fn a_refused_start_ends_though_nobody_reads_why() {
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
