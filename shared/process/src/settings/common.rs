//! Settings that every service has.

use std::collections::BTreeMap;

use gantry_client::ClientSettings;
use gantry_config::Problems;
use gantry_contract::Contract;
use gantry_server::IdempotencySettings;
use schemars::JsonSchema;
use serde::{Serialize, de::Error, de::MapAccess};

use crate::{FileChecks, Service, plaintext::check_published_keys};

/// Settings that every service has, below the table of its name.
#[derive(Clone, Debug, JsonSchema, Serialize)]
#[schemars(deny_unknown_fields)]
pub struct CommonSettings {
    /// Server: limits, connections, drain.
    pub server: gantry_server::Settings,
    /// Own key, trusted keys, grants of callers.
    pub identity: gantry_identity::Settings,
    /// Database, if the service has one.
    pub database: gantry_sql::Settings,
    /// Request records, if the service has a database.
    pub idempotency: IdempotencySettings,
    /// Clients, by the name of the called service.
    #[schemars(default)]
    pub clients: BTreeMap<String, ClientSettings>,
}

impl CommonSettings {
    /// Checks everything but files, in a process that finds services as `discovery` says.
    pub(super) fn check<S: Service>(
        &self,
        discovery: &gantry_discovery::Settings,
        problems: &mut Problems,
    ) {
        for problem in self.server.problems(S::CONTRACT) {
            problems.expected(&format!("server.{}", problem.key), problem.expected);
        }
        for problem in self.identity.problems(S::CONTRACT) {
            problems.expected(&format!("identity.{}", problem.key), problem.expected);
        }
        // No default would be right for these.
        if !S::CALLS.is_empty() && self.identity.key_file.as_os_str().is_empty() {
            problems.expected("identity.key_file", "a file");
        }
        if self.identity.trusted.is_empty() {
            problems.expected("identity.trusted", "at least one key");
        }
        if S::MIGRATIONS.is_some() && self.idempotency.key_file.as_os_str().is_empty() {
            problems.expected("idempotency.key_file", "a file");
        }
        self.check_clients::<S>(problems);
        let is_secure = |name: &str| self.clients.get(name).is_some_and(|it| it.tls.is_some());
        check_published_keys(&self.identity, discovery, is_secure, problems);
    }

    fn check_clients<S: Service>(&self, problems: &mut Problems) {
        let callees: BTreeMap<_, _> = callees::<S>(&self.identity).collect();
        for (name, client) in &self.clients {
            let key = format!("clients.{name}");
            match callees.get(name.as_str()) {
                Some(contract) => {
                    for problem in client.problems(contract) {
                        problems.add(&format!("{key}.{}", problem.key), problem.why);
                    }
                }
                None => {
                    let known: Vec<_> = callees.keys().copied().collect();
                    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                    problems.add(&key, format!("unknown key, known here are {known}"));
                }
            }
        }
    }

    /// Checks the files that they name.
    pub(super) fn check_files(&self, files: &mut FileChecks<'_>) {
        files.identity(&self.identity);
        files.idempotency(&self.idempotency);
        files.server_tls(self.server.tls.as_ref());
        for (name, client) in &self.clients {
            files.client_tls(&format!("clients.{name}"), client.tls.as_ref());
        }
    }
}

/// The services that `S` calls, be it for the keys that they publish, each with its contract.
fn callees<S: Service>(
    identity: &gantry_identity::Settings,
) -> impl Iterator<Item = (&str, &'static Contract)> {
    let keys = S::KEYS.into_iter().flat_map(|api| {
        let named = identity.publishers().into_iter().chain([api.publisher.name]);
        named.map(move |name| (name, api.publisher.contract))
    });
    // What stands last holds.
    keys.chain(S::CALLS.iter().map(|callee| (callee.name, callee.contract)))
}

/// Common settings of which some are not read yet.
#[derive(Default)]
pub(super) struct Unfinished {
    server: Option<gantry_server::Settings>,
    identity: Option<gantry_identity::Settings>,
    database: Option<gantry_sql::Settings>,
    idempotency: Option<IdempotencySettings>,
    clients: Option<BTreeMap<String, ClientSettings>>,
}

impl Unfinished {
    pub(super) const KEYS: &'static [&'static str] =
        &["server", "identity", "database", "idempotency", "clients"];

    /// Reads the value of one of [`KEYS`](Self::KEYS).
    pub(super) fn read<'de, A: MapAccess<'de>>(
        &mut self,
        key: &str,
        map: &mut A,
    ) -> Result<(), A::Error> {
        match key {
            "server" => self.server = Some(map.next_value()?),
            "identity" => self.identity = Some(map.next_value()?),
            "database" => self.database = Some(map.next_value()?),
            "idempotency" => self.idempotency = Some(map.next_value()?),
            _ => self.clients = Some(map.next_value()?),
        }
        Ok(())
    }

    /// Returns the settings, now that all are read.
    pub(super) fn finish<E: Error>(self) -> Result<CommonSettings, E> {
        Ok(CommonSettings {
            server: self.server.ok_or_else(|| E::missing_field("server"))?,
            identity: self.identity.ok_or_else(|| E::missing_field("identity"))?,
            database: self.database.ok_or_else(|| E::missing_field("database"))?,
            idempotency: self.idempotency.ok_or_else(|| E::missing_field("idempotency"))?,
            clients: self.clients.unwrap_or_default(),
        })
    }
}
