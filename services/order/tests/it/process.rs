//! `order-service` as a process: what it refuses, and how it ends.

use std::{
    io::{BufRead, BufReader},
    net::TcpListener,
    path::Path,
    process::{Child, Command, Output, Stdio},
};

use crate::files;

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_order-service"));
    // Not the environment's settings, nor a `.env` where the tests run.
    command.args(arguments).env_clear().current_dir(folder);
    command
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    command(folder, arguments).output().unwrap()
}

/// Exit code 2, and a line of stderr for each of `lines` that contains it.
#[track_caller]
fn assert_refused(output: &Output, lines: &[&str]) {
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{told}");
    for line in lines {
        assert!(told.lines().any(|told| told.contains(line)), "no {line:?} in {told}");
    }
}

/// A process that is ended with its test.
struct Serving(Child);

impl Serving {
    /// Starts on the settings in `folder`, and returns once it serves.
    fn start(folder: &Path) -> Self {
        files::keys(folder);
        let settings = files::settings(folder).display().to_string();
        let mut child =
            command(folder, &["--config", &settings]).stderr(Stdio::piped()).spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
        let serving = log.any(|line| line.unwrap().contains("serving"));
        let process = Self(child);
        assert!(serving, "it ended before it served");
        // Read on, so that it never waits for somebody to take its lines.
        std::thread::spawn(move || log.for_each(drop));
        process
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn it_says_what_it_was_built_from() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(folder.path(), &["--version"]);
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success());
    assert!(told.starts_with("order-service 0.1.0 (commit "), "{told}");
}

#[test]
fn without_keys_it_names_them_and_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(folder.path(), &[]);
    assert_refused(
        &output,
        &[
            "order.identity.key_file: expected a file (built-in defaults)",
            "order.identity.trusted: expected at least one key (built-in defaults)",
            "order.idempotency.key_file: expected a file (built-in defaults)",
        ],
    );
    assert_eq!(folder.path().read_dir().unwrap().count(), 0);
}

#[test]
fn a_bad_configuration_key_is_refused_with_its_source() {
    let folder = tempfile::tempdir().unwrap();
    let path = files::settings(folder.path());
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("lisen = 1\n{text}")).unwrap();
    let output = run(folder.path(), &["--config", path.to_str().unwrap()]);
    assert_refused(&output, &[&format!("(file {})", path.display())]);
    assert_refused(&output, &["lisen: unknown key"]);
}

#[test]
fn a_missing_key_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = files::settings(folder.path());
    let output = run(folder.path(), &["--config", path.to_str().unwrap()]);
    assert_refused(&output, &["users.pub.pem"]);
}

#[test]
fn a_port_in_use_is_named() {
    let folder = tempfile::tempdir().unwrap();
    files::keys(folder.path());
    let path = files::settings(folder.path());
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for variable in ["GANTRY_LISTEN", "GANTRY_ADMIN__LISTEN"] {
        let output = command(folder.path(), &["--config", path.to_str().unwrap()])
            .env(variable, &address)
            .output()
            .unwrap();
        assert_refused(&output, &[&format!("cannot listen on {address}")]);
    }
    assert!(!folder.path().join("data").exists(), "the ports come before the database");
}

#[test]
fn a_second_process_on_the_data_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let first = Serving::start(folder.path());
    let path = files::settings(folder.path());
    let output = run(folder.path(), &["--config", path.to_str().unwrap()]);
    assert_refused(&output, &[&format!("is in use by process {}", first.0.id())]);
}

#[cfg(unix)]
#[test]
fn sigterm_ends_it_well() {
    let folder = tempfile::tempdir().unwrap();
    let mut process = Serving::start(folder.path());
    let id = process.0.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    assert_eq!(process.0.wait().unwrap().code(), Some(0));
    // Closed, the database is one file: what was in its log is in it.
    assert!(!folder.path().join("data/order.db-wal").exists());
}
