//! Failed starts of `gantry up`: exit code 2, the cause on standard error, and no partial write.

use std::{fs, net::TcpListener, process::Output};

use crate::{
    pages::page,
    process::{Process, Suite, free_offset, gantry},
};

fn up(args: &[&str], env: &[(&str, &str)]) -> Output {
    gantry().arg("up").args(args).envs(env.iter().copied()).output().unwrap()
}

fn refused(output: &Output, cause: &[&str]) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{text}");
    for part in cause {
        assert!(text.contains(part), "{part:?} in {text}");
    }
    assert!(!text.contains("panicked"), "{text}");
}

#[test]
fn every_port_in_use_is_named() {
    let offset = free_offset();
    let taken = [50051, 9100].map(|port| TcpListener::bind(("127.0.0.1", port + offset)).unwrap());
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let output =
        up(&["--port-offset", &offset.to_string(), "--data-dir", data.to_str().unwrap()], &[]);
    let addresses = taken.map(|listener| listener.local_addr().unwrap().to_string());
    refused(&output, &["user", &addresses[0], "admin", &addresses[1], "in use"]);
    assert!(!data.exists(), "nothing is written before the ports are ours");
}

#[test]
fn a_port_offset_beyond_the_last_port_is_refused() {
    refused(&up(&["--port-offset", "20000"], &[]), &["--port-offset", "70051"]);
}

#[test]
fn connections_that_open_files_do_not_allow_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let offset = free_offset().to_string();
    let args = ["--port-offset", &offset, "--data-dir", data.to_str().unwrap()];
    let most = [("GANTRY_ORDER__SERVER__CONNECTIONS__MAX", "4000000000")];
    // The other services need at least 16 each.
    refused(&up(&args, &most), &["may open", "4000000032 connections", "ulimit -n"]);
    assert!(!data.exists());
}

#[test]
fn a_data_folder_that_cannot_be_made_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let data = file.join("data");
    let offset = free_offset().to_string();
    let output = up(&["--port-offset", &offset, "--data-dir", data.to_str().unwrap()], &[]);
    refused(&output, &[data.to_str().unwrap()]);
}

#[test]
fn a_second_process_on_the_data_folder_is_rejected() {
    let mut suite = Suite::start(&[]);
    let data = suite.data();
    let offset = free_offset().to_string();
    let output = up(&["--port-offset", &offset, "--data-dir", data.to_str().unwrap()], &[]);
    refused(&output, &["in use", data.to_str().unwrap()]);
    assert!(suite.terminate().success());
}

#[test]
fn every_bad_setting_is_named_with_its_source() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("gantry.toml");
    fs::write(
        &config,
        "[user.server]\ncolour = \"red\"\n[order.database.sqlite]\nreaders = \"many\"\n",
    )
    .unwrap();
    let data = folder.path().join("data");
    let offset = free_offset().to_string();
    let args = ["--port-offset", &offset, "--data-dir", data.to_str().unwrap()];
    let args = [&args[..], &["--config", config.to_str().unwrap()]].concat();
    let output = up(&args, &[("GANTRY_INVENTORY__SHELF", "3")]);
    refused(
        &output,
        &[
            "user.server.colour",
            "order.database.sqlite.readers",
            config.to_str().unwrap(),
            "inventory.shelf",
            "GANTRY_INVENTORY__SHELF",
        ],
    );
    assert!(!data.exists(), "nothing is written before the settings are right");
}

#[test]
fn settings_unknown_to_the_contract_are_named_with_source() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("gantry.toml");
    let text = "[user.server.limits.classes]\nlogn = { per_second = 1.0, burst = 1 }\n\
                [inventory.identity.grants]\norder = ['products:raed']\n\
                [inventory.clients.user]\nconnect_timeout = '0s'\n\
                [[order.identity.trusted]]\nissuer = 'gantry'\nissues = 'users'\n";
    fs::write(&config, text).unwrap();
    let data = folder.path().join("data");
    let offset = free_offset().to_string();
    let args = ["--port-offset", &offset, "--data-dir", data.to_str().unwrap()];
    let output = up(&[&args[..], &["--config", config.to_str().unwrap()]].concat(), &[]);
    refused(
        &output,
        &[
            "user.server.limits.classes.logn: expected a rate class of the contract",
            "inventory.identity.grants.order: expected permissions of the contract",
            "products:raed",
            "inventory.clients.user.connect_timeout: ",
            "order.identity.trusted.3: expected key_file, jwks or both",
        ],
    );
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.lines().all(|line| line.ends_with("gantry.toml)")), "{told}");
    assert!(!data.exists());
}

#[test]
fn a_missing_certificate_is_named_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let (config, missing) = (folder.path().join("gantry.toml"), folder.path().join("order.pem"));
    let path = missing.display();
    let tls = format!("tls = {{ cert_file = '{path}', key_file = '{path}' }}\n");
    fs::write(&config, format!("[inventory.server]\n{tls}")).unwrap();
    let data = folder.path().join("data");
    let offset = free_offset().to_string();
    let args = ["--port-offset", &offset, "--data-dir", data.to_str().unwrap()];
    let output = up(&[&args[..], &["--config", config.to_str().unwrap()]].concat(), &[]);
    refused(&output, &["inventory.server.tls.cert_file: ", missing.to_str().unwrap()]);
    assert!(!data.exists());
}

#[test]
fn an_unwritable_ready_file_fails_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let ready = folder.path().join("missing/ready.json");
    let offset = free_offset().to_string();
    let args = ["--port-offset", &offset, "--data-dir", data.to_str().unwrap(), "--ready-file"];
    let output = up(&[&args[..], &[ready.to_str().unwrap()]].concat(), &[]);
    refused(&output, &["ready file", ready.to_str().unwrap()]);
    assert!(!data.exists());
}

#[test]
fn an_invalid_admin_password_is_rejected_with_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let (data, password) = (folder.path().join("data"), folder.path().join("password"));
    fs::write(&password, "short").unwrap();
    let offset = free_offset().to_string();
    let args = ["--port-offset", &offset, "--data-dir", data.to_str().unwrap()];
    let file = ["--admin-password-file", password.to_str().unwrap()];
    let output = up(&[&args[..], &file].concat(), &[]);
    refused(&output, &[password.to_str().unwrap(), "8 to 128"]);
    assert!(!data.exists());
    assert!(!String::from_utf8_lossy(&output.stderr).contains("short"));
}

#[test]
fn a_consul_address_without_the_consul_registry_is_refused() {
    refused(&up(&["--consul", "http://127.0.0.1:8500"], &[]), &["--registry consul"]);
}

#[test]
fn files_in_the_working_folder_set_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let dotenv = "GANTRY_USER__BOOTSTRAP__ADMIN_EMAIL=me@example.org\nGANTRY_UNKNOWN=1\n";
    fs::write(folder.path().join(".env"), dotenv).unwrap();
    let (offset, data) = (free_offset().to_string(), folder.path().join("data"));
    let args = ["up", "--port-offset", &offset, "--data-dir", data.to_str().unwrap()];
    let mut command = gantry();
    command.args(args).current_dir(folder.path());
    let mut process = Process::start(&mut command, &folder.path().join("log"));
    process.until_logged("ready");
    assert!(!process.log().contains(".env"), "{}", process.log());
    process.send_term();
    assert!(process.wait().success());

    // A named file is read, logged, and rejected for its problems.
    let output =
        gantry().args(args).args(["--env-file", ".env"]).current_dir(folder.path()).output();
    refused(&output.unwrap(), &["unknown: unknown key", "(.env line 2)"]);
    let output =
        gantry().args(args).env("GANTRY_ENV_FILE", ".env").current_dir(folder.path()).output();
    refused(&output.unwrap(), &["unknown: unknown key", "(.env line 2)"]);
}

#[test]
fn the_files_that_were_read_are_logged() {
    let folder = tempfile::tempdir().unwrap();
    let (config, env) = (folder.path().join("gantry.toml"), folder.path().join("gantry.env"));
    fs::write(&config, "[user.server]\nweight = 2\n").unwrap();
    fs::write(&env, "\u{feff}GANTRY_USER__SERVER__WEIGHT=3 # less than --config\n").unwrap();
    let links = [("GANTRY_PORT", "tcp://10.0.0.7:50051"), ("GANTRY_SERVICE_HOST", "10.0.0.7")];
    let links = links.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let args = ["--config", config.to_str().unwrap(), "--env-file", env.to_str().unwrap()];
    let suite = Suite::start_set(&args, &links);
    let log = suite.process.log();
    let lines: Vec<_> = log.lines().filter(|line| line.contains("settings read")).collect();
    assert_eq!(lines.len(), 2, "{log}");
    assert!(lines[0].contains("gantry.env") && lines[1].contains("gantry.toml"), "{lines:?}");
    let lines: Vec<_> = log.lines().filter(|line| line.contains("service links")).collect();
    assert!(lines.len() == 1 && lines[0].contains("GANTRY_PORT"), "{log}");
    let shown: serde_json::Value = serde_json::from_str(&page(&suite, "/config")).unwrap();
    assert_eq!(shown["user"]["server"]["weight"], 2);
}

#[test]
fn published_keys_need_tls_to_other_machines() {
    let folder = tempfile::tempdir().unwrap();
    let (config, token) = (folder.path().join("gantry.toml"), folder.path().join("token"));
    fs::write(&token, "secret\n").unwrap();
    let text = |allow: &str| {
        format!(
            "[discovery]\nkind = 'consul'\n\
             [discovery.consul]\nurl = 'http://192.0.2.1:8500'\ntoken_file = '{}'\n{allow}\n\
             [[order.identity.trusted]]\nissuer = 'gantry'\nissues = 'users'\njwks = 'user'\n{allow}\n\
             [user.server]\nweight = 0\n",
            token.display()
        )
    };
    fs::write(&config, text("")).unwrap();
    let data = folder.path().join("data");
    let args = ["--data-dir", data.to_str().unwrap(), "--config", config.to_str().unwrap()];
    let output = up(&args, &[]);
    let keys = ["discovery.consul.token_file: ", "order.identity.trusted.3.jwks: ", "weight"];
    refused(&output, &[&keys[..], &["allow_plaintext = true", "gantry.toml)"]].concat());
    fs::write(&config, text("allow_plaintext = true")).unwrap();
    let output = up(&args, &[]);
    refused(&output, &["weight"]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(told.lines().count(), 1, "{told}");
}

#[test]
fn an_unknown_flag_is_refused() {
    refused(&up(&["--colour", "red"], &[]), &["--colour"]);
}
