//! The settings of the suite: its own few, and each service's in its table.

use std::collections::BTreeMap;

use gantry_config::{Check, ConfigError, Loaded, Problems, Sources};
use gantry_server::{ConnectionSettings, HostName, ServerTls};
use serde::Deserialize;

use crate::{
    cli::UpArgs,
    ports::{INVENTORY, ORDER, USER},
};

/// Everything `gantry up` can be told in a file or in the environment.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    /// The admin pages.
    pub(super) admin: AdminSettings,
    /// How the services find each other.
    pub(super) discovery: gantry_discovery::Settings,
    /// Logs of the whole process.
    pub(super) telemetry: gantry_telemetry::Settings,
    /// The user service.
    pub(super) user: gantry_user::Settings,
    /// The order service.
    pub(super) order: gantry_order::Settings,
    /// The inventory service.
    pub(super) inventory: gantry_inventory::Settings,
}

/// Settings of the admin pages; their port follows from `--port-offset`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AdminSettings {
    /// As [`gantry_server::AdminSettings::hosts`].
    pub(super) hosts: Vec<HostName>,
}

impl Check for Settings {
    fn check(&self, problems: &mut Problems) {
        for problem in self.discovery.problems() {
            problems.add(&format!("discovery.{}", problem.key), problem.why);
        }
        problems.within("user", &self.user);
        problems.within("order", &self.order);
        problems.within("inventory", &self.inventory);
    }
}

impl Settings {
    /// Connections of each service's servers, and how many of these there are.
    pub(super) fn connections(
        &mut self,
        replicas: &BTreeMap<&str, u16>,
    ) -> impl Iterator<Item = (&mut ConnectionSettings, u64)> {
        let servers = [
            (USER.name, &mut self.user.server),
            (ORDER.name, &mut self.order.server),
            (INVENTORY.name, &mut self.inventory.server),
        ];
        servers.into_iter().map(|(name, server)| {
            (&mut server.connections, replicas.get(name).copied().unwrap_or(1).into())
        })
    }

    /// How the services' servers speak TLS, where they do.
    pub(super) fn tls(&self) -> BTreeMap<&'static str, ServerTls> {
        let servers = [
            (USER.name, &self.user.server),
            (ORDER.name, &self.order.server),
            (INVENTORY.name, &self.inventory.server),
        ];
        servers.into_iter().filter_map(|(name, server)| Some((name, server.tls.clone()?))).collect()
    }

    /// The defaults, the data directory, the file, the environment and the flags.
    ///
    /// # Errors
    /// Every problem at once.
    pub(super) fn load(args: &UpArgs) -> Result<Loaded<Self>, ConfigError> {
        let database =
            |service: &str| args.data_dir.join(format!("{service}.db")).display().to_string();
        let data_dir = args.data_dir.display().to_string();
        let mut sources = Sources::new()
            .defaults(include_str!("../../config/default.toml"))
            .defaults_of("user", gantry_user::DEFAULTS)
            .defaults_of("order", gantry_order::DEFAULTS)
            .defaults_of("inventory", gantry_inventory::DEFAULTS)
            // Below the file and the environment: what has a path there keeps it.
            .set("user.database.path", database("user"), "--data-dir")
            .set("order.database.path", database("order"), "--data-dir")
            .set("inventory.database.path", database("inventory"), "--data-dir")
            .set("order.identity.jwks_cache_dir", data_dir.clone(), "--data-dir")
            .set("inventory.identity.jwks_cache_dir", data_dir, "--data-dir")
            .file(args.config.as_deref())
            .environment();
        if let Some(registry) = args.registry {
            sources = sources.set("discovery.kind", registry.as_str(), "--registry");
        }
        if let Some(url) = &args.consul {
            sources = sources.set("discovery.consul.url", url.as_str(), "--consul");
        }
        gantry_config::load_shown(sources)
    }
}
