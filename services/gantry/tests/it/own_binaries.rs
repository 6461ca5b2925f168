//! Start, rejected settings and end of each service's own binary.

use std::{
    fs::Permissions,
    net::TcpListener,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
    process::{Command, Output},
};

use gantry_identity::SigningKey;
use tempfile::TempDir;

use crate::{
    cluster::{SERVICES, local_file, own_binary},
    process::{Process, gantry},
};

/// Returns the keys of settings without which a service does not start, besides trusted keys.
fn required(service: &str) -> &'static [&'static str] {
    match service {
        "user" => &["idempotency.key_file", "tokens.key_file"],
        "inventory" => &["idempotency.key_file"],
        _ => &["identity.key_file", "idempotency.key_file"],
    }
}

/// Creates the keys that the files in deploy/local name, in a temporary folder.
pub fn keys() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in SERVICES.iter().chain(&["users-tokens"]) {
        SigningKey::load_or_create(&folder.path().join(format!(".gantry/keys/{name}.pem")))
            .unwrap();
    }
    folder
}

/// Returns the command of a binary with its file in deploy/local, on free ports.
pub fn command(service: &str, folder: &Path) -> Command {
    let mut command = own_binary(service);
    command.current_dir(folder).arg("--config").arg(local_file(service));
    command.env("GANTRY_LISTEN", "127.0.0.1:0").env("GANTRY_ADMIN__LISTEN", "127.0.0.1:0");
    command
}

pub fn serving(service: &str, folder: &Path) -> Process {
    let mut process =
        Process::start(&mut command(service, folder), &folder.join(format!("{service}.log")));
    process.until_logged("serving");
    process
}

/// Panics unless the exit code is 2 and standard error has a line with each of `lines`.
#[track_caller]
pub fn assert_refused(output: &Output, lines: &[&str]) {
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{told}");
    for line in lines {
        assert!(told.lines().any(|told| told.contains(line)), "no {line:?} in {told}");
    }
}

#[test]
fn version_names_the_build() {
    for service in SERVICES {
        let output = own_binary(service).arg("--version").output().unwrap();
        let told = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success());
        assert!(told.starts_with(&format!("{service}-service 0.1.0 (commit ")), "{told}");
    }
}

#[test]
fn gantry_is_a_services_binary_if_it_is_called_so() {
    let folder = tempfile::tempdir().unwrap();
    for service in SERVICES {
        let link = folder.path().join(format!("{service}-service"));
        symlink(gantry().get_program(), &link).unwrap();
        for args in [&["--version"][..], &["--help"], &["config", "schema"], &["migrate", "--help"]]
        {
            let [own, linked] = [own_binary(service), Command::new(&link)]
                .map(|mut program| program.args(args).output().unwrap());
            assert!(own.status.success() && !own.stdout.is_empty());
            assert_eq!(linked, own, "{service} {args:?}");
        }
    }
}

#[test]
fn help_names_the_purpose() {
    for (service, purpose) in [
        ("user", "Keeps the users"),
        ("inventory", "Keeps the catalogue"),
        ("order", "Keeps the orders"),
    ] {
        let output = own_binary(service).arg("--help").output().unwrap();
        let told = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && told.starts_with(purpose), "{told}");
    }
}

#[test]
fn without_keys_they_name_them_and_write_nothing() {
    for service in SERVICES {
        let folder = tempfile::tempdir().unwrap();
        let output = own_binary(service).current_dir(folder.path()).output().unwrap();
        for key in required(service) {
            let line = format!("{service}.{key}: expected a file (built-in defaults)");
            assert_refused(&output, &[&line]);
        }
        let trusted = "identity.trusted: expected at least one key (built-in defaults)";
        assert_refused(&output, &[&format!("{service}.{trusted}")]);
        assert_eq!(folder.path().read_dir().unwrap().count(), 0);
    }
}

#[test]
fn a_bad_configuration_key_is_refused_with_its_source() {
    for service in SERVICES {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("settings.toml");
        let text = std::fs::read_to_string(local_file(service)).unwrap();
        std::fs::write(&path, format!("lisen = 1\n{text}")).unwrap();
        let output = own_binary(service).arg("--config").arg(&path).output().unwrap();
        assert_refused(&output, &["lisen: unknown key", &format!("(file {})", path.display())]);
    }
}

#[test]
fn a_missing_key_file_is_named() {
    for service in SERVICES {
        let folder = tempfile::tempdir().unwrap();
        let output = command(service, folder.path()).output().unwrap();
        assert_refused(&output, &["cannot read the key file .gantry/keys/"]);
    }
}

#[test]
fn a_private_key_that_others_can_read_is_a_warning() {
    for (mode, warnings) in [(0o600, 0), (0o640, 0), (0o644, 1)] {
        let folder = keys();
        let key = folder.path().join(".gantry/keys/order.pem");
        std::fs::set_permissions(&key, Permissions::from_mode(mode)).unwrap();
        let log = serving("order", folder.path()).log();
        let told = |line: &&str| line.contains("others can read") && line.contains("order.pem");
        assert_eq!(log.lines().filter(told).count(), warnings, "{mode:o}: {log}");
    }
}

#[test]
fn a_port_in_use_is_named() {
    let folder = keys();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for service in SERVICES {
        for variable in ["GANTRY_LISTEN", "GANTRY_ADMIN__LISTEN"] {
            let output = command(service, folder.path()).env(variable, &address).output().unwrap();
            assert_refused(&output, &[&format!("cannot listen on {address}")]);
        }
        let database = folder.path().join(format!(".gantry/{service}.db"));
        assert!(!database.exists(), "the ports come before the database");
    }
}

#[test]
fn a_second_process_on_the_data_is_rejected() {
    let folder = keys();
    for service in SERVICES {
        let mut first = serving(service, folder.path());
        let output = command(service, folder.path()).output().unwrap();
        assert_refused(&output, &[&format!("is in use by process {}", first.id())]);

        first.send_term();
        assert_eq!(first.wait().code(), Some(0), "{}", first.log());
        // A closed database is one file: its log is merged.
        let database = folder.path().join(format!(".gantry/{service}.db"));
        assert!(database.exists() && !database.with_extension("db-wal").exists());
    }
}
