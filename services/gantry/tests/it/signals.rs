//! Signals and shutdown: as process 1 of a container, at a closing terminal, and with a silent name server.

use std::{
    fs,
    net::UdpSocket,
    process::{Command, Stdio},
    time::Duration,
};

use gantry_identity::SigningKey;

use crate::{
    cluster::{local_file, own_binary},
    process::{Process, free_offset, gantry},
};

const SIGHUP: u32 = 1;
const SIGTERM: u32 = 15;

/// Returns true if a mask of /proc/PID/status (proc(5)) has the signal.
fn has(id: u32, mask: &str, signal: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(mask));
    let bits = line.and_then(|line| u64::from_str_radix(line.trim(), 16).ok()).unwrap_or_default();
    bits >> (signal - 1) & 1 == 1
}

fn send(signal: &str, id: u32) {
    assert!(Command::new("kill").args([signal, &id.to_string()]).status().unwrap().success());
}

/// Returns true if this machine allows new namespaces.
fn can_unshare(flags: &[&str]) -> bool {
    let tried = Command::new("unshare").args(flags).arg("true").stderr(Stdio::null()).status();
    tried.is_ok_and(|status| status.success())
}

/// Returns the first child of a process.
fn child_of(id: u32) -> Option<u32> {
    let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).ok()?;
    children.split_whitespace().next()?.parse().ok()
}

#[test]
fn process_1_ends_at_sigterm_during_its_start() {
    let flags = ["--pid", "--fork", "--kill-child"];
    if !can_unshare(&flags) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new("unshare");
    command.args(flags).arg(gantry().get_program()).arg("up");
    command.args(["--port-offset", &free_offset().to_string()]);
    command.arg("--data-dir").arg(folder.path().join("data"));
    // The first hash takes seconds, so that the start is not over.
    command.env("GANTRY_USER__PASSWORDS__MEMORY_KIB", "524288");
    command.env("GANTRY_USER__PASSWORDS__ITERATIONS", "8");
    let mut process = Process::start(&mut command, &folder.path().join("log"));
    let outer = process.id();
    let caught = || child_of(outer).is_some_and(|id| has(id, "SigCgt:", SIGTERM));
    process.until("a handler of SIGTERM", caught);
    send("-TERM", child_of(outer).unwrap());
    assert!(process.wait().success(), "{}", process.log());
    assert!(!process.log().lines().any(|line| line == "ready"), "{}", process.log());
}

#[test]
fn a_hangup_drains() {
    let folder = tempfile::tempdir().unwrap();
    let (data, ready) = (folder.path().join("data"), folder.path().join("ready.json"));
    // Under nohup, this process ignores the signal, and its children inherit that.
    let mut command = Command::new("env");
    command.arg("--default-signal=HUP").arg(gantry().get_program()).arg("up");
    command.args(["--port-offset", &free_offset().to_string()]);
    command.arg("--data-dir").arg(&data).arg("--ready-file").arg(&ready);
    let mut process = Process::start(&mut command, &folder.path().join("log"));
    process.until("readiness", || ready.exists());
    send("-HUP", process.id());
    // A closing terminal sends several.
    send("-HUP", process.id());
    assert!(process.wait().success(), "{}", process.log());
    // A closed database is one file: its log is merged.
    assert!(!data.join("user.db-wal").exists());
}

#[test]
fn a_hangup_that_was_ignored_before_stays_ignored() {
    let folder = tempfile::tempdir().unwrap();
    let ready = folder.path().join("ready.json");
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' HUP; exec \"$@\"", "sh"]).arg(gantry().get_program()).arg("up");
    command.args(["--port-offset", &free_offset().to_string()]);
    command.arg("--data-dir").arg(folder.path().join("data")).arg("--ready-file").arg(&ready);
    let mut process = Process::start(&mut command, &folder.path().join("log"));
    process.until("readiness", || ready.exists());
    assert!(has(process.id(), "SigIgn:", SIGHUP) && !has(process.id(), "SigCgt:", SIGHUP));
    send("-HUP", process.id());
    process.send_term();
    assert!(process.wait().success(), "{}", process.log());
}

/// A lookup blocks a thread while the name server is silent: here for minutes, longer than the hang guard.
#[test]
fn a_silent_name_server_does_not_delay_the_shutdown() {
    let Ok(silent) = UdpSocket::bind("127.0.0.9:53") else { return };
    if !can_unshare(&["--mount"]) {
        return;
    }
    silent.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let folder = tempfile::tempdir().unwrap();
    for name in ["order", "users-tokens"] {
        let key = folder.path().join(format!(".gantry/keys/{name}.pem"));
        SigningKey::load_or_create(&key).unwrap();
    }
    let resolv = folder.path().join("resolv.conf");
    fs::write(&resolv, "nameserver 127.0.0.9\noptions timeout:30 attempts:5\n").unwrap();
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c"]);
    command.arg("mount --bind \"$1\" /etc/resolv.conf && shift && exec \"$@\"").arg("sh");
    command.arg(&resolv).arg(own_binary("order").get_program());
    command.arg("--config").arg(local_file("order")).current_dir(folder.path());
    command.env("GANTRY_LISTEN", "127.0.0.1:0").env("GANTRY_ADMIN__LISTEN", "127.0.0.1:0");
    command.env("GANTRY_DISCOVERY__STATIC__USER", "[\"user.silent.example:50051\"]");
    let mut process = Process::start(&mut command, &folder.path().join("log"));
    process.until_logged("serving");
    silent.recv_from(&mut [0; 512]).unwrap();
    process.send_term();
    assert!(process.wait().success(), "{}", process.log());
}
