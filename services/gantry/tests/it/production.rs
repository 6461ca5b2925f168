//! Profile `production`: `config check` and a start of each service's own binary reject what is not fit
//! for it.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::{Command, Output},
};

use gantry_test_authority::Authority;
use tempfile::TempDir;

use crate::{
    cluster::{SERVICES, local_file, own_binary},
    own_binaries::{assert_refused, keys},
    process::{Process, gantry},
};

/// Random bytes as text.
const PASSWORD: &str = "f3a97c1e5b0d4628a1c9";
const REQUESTS: &str = "8f3b6a1c5e7d90244b6f8a3d1c5e7092b4d6f8a0c2e4168a3c5e7f901b2d4f68\n";

/// Folder with keys, and the settings with which a service is fit for production.
struct Fit {
    folder: TempDir,
    authority: Authority,
    settings: BTreeMap<String, String>,
}

impl Fit {
    fn new(service: &str) -> Self {
        let (folder, authority) = (keys(), Authority::new());
        let mut fit = Self { folder, authority, settings: BTreeMap::new() };
        fs::write(fit.file("password"), PASSWORD).unwrap();
        fs::write(fit.file(&format!(".gantry/keys/{service}-requests.secret")), REQUESTS).unwrap();
        let issued = fit.authority.issue(service, &[service]);
        let table = service.to_uppercase();
        let ca = fit.authority.ca_file().display().to_string();
        for (key, value) in [
            ("PROFILE".to_owned(), "production".to_owned()),
            (format!("{table}__SERVER__REFLECTION"), "authenticated".to_owned()),
            ("LISTEN".to_owned(), "0.0.0.0:0".to_owned()),
            (format!("{table}__SERVER__TLS__CERT_FILE"), issued.cert_file.display().to_string()),
            (format!("{table}__SERVER__TLS__KEY_FILE"), issued.key_file.display().to_string()),
            (format!("{table}__SERVER__LIMITS__TRUSTED_PROXIES"), "[\"10.0.0.0/8\"]".to_owned()),
            ("ADMIN__LISTEN".to_owned(), "0.0.0.0:0".to_owned()),
            ("ADMIN__HOSTS".to_owned(), "[\"pages.shop.internal\"]".to_owned()),
            ("DISCOVERY__KIND".to_owned(), "consul".to_owned()),
            ("DISCOVERY__CONSUL__URL".to_owned(), "https://consul.shop.internal:8501".to_owned()),
            ("DISCOVERY__CONSUL__CA_FILE".to_owned(), ca.clone()),
            ("DATABASE__KIND".to_owned(), "postgres".to_owned()),
            (
                "DATABASE__POSTGRES__URL".to_owned(),
                "postgres://gantry@db.shop.internal/SERVICE".to_owned(),
            ),
            ("DATABASE__POSTGRES__TLS__CA_FILE".to_owned(), ca.clone()),
            (
                "DATABASE__POSTGRES__PASSWORD_FILE".to_owned(),
                fit.file("password").display().to_string(),
            ),
        ] {
            fit.set(&key, &value);
        }
        if service == "order" {
            for callee in ["USER", "INVENTORY"] {
                fit.set(&format!("ORDER__CLIENTS__{callee}__TLS__CA_FILE"), &ca);
            }
        }
        fit
    }

    fn file(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn set(&mut self, key: &str, value: &str) {
        self.settings.insert(format!("GANTRY_{key}"), value.to_owned());
    }

    /// Removes a setting and those below it.
    fn unset(&mut self, key: &str) {
        self.settings.retain(|name, _| !name.starts_with(&format!("GANTRY_{key}")));
    }

    fn run(&self, service: &str, command: &[&str]) -> Output {
        self.command(service, command).output().unwrap()
    }

    fn command(&self, service: &str, args: &[&str]) -> Command {
        let mut command = own_binary(service);
        command.args(args).current_dir(self.folder.path()).envs(&self.settings);
        command.arg("--config").arg(local_file(service));
        command
    }
}

#[track_caller]
fn assert_fit(output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_service_that_is_fit_for_production_is_accepted() {
    for service in SERVICES {
        assert_fit(&Fit::new(service).run(service, &["config", "check"]));
    }
}

#[test]
fn each_rule_is_named_with_its_key() {
    type Spoil = fn(&mut Fit);
    let rules: &[(&str, &str, Spoil)] = &[
        ("discovery.kind", "memory has this process alone", |fit| {
            fit.set("DISCOVERY__KIND", "memory");
        }),
        ("discovery.consul.url", "expected https://", |fit| {
            fit.unset("DISCOVERY__CONSUL__CA_FILE");
            fit.set("DISCOVERY__CONSUL__URL", "http://consul.shop.internal:8500");
        }),
        ("discovery.consul.url", "expected https://", |fit| {
            fit.unset("DISCOVERY__CONSUL__CA_FILE");
            fit.set("DISCOVERY__CONSUL__URL", "HTTP://consul.shop.internal:8500");
        }),
        ("discovery.consul.allow_plaintext", "expected false", |fit| {
            fit.set("DISCOVERY__CONSUL__ALLOW_PLAINTEXT", "true");
        }),
        ("telemetry.traces.endpoint", "expected https://", |fit| {
            fit.set("TELEMETRY__OTLP__ENDPOINT", "http://127.0.0.1:4317");
            fit.set("TELEMETRY__TRACES__ENDPOINT", "http://otel.shop.internal:4317/v1/traces");
        }),
        ("telemetry.metrics.endpoint", "expected https://", |fit| {
            fit.set("TELEMETRY__METRICS__ENDPOINT", "HTTP://otel.shop.internal:4317");
        }),
        ("telemetry.otlp.allow_plaintext", "expected false", |fit| {
            fit.set("TELEMETRY__OTLP__ALLOW_PLAINTEXT", "true");
        }),
        ("admin.listen", "admin.hosts", |fit| fit.unset("ADMIN__HOSTS")),
        ("order.server.tls", "cert_file and key_file", |fit| fit.unset("ORDER__SERVER__TLS")),
        ("order.server.reflection", "authenticated or off", |fit| {
            fit.unset("ORDER__SERVER__REFLECTION");
        }),
        ("order.server.limits.trusted_proxies.1", "every address", |fit| {
            fit.set("ORDER__SERVER__LIMITS__TRUSTED_PROXIES", "[\"10.0.0.0/8\", \"0.0.0.0/0\"]");
        }),
        ("order.clients.user.tls", "user is at an address that Consul names", |fit| {
            fit.unset("ORDER__CLIENTS__USER");
        }),
        ("order.clients.inventory.tls", "inventory is at db.example.org:1", |fit| {
            fit.unset("ORDER__CLIENTS__INVENTORY");
            fit.set("DISCOVERY__KIND", "static");
            fit.set("DISCOVERY__STATIC__INVENTORY", "[\"127.0.0.1:1\", \"db.example.org:1\"]");
        }),
        ("order.identity.trusted.1.allow_plaintext", "expected false", |fit| {
            let trusted = "[{issuer = \"gantry\", issues = \"users\", jwks = \"user\", allow_plaintext = true}]";
            fit.set("ORDER__IDENTITY__TRUSTED", trusted);
        }),
        ("order.database.postgres.allow_plaintext", "expected false", |fit| {
            fit.set("DATABASE__POSTGRES__ALLOW_PLAINTEXT", "true");
        }),
        ("order.database.postgres.password_file", "client certificate", |fit| {
            fit.unset("DATABASE__POSTGRES__PASSWORD_FILE");
        }),
        ("order.database.postgres.password_file", "16 characters", |fit| {
            fs::write(fit.file("password"), "hunter2\n").unwrap();
        }),
        ("order.database.postgres.password_file", "cannot read", |fit| {
            fs::remove_file(fit.file("password")).unwrap();
        }),
        ("order.idempotency.key_file", "openssl rand -hex 32", |fit| {
            fs::remove_file(fit.file(".gantry/keys/order-requests.secret")).unwrap();
        }),
        ("order.idempotency.key_file", "repeats few bytes", |fit| {
            let key = fit.file(".gantry/keys/order-requests.secret");
            fs::write(key, "a5".repeat(32)).unwrap();
        }),
    ];
    for (key, why, spoil) in rules {
        let mut fit = Fit::new("order");
        spoil(&mut fit);
        let output = fit.run("order", &["config", "check"]);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_refused(&output, &[why]);
        let of_key = format!("error: {key}: ");
        let lines: Vec<_> = told.lines().filter(|line| line.starts_with(&of_key)).collect();
        assert!(lines.iter().any(|line| line.contains(why)), "{key}: {told}");
        assert_eq!(told.lines().count(), 1, "one cause, one problem: {told}");
        assert!(!told.contains("hunter2"), "{told}");
        // Development accepts it, or rejects it for another reason.
        fit.set("PROFILE", "development");
        let told =
            String::from_utf8_lossy(&fit.run("order", &["config", "check"]).stderr).into_owned();
        assert!(!told.contains("production"), "{key}: {told}");
    }
}

#[test]
fn all_problems_are_reported_at_once_and_nothing_is_written() {
    for service in SERVICES {
        let folder = keys();
        let before = files(folder.path());
        let mut command = own_binary(service);
        command.current_dir(folder.path()).arg("--config").arg(local_file(service));
        command.env("GANTRY_PROFILE", "production").env("GANTRY_LISTEN", "0.0.0.0:0");
        command.env("GANTRY_ADMIN__LISTEN", "0.0.0.0:0").env("GANTRY_DISCOVERY__KIND", "memory");
        let (tls, reflection) = (
            format!("error: {service}.server.tls: "),
            format!("error: {service}.server.reflection: "),
        );
        let lines = ["error: discovery.kind: ", "error: admin.listen: ", &tls, &reflection];
        let output = command.output().unwrap();
        assert_refused(&output, &lines);
        assert!(output.stdout.is_empty());
        assert_eq!(files(folder.path()), before);
    }
}

/// Returns the number of files in a folder and in the folders below it.
fn files(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| if path.is_dir() { files(&path) } else { 1 }).sum()
}

#[test]
fn a_service_on_this_machine_alone_needs_no_tls() {
    let mut fit = Fit::new("order");
    for key in ["ORDER__SERVER__TLS", "ORDER__CLIENTS", "DISCOVERY", "DATABASE", "ADMIN__HOSTS"] {
        fit.unset(key);
    }
    fit.set("LISTEN", "127.0.0.1:0");
    fit.set("ADMIN__LISTEN", "[::1]:0");
    assert_fit(&fit.run("order", &["config", "check"]));
    fit.set("ADMIN__LISTEN", "127.0.0.1:0");
    let mut command = fit.command("order", &[]);
    let mut process = Process::start(&mut command, &fit.file("log"));
    process.until_logged("serving");
    process.send_term();
    assert!(process.wait().success(), "{}", process.log());

    // PostgreSQL knows the user of a socket.
    fit.set("DATABASE__KIND", "postgres");
    fit.set("DATABASE__POSTGRES__URL", "postgres://gantry@%2Frun%2Fpostgresql/SERVICE");
    assert_fit(&fit.run("order", &["config", "check"]));
    fit.set("DATABASE__POSTGRES__URL", "postgres://gantry@127.0.0.1/SERVICE");
    assert_refused(&fit.run("order", &["config", "check"]), &["password_file"]);
}

#[test]
fn the_suite_in_one_process_is_for_development() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = gantry();
    command.arg("up").env("GANTRY_PROFILE", "production").current_dir(folder.path());
    let output = command.output().unwrap();
    assert_refused(
        &output,
        &["error: profile: expected development: ", "(variable GANTRY_PROFILE)"],
    );
    assert_eq!(files(folder.path()), 0);
    let mut command = gantry();
    command.args(["config", "check"]).env("GANTRY_PROFILE", "staging").current_dir(folder.path());
    assert_refused(&command.output().unwrap(), &["expected one of development, production"]);
}
