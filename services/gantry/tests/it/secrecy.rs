//! Secrets, hidden from other users of the machine and from readers of logs.

use std::{fs, process::Command};

use crate::{
    architecture::root,
    process::{Process, Suite, free_offset, gantry},
};

/// Starts a suite and waits for its banner, which a thread of its own prints after the ready file.
fn with_its_banner() -> Suite {
    let mut suite = Suite::start(&[]);
    suite.process.until_logged("\nready\n");
    suite
}

#[test]
fn the_password_is_not_printed_without_a_terminal() {
    let suite = with_its_banner();
    let (log, file) = (suite.process.log(), suite.data().join("admin-password"));
    assert!(!log.contains(suite.admin_password().trim()), "{log}");
    assert!(log.contains(&format!("password    in {}", file.display())), "{log}");
}

#[test]
fn the_password_is_printed_on_a_terminal() {
    // script(1) gives its command a terminal.
    if Command::new("script").arg("--version").output().is_err() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let up = format!(
        "{} up --port-offset {} --data-dir {}",
        gantry().get_program().display(),
        free_offset(),
        data.display(),
    );
    let mut command = Command::new("script");
    command.args(["--quiet", "--flush", "--return", "--command", &up, "/dev/null"]);
    let mut process = Process::start(&mut command, &folder.path().join("log"));
    process.until_logged("ready");
    let password = fs::read_to_string(data.join("admin-password")).unwrap();
    assert!(process.log().contains(password.trim()), "{}", process.log());
}

/// All users of the machine can read the arguments of a process.
#[test]
fn no_example_puts_a_secret_into_an_argument() {
    let suite = with_its_banner();
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let mut calls = 0;
    for text in [readme, suite.process.log()] {
        let text = text.replace("\\\n", " ").replace("|\n", "| ");
        for line in text.lines().filter(|line| line.contains("grpcurl -")) {
            let call = &line[line.find("grpcurl -").unwrap()..];
            calls += 1;
            assert!(!call.contains("password"), "{line}");
            let has_token = call.contains("Bearer");
            assert!(
                !has_token || call.contains("-expand-headers -H 'authorization: Bearer ${TOKEN}'"),
                "{line}"
            );
        }
    }
    assert!(calls >= 6, "only {calls} calls were found");
}
