//! Databases with which a process does not start, and one with which it does.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

use gantry_sql_testing::Server;
use tempfile::TempDir;

use super::on;
use crate::{
    cluster::{SERVICES, local_file, own_binary},
    own_binaries::{assert_refused, command, keys},
    process::Process,
};

/// Returns the command of a service on a PostgreSQL database.
fn command_on(service: &str, folder: &Path, url: &str) -> Command {
    let mut command = command(service, folder);
    command.envs(on(service, url));
    command
}

#[tokio::test]
async fn a_database_that_is_not_to_be_had_is_named() {
    let server = Server::shared();
    let folder = keys();
    let url = server.database().await.postgres.url;
    let (socket, name) = url.rsplit_once('/').unwrap();
    let missing = format!("{socket}/missing");
    let nobody = "postgres://gantry@127.0.0.1:1/user";
    for service in SERVICES {
        let refused = |url: &str, cause: &str| {
            let output = command_on(service, folder.path(), url).output().unwrap();
            assert_refused(&output, &[&format!("cannot open the database {url}: "), cause]);
        };
        refused(&missing, "database \"missing\" does not exist");
        refused(nobody, "Connection refused");
        let output = command_on(service, folder.path(), "").output().unwrap();
        assert_refused(&output, &[&format!("{service}.database.postgres.url: ")]);
    }

    let mut database = server.connect(name).await;
    let create = "CREATE ROLE locked LOGIN PASSWORD 'right'";
    sqlx::query(create).execute(&mut database).await.unwrap();
    let locked = url.replace("gantry@", "locked@");
    let password = folder.path().join("password");
    fs::write(&password, "wrong-password\n").unwrap();
    fs::set_permissions(&password, fs::Permissions::from_mode(0o600)).unwrap();
    let mut command = command_on("user", folder.path(), &locked);
    let output = command.env("GANTRY_USER__DATABASE__POSTGRES__PASSWORD_FILE", &password).output();
    let output = output.unwrap();
    let cause = "password authentication failed for user \"locked\"";
    assert_refused(&output, &[&format!("cannot open the database {locked}: "), cause]);
    let told = [output.stdout, output.stderr].concat();
    assert!(!String::from_utf8(told).unwrap().contains("wrong-password"));
}

/// Starts a service on a PostgreSQL database and waits until it serves.
fn serving_on(service: &str, folder: &Path, url: &str, log: &str) -> Process {
    let mut process =
        Process::start(&mut command_on(service, folder, url), &folder.join(format!("{log}.log")));
    process.until_logged("serving");
    process
}

#[tokio::test]
async fn replicas_with_different_secrets_are_told_apart_at_start() {
    let server = Server::shared();
    // Each folder has keys of its own; a start adds the secret of request records.
    let (one, other) = (keys(), keys());
    for service in SERVICES {
        let url = server.database().await.postgres.url;
        let running = serving_on(service, one.path(), &url, service);
        let refused = |setting: &str, file: &str| {
            let output = command_on(service, other.path(), &url).output().unwrap();
            let line =
                format!("{service}.{setting}: .gantry/keys/{file} holds another secret than");
            assert_refused(&output, &[&line]);
        };
        let secret = format!("{service}-requests.secret");
        refused("idempotency.key_file", &secret);
        let path = |folder: &TempDir| folder.path().join(".gantry/keys").join(&secret);
        let own = fs::read(path(&other)).unwrap();
        fs::copy(path(&one), path(&other)).unwrap();
        if *service == "user" {
            refused("tokens.key_file", "users-tokens.pem");
        } else {
            serving_on(service, other.path(), &url, &format!("{service}-same"));
        }

        // A rotation: the operator makes the database forget the old secret.
        fs::write(path(&other), own).unwrap();
        let mut forget = own_binary(service);
        forget.args(["migrate", "down", "--tables", "secret", "--yes", "--config"]);
        forget.arg(local_file(service)).current_dir(other.path()).envs(on(service, &url));
        let output = forget.output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && text.contains("reverted"), "{text}");
        let rotated = serving_on(service, other.path(), &url, &format!("{service}-rotated"));
        drop((running, rotated));
        let output = command_on(service, one.path(), &url).output().unwrap();
        assert_refused(&output, &["idempotency.key_file"]);
    }
}

#[tokio::test]
async fn an_older_release_serves_on_a_newer_schema() {
    let server = Server::shared();
    let folder = keys();
    for service in SERVICES {
        let url = server.database().await.postgres.url;
        let start = |log: &str| serving_on(service, folder.path(), &url, log);
        let newer = start(service);
        let mut database = server.connect(url.rsplit_once('/').unwrap().1).await;
        let migrate = "INSERT INTO _sqlx_migrations
            (version, description, success, checksum, execution_time)
            VALUES (9999, 'of a newer release', true, '', 0)";
        sqlx::query(migrate).execute(&mut database).await.unwrap();
        let older = start(&format!("{service}-older"));
        drop((newer, older));
    }
}
