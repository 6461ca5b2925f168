//! Settings that every service has.

use std::collections::BTreeMap;

use gantry_client::ClientSettings;
use gantry_config::Problems;
use gantry_contract::Contract;
use gantry_server::IdempotencySettings;
use serde::{Serialize, de::Error, de::MapAccess};

use crate::{FileChecks, Service, plaintext::check_published_keys};

/// Common settings below the table of a service.
#[derive(Clone, Debug, Serialize)]
pub struct CommonSettings {
    /// Server: limits, connections, drain.
    pub server: gantry_server::Settings,
    /// Own key, trusted keys, grants of callers.
    pub identity: gantry_identity::Settings,
    /// Database and request records: Some if the service has [`Service::MIGRATIONS`].
    #[serde(flatten)]
    pub storage: Option<StorageSettings>,
    /// Engine of the sagas: Some if [`Service::SAGAS`] is true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub saga: Option<gantry_saga::Policy>,
    /// Clients, by the name of the called service.
    pub clients: BTreeMap<String, ClientSettings>,
}

/// Settings of a service that has a database.
#[derive(Clone, Debug, Serialize)]
pub struct StorageSettings {
    /// Database.
    pub database: gantry_sql::Settings,
    /// Request records: Some if the service has a [`Service::CONTRACT`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idempotency: Option<IdempotencySettings>,
}

impl CommonSettings {
    /// Checks everything but files. `discovery` is the registry of the process.
    pub(super) fn check<S: Service>(
        &self,
        discovery: &gantry_discovery::Settings,
        problems: &mut Problems,
    ) {
        let contract = S::CONTRACT.unwrap_or(&Contract::EMPTY);
        for problem in self.server.problems(contract) {
            problems.expected(&format!("server.{}", problem.key), problem.expected);
        }
        for problem in self.identity.problems(contract) {
            problems.expected(&format!("identity.{}", problem.key), problem.expected);
        }
        // These keys have no useful default.
        if !S::CALLS.is_empty() && self.identity.key_file.as_os_str().is_empty() {
            problems.expected("identity.key_file", "a file");
        }
        if S::CONTRACT.is_some() && self.identity.trusted.is_empty() {
            problems.expected("identity.trusted", "at least one key");
        }
        if let Some(StorageSettings { database, idempotency }) = &self.storage {
            if idempotency.as_ref().is_some_and(|it| it.key_file.as_os_str().is_empty()) {
                problems.expected("idempotency.key_file", "a file");
            }
            for problem in database.problems() {
                problems.add(&format!("database.{}", problem.key), problem.why);
            }
        }
        for problem in self.saga.iter().flat_map(gantry_saga::Policy::problems) {
            problems.expected(&format!("saga.{}", problem.key), problem.expected);
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
                    problems.add(&key, format!("unknown key, expected one of {known}"));
                }
            }
        }
    }

    /// Checks the named files.
    pub(super) fn check_files(&self, files: &mut FileChecks<'_>) {
        files.identity(&self.identity);
        if let Some(storage) = &self.storage {
            storage.idempotency.iter().for_each(|idempotency| files.idempotency(idempotency));
        }
        files.server_tls(self.server.tls.as_ref());
        for (name, client) in &self.clients {
            files.client_tls(&format!("clients.{name}"), client.tls.as_ref());
        }
    }
}

/// Returns the services that `S` calls, those that publish keys included, with their contracts.
fn callees<S: Service>(
    identity: &gantry_identity::Settings,
) -> impl Iterator<Item = (&str, &'static Contract)> {
    let keys = S::KEYS.into_iter().flat_map(|api| {
        let named = identity.publishers().into_iter().chain([api.publisher.name]);
        named.map(move |name| (name, api.publisher.contract))
    });
    // The last entry of a name wins.
    keys.chain(S::CALLS.iter().map(|callee| (callee.name, callee.contract)))
}

/// Common settings, read key by key.
#[derive(Default)]
pub(super) struct Unfinished {
    server: Option<gantry_server::Settings>,
    identity: Option<gantry_identity::Settings>,
    database: Option<gantry_sql::Settings>,
    idempotency: Option<IdempotencySettings>,
    saga: Option<gantry_saga::Policy>,
    clients: Option<BTreeMap<String, ClientSettings>>,
}

impl Unfinished {
    /// Returns the common keys that `S` has.
    pub(super) fn keys<S: Service>() -> Vec<&'static str> {
        let storage: &[_] = match (S::MIGRATIONS, S::CONTRACT) {
            (Some(_), Some(_)) => &["database", "idempotency"],
            (Some(_), None) => &["database"],
            (None, _) => &[],
        };
        let saga: &[_] = if S::SAGAS { &["saga"] } else { &[] };
        [&["server", "identity"], storage, saga, &["clients"]].concat()
    }

    /// Reads the value of one of [`keys`](Self::keys).
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
            "saga" => self.saga = Some(map.next_value()?),
            _ => self.clients = Some(map.next_value()?),
        }
        Ok(())
    }

    /// Returns the settings. The error names the first missing key.
    pub(super) fn finish<S: Service, E: Error>(self) -> Result<CommonSettings, E> {
        let storage = S::MIGRATIONS.map(|_| {
            Ok(StorageSettings {
                database: given("database", self.database)?,
                idempotency: S::CONTRACT
                    .map(|_| given("idempotency", self.idempotency))
                    .transpose()?,
            })
        });
        Ok(CommonSettings {
            server: given("server", self.server)?,
            identity: given("identity", self.identity)?,
            storage: storage.transpose()?,
            saga: S::SAGAS.then(|| given("saga", self.saga)).transpose()?,
            clients: self.clients.unwrap_or_default(),
        })
    }
}

fn given<T, E: Error>(key: &'static str, value: Option<T>) -> Result<T, E> {
    value.ok_or_else(|| E::missing_field(key))
}
