//! The settings of the suite: its own few, and each service's in its table.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use gantry_config::{Check, ConfigError, Loaded, Problems, Sources};
use gantry_process::{ADDING, PROCESS_BOUNDS, Service as _, ServiceSettings};
use gantry_server::{ConnectionSettings, HostName, ServerTls};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::keys::Keys;
use crate::{
    cli::UpArgs,
    ports::{INVENTORY, ORDER, SERVICES, USER},
};

/// Everything `gantry up` can be told in a file or in the environment.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    /// The admin pages.
    pub(super) admin: AdminSettings,
    /// How the services find each other.
    pub(super) discovery: gantry_discovery::Settings,
    /// Logs of the whole process.
    pub(super) telemetry: gantry_telemetry::Settings,
    /// The user service.
    pub(super) user: ServiceSettings<gantry_user::Service>,
    /// The order service.
    pub(super) order: ServiceSettings<gantry_order::Service>,
    /// The inventory service.
    pub(super) inventory: ServiceSettings<gantry_inventory::Service>,
}

/// Settings of the admin pages; their port follows from `--port-offset`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
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
        self.user.check(&self.discovery, problems);
        self.order.check(&self.discovery, problems);
        self.inventory.check(&self.discovery, problems);
    }
}

impl Settings {
    /// Connections of each service's servers, and how many of these there are.
    pub(super) fn connections(
        &mut self,
        replicas: &BTreeMap<&str, u16>,
    ) -> impl Iterator<Item = (&mut ConnectionSettings, u64)> {
        let servers = [
            (USER.name, &mut self.user.common.server),
            (ORDER.name, &mut self.order.common.server),
            (INVENTORY.name, &mut self.inventory.common.server),
        ];
        servers.into_iter().map(|(name, server)| {
            (&mut server.connections, replicas.get(name).copied().unwrap_or(1).into())
        })
    }

    /// How the services' servers speak TLS, where they do.
    pub(super) fn tls(&self) -> BTreeMap<&'static str, ServerTls> {
        let servers = [
            (USER.name, &self.user.common.server),
            (ORDER.name, &self.order.common.server),
            (INVENTORY.name, &self.inventory.common.server),
        ];
        servers.into_iter().filter_map(|(name, server)| Some((name, server.tls.clone()?))).collect()
    }

    /// The defaults, the data directory, the files, the environment and the flags.
    ///
    /// # Errors
    /// Every problem at once; then everything that is wrong with the files that they name.
    pub(super) fn load(args: &UpArgs, keys: &Keys) -> Result<Loaded<Self>, ConfigError> {
        let mut sources = args.settings.add_to(Self::defaults(&args.data_dir, keys));
        if let Some(registry) = args.registry {
            sources = sources.set("discovery.kind", registry.as_str(), "--registry");
        }
        if let Some(url) = &args.consul {
            sources = sources.set("discovery.consul.url", url.as_str(), "--consul");
        }
        let loaded: Loaded<Self> = gantry_config::load_shown(sources)?;
        loaded.origin.check(&Files { settings: &loaded.settings, made: &keys.made() })?;
        Ok(loaded)
    }

    /// Returns the defaults and the bounds.
    pub(super) fn sources() -> Sources {
        let sources = Sources::new().adding(ADDING).bounds("", PROCESS_BOUNDS);
        let sources = ServiceSettings::<gantry_user::Service>::bounded(sources);
        let sources = ServiceSettings::<gantry_order::Service>::bounded(sources);
        ServiceSettings::<gantry_inventory::Service>::bounded(sources)
            .defaults(include_str!("../../config/default.toml"))
            .defaults_of("user", gantry_user::Service::DEFAULTS)
            .defaults_of("order", gantry_order::Service::DEFAULTS)
            .defaults_of("inventory", gantry_inventory::Service::DEFAULTS)
    }

    /// The defaults, and what the data directory has for settings that nobody gives.
    fn defaults(data_dir: &Path, keys: &Keys) -> Sources {
        const FLAG: &str = "--data-dir";
        let sources = Self::sources()
            .set("user.tokens.key_file", keys.users_tokens(), FLAG)
            .set("order.identity.jwks_cache_dir", data_dir, FLAG)
            .set("inventory.identity.jwks_cache_dir", data_dir, FLAG);
        SERVICES.iter().map(|service| service.name).fold(sources, |sources, name| {
            let key = |key: &str| format!("{name}.{key}");
            sources
                .set(&key("database.path"), data_dir.join(format!("{name}.db")), FLAG)
                .set(&key("identity.key_file"), keys.private(name), FLAG)
                .set(&key("identity.trusted"), keys.trusted_by(name), FLAG)
                .set(&key("idempotency.key_file"), keys.request_records(name), FLAG)
        })
    }
}

/// The files that the settings name. Those of the data directory are made by the start.
struct Files<'a> {
    settings: &'a Settings,
    made: &'a [PathBuf],
}

impl Check for Files<'_> {
    fn check(&self, problems: &mut Problems) {
        let Self { settings, made } = *self;
        settings.user.check_files(made, problems);
        settings.order.check_files(made, problems);
        settings.inventory.check_files(made, problems);
    }
}
