//! Rules of the profile `production`: no plaintext to other machines, no missing or weak secret.
//! docs/CONFIGURATION.md lists them.

use std::{collections::BTreeSet, net::SocketAddr, path::Path};

use gantry_config::{Check, Problems};
use gantry_discovery::Kind;
use gantry_server::ReflectionAccess;
use gantry_sql::PostgresSettings;

use crate::{
    CommonSettings, OwnSettings, ProcessSettings, Service, StorageSettings, plaintext::elsewhere,
};

/// Adds the problems of the values.
pub(crate) fn check<S: Service>(settings: &ProcessSettings<S>, problems: &mut Problems) {
    let ProcessSettings { admin, discovery, .. } = settings;
    match discovery.kind {
        Kind::Memory => problems.expected(
            "discovery.kind",
            "static or consul in production: a registry in memory has this process alone",
        ),
        Kind::Consul => {
            let consul = &discovery.consul;
            if consul.is_open_to_others() {
                let expected = "https:// in production to an agent on another machine";
                problems.expected("discovery.consul.url", expected);
            }
            refuse_plaintext("discovery.consul.", consul.allow_plaintext, problems);
        }
        _ => {}
    }
    check_telemetry(&settings.telemetry, problems);
    if !admin.listen.ip().is_loopback() && admin.hosts.is_empty() {
        problems.expected(
            "admin.listen",
            "a loopback address in production, or the permitted names in admin.hosts",
        );
    }
    problems.within(S::NAME, &Table(settings));
}

/// Adds the problems of the files that the values name.
pub(crate) fn check_files<S: Service>(settings: &ProcessSettings<S>, problems: &mut Problems) {
    problems.within(S::NAME, &Files(&settings.service.common));
}

/// Table of the service.
struct Table<'a, S: Service>(&'a ProcessSettings<S>);

impl<S: Service> Check for Table<'_, S> {
    fn check(&self, problems: &mut Problems) {
        let ProcessSettings { listen, discovery, service, .. } = self.0;
        let CommonSettings { server, identity, storage, clients, .. } = &service.common;
        check_server(*listen, server, problems);
        let publishers = S::KEYS.iter().flat_map(|_| identity.publishers());
        let callees: BTreeSet<_> =
            S::CALLS.iter().map(|callee| callee.name).chain(publishers).collect();
        for callee in callees {
            let is_secure = clients.get(callee).is_some_and(|client| client.tls.is_some());
            if let Some(place) = elsewhere(discovery, callee).filter(|_| !is_secure) {
                let expected = format!("ca_file in production: {callee} is at {place}");
                problems.expected(&format!("clients.{callee}.tls"), expected);
            }
        }
        for (number, trusted) in identity.trusted.iter().enumerate() {
            let entry = format!("identity.trusted.{number}.");
            refuse_plaintext(&entry, trusted.allow_plaintext, problems);
        }
        if let Some(postgres) = storage.as_ref().and_then(postgres) {
            refuse_plaintext("database.postgres.", postgres.allow_plaintext, problems);
            let certified = postgres.tls.as_ref().is_some_and(|tls| tls.cert_file.is_some());
            if postgres.password_file.is_none() && !certified && !postgres.has_socket() {
                problems.expected(
                    "database.postgres.password_file",
                    "a file in production, or a client certificate in postgres.tls",
                );
            }
        }
        service.own.check_production(problems);
    }
}

fn check_telemetry(settings: &gantry_telemetry::Settings, problems: &mut Problems) {
    for key in settings.open_to_others() {
        let expected = "https:// in production to a collector on another machine";
        problems.expected(&format!("telemetry.{key}"), expected);
    }
    refuse_plaintext("telemetry.otlp.", settings.otlp.allow_plaintext, problems);
}

fn check_server(listen: SocketAddr, server: &gantry_server::Settings, problems: &mut Problems) {
    if server.tls.is_none() && !listen.ip().is_loopback() {
        let expected = format!(
            "cert_file and key_file in production, unless listen is a loopback address: other \
             machines reach {listen}"
        );
        problems.expected("server.tls", expected);
    }
    if server.reflection == ReflectionAccess::Public {
        problems.expected("server.reflection", "authenticated or off in production");
    }
    for (number, network) in server.limits.trusted_proxies.iter().enumerate() {
        if network.prefix_len() == 0 {
            let key = format!("server.limits.trusted_proxies.{number}");
            problems.expected(&key, "the network of proxies in production, found every address");
        }
    }
}

fn refuse_plaintext(table: &str, allowed: bool, problems: &mut Problems) {
    if allowed {
        problems.expected(&format!("{table}allow_plaintext"), "false in production");
    }
}

/// Returns the settings of PostgreSQL if it is in use.
fn postgres(storage: &StorageSettings) -> Option<&PostgresSettings> {
    let database = &storage.database;
    (database.kind == gantry_sql::Kind::Postgres).then_some(&database.postgres)
}

/// Files of the service's table.
struct Files<'a>(&'a CommonSettings);

impl Check for Files<'_> {
    fn check(&self, problems: &mut Problems) {
        let Some(storage) = &self.0.storage else { return };
        let password = postgres(storage).and_then(|postgres| postgres.password_file.as_deref());
        if let Some(path) = password
            && let Some(why) = problem_of(path, weakness)
        {
            problems.add("database.postgres.password_file", why);
        }
        if let Some(idempotency) = &storage.idempotency
            && let Some(why) = problem_of(&idempotency.key_file, weak_key)
        {
            let how =
                "all replicas share it, so production does not create it: openssl rand -hex 32";
            problems.add("idempotency.key_file", format!("{why} ({how})"));
        }
    }
}

/// Returns the problem of a file with a secret.
fn problem_of(path: &Path, weak: impl Fn(&str) -> Option<&'static str>) -> Option<String> {
    let text = gantry_files::read_secret(path);
    let secret = text
        .as_ref()
        .map_err(ToString::to_string)
        .and_then(|text| gantry_files::value(text).map_err(|error| error.to_string()));
    match secret {
        Ok(secret) => weak(secret).map(|why| format!("the secret in {} {why}", path.display())),
        Err(error) => Some(format!("cannot read {}: {error}", path.display())),
    }
}

/// Parts of passwords that are guessed first.
const GUESSED: &[&str] = &[
    "123456",
    "admin",
    "change-me",
    "change_me",
    "changeme",
    "default",
    "example",
    "gantry",
    "letmein",
    "passw",
    "postgres",
    "qwerty",
    "secret",
    "welcome",
];

/// Returns why a password is weak, if it is. The reason does not contain the password.
pub fn weakness(password: &str) -> Option<&'static str> {
    let lower = password.to_lowercase();
    if password.chars().count() < 16 {
        Some("has fewer than 16 characters: openssl rand -hex 24")
    } else if lower.chars().collect::<BTreeSet<_>>().len() < 6 {
        Some("has fewer than 6 different characters: openssl rand -hex 24")
    } else if GUESSED.iter().any(|part| lower.contains(part)) {
        Some("contains a word that is guessed first: openssl rand -hex 24")
    } else {
        None
    }
}

/// Returns why a key of 64 hexadecimal digits is not random, if it is not.
fn weak_key(key: &str) -> Option<&'static str> {
    /// Fewer different bytes of 32 are less likely than a guess of the key.
    const DIFFERENT: usize = 12;
    let bytes: BTreeSet<_> = key.as_bytes().chunks(2).collect();
    (bytes.len() < DIFFERENT).then_some("repeats few bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weak_password_is_short_repetitive_or_guessed_first() {
        for (password, why) in [
            ("", Some("16 characters")),
            ("a1b2c3d4e5f6g7h", Some("16 characters")),
            ("äöüäöüäöüäöüäöüä", Some("6 different")),
            ("Postgres-Of-The-Shop", Some("guessed first")),
            ("xK9!-CHANGE_ME-qq7", Some("guessed first")),
            ("correct horse battery staple", None),
            ("5b1f9c0d7e3a4862", None),
            ("kT0/rW+vZq3yB1xn", None),
        ] {
            let found = weakness(password);
            assert_eq!(found.is_some(), why.is_some(), "{password}: {found:?}");
            assert!(found.is_none_or(|found| found.contains(why.unwrap_or_default())), "{found:?}");
        }
    }

    #[test]
    fn a_weak_key_repeats_few_bytes() {
        let counted: String = (0..32).map(|byte| format!("{byte:02x}")).collect();
        for (key, weak) in [
            ("0".repeat(64), true),
            ("0123456789abcdef".repeat(4), true),
            ("00112233445566778899aa".repeat(3), true),
            (counted, false),
        ] {
            assert_eq!(weak_key(&key).is_some(), weak, "{key}");
        }
    }
}
