//! `healthcheck` of `gantry` and of each service's own binary.

use std::{
    fs,
    net::TcpListener,
    path::Path,
    process::{Command, Output, Stdio},
};

use gantry_test_authority::Authority;
use tempfile::TempDir;

use crate::{
    cluster::{SERVICES, local_file, own_binary},
    own_binaries::keys,
    process::{Process, Suite, free_address, gantry},
};

/// Runs a check to its end.
fn check(command: &mut Command) -> Output {
    command.arg("healthcheck").stdin(Stdio::null()).output().unwrap()
}

/// Returns the command of a service on a free port, with the keys in `folder`.
fn service(name: &str, folder: &Path, listen: &str) -> Command {
    let mut command = own_binary(name);
    command.current_dir(folder).env("GANTRY_ENV_FILE", folder.join("env"));
    fs::write(folder.join("env"), "GANTRY_ADMIN__LISTEN=127.0.0.1:0\n").unwrap();
    command.env("GANTRY_LISTEN", listen);
    let advertise = format!("GANTRY_{}__SERVER__ADVERTISE", name.to_uppercase());
    command.env(advertise, "127.0.0.1:0");
    command
}

fn start(mut command: Command, name: &str, folder: &Path) -> Process {
    command.arg("--config").arg(local_file(name));
    let mut process = Process::start(&mut command, &folder.join("log"));
    process.until_logged("serving");
    process
}

/// Panics unless the check failed with one line that has all of `parts`.
#[track_caller]
fn assert_unhealthy(output: &Output, parts: &[&str]) {
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert_eq!(told.lines().count(), 1, "{told}");
    for part in parts {
        assert!(told.contains(part), "no {part:?} in {told}");
    }
}

#[track_caller]
fn assert_healthy(output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stdout.is_empty() && output.stderr.is_empty(), "{output:?}");
}

/// Returns the check of a service; it needs no key and no file of the service but its settings.
fn checked(name: &str, listen: &str) -> (Output, TempDir) {
    let elsewhere = tempfile::tempdir().unwrap();
    let mut command = service(name, elsewhere.path(), listen);
    command.args(["healthcheck", "--config"]).arg(local_file(name));
    (command.output().unwrap(), elsewhere)
}

#[test]
fn a_serving_service_is_healthy_and_an_ended_one_is_not() {
    for name in SERVICES {
        let folder = keys();
        let address = free_address();
        let listen = format!("0.0.0.0:{}", address.port());
        let mut process = start(service(name, folder.path(), &listen), name, folder.path());
        let (output, elsewhere) = checked(name, &listen);
        assert_healthy(&output);
        let files = fs::read_dir(elsewhere.path()).unwrap().count();
        assert_eq!(files, 1, "the check writes nothing beside the test's own file");

        process.send_term();
        assert!(process.wait().success(), "{}", process.log());
        let (output, _) = checked(name, &listen);
        let place = format!("{name} at {address}: cannot connect: ");
        assert_unhealthy(&output, &["error: ", &place, "refused"]);
    }
}

#[test]
fn a_draining_service_is_not_healthy() {
    let folder = keys();
    let address = free_address().to_string();
    let mut process = start(service("user", folder.path(), &address), "user", folder.path());
    process.send_term();
    process.until_logged("draining");
    let (output, _) = checked("user", &address);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
}

#[test]
fn a_silent_listener_is_not_healthy() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut command = service("user", folder.path(), &silent.local_addr().unwrap().to_string());
    command.args(["healthcheck", "--timeout", "50ms", "--config"]).arg(local_file("user"));
    let place = format!("user at {}: no response within 50ms", silent.local_addr().unwrap());
    assert_unhealthy(&command.output().unwrap(), &[&place]);
}

#[test]
fn settings_that_cannot_be_read_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let output = check(&mut service("user", folder.path(), "here"));
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("error: listen: ") && told.contains("GANTRY_LISTEN"), "{told}");
    let (output, _) = checked("user", "127.0.0.1:0");
    assert_unhealthy(&output, &["port 0"]);
}

#[test]
fn a_server_that_requires_certificates_is_checked_with_its_own() {
    let (folder, authority, strangers) = (keys(), Authority::new(), Authority::new());
    let issued = authority.issue("user", &["user"]);
    let address = free_address().to_string();
    let secured = |command: &mut Command, authority: &Authority| {
        command.env("GANTRY_USER__SERVER__TLS__CERT_FILE", &issued.cert_file);
        command.env("GANTRY_USER__SERVER__TLS__KEY_FILE", &issued.key_file);
        command.env("GANTRY_USER__SERVER__TLS__CLIENT_CA_FILE", authority.ca_file());
    };
    let mut command = service("user", folder.path(), &address);
    secured(&mut command, &authority);
    let mut process = start(command, "user", folder.path());
    let mut command = service("user", folder.path(), &address);
    secured(&mut command, &authority);
    command.args(["healthcheck", "--config"]).arg(local_file("user"));
    assert_healthy(&command.output().unwrap());
    // After a renewal the server has the previous certificate for a while.
    let renewed = strangers.issue("renewed", &["user"]);
    command.env("GANTRY_USER__SERVER__TLS__CERT_FILE", &renewed.cert_file);
    command.env("GANTRY_USER__SERVER__TLS__KEY_FILE", &renewed.key_file);
    assert_unhealthy(&command.output().unwrap(), &["user at ", "no response: ", "UnknownCA"]);
    // Without TLS in its settings the check speaks plaintext.
    let (output, _) = checked("user", &address);
    assert_unhealthy(&output, &["user at "]);
    process.send_term();
    assert!(process.wait().success(), "{}", process.log());
}

#[test]
fn a_suite_is_healthy_if_all_its_replicas_are() {
    let suite = Suite::start(&["--replicas", "inventory=2"]);
    let offset = suite.offset().to_string();
    let run = |replicas: &str| {
        let mut command = gantry();
        command.args(["healthcheck", "--port-offset", &offset, "--replicas", replicas]);
        command.output().unwrap()
    };
    assert_healthy(&run("inventory=2"));
    // One that does not run.
    assert_unhealthy(&run("user=2"), &["user at 127.0.0.1:", "cannot connect"]);
}
