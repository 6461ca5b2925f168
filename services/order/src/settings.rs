//! What can be configured. `config/default.toml` says what each key means.

mod pricing;

use std::net::SocketAddr;

use gantry_client::ClientSettings;
use gantry_config::{Check, ConfigError, Loaded, Problems, Sources};
use gantry_proto::CONTRACT;
use serde::Deserialize;

pub use self::pricing::{
    Amount, Destination, DiscountSettings, Percent, PricingSettings, TaxSettings, TierName,
};

/// `config/default.toml`.
pub const DEFAULTS: &str = include_str!("../config/default.toml");

/// The process `order-service`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Own {
    /// Where callers reach it.
    pub listen: SocketAddr,
    /// Where operators reach it.
    pub admin: gantry_server::AdminSettings,
    /// Where it makes itself known, and finds the others.
    pub discovery: gantry_discovery::Settings,
    /// How it logs.
    pub telemetry: gantry_telemetry::Settings,
    /// The service in it.
    pub order: Settings,
}

/// The service, whatever process it is in.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// How it is served.
    pub server: gantry_server::Settings,
    /// Who it is, and whom it believes.
    pub identity: gantry_identity::Settings,
    /// Where its data is.
    pub database: gantry_sql::Settings,
    /// How it recognises repeated requests.
    pub idempotency: gantry_server::IdempotencySettings,
    /// How it calls other services.
    pub clients: Clients,
    /// How placed orders are carried through.
    pub saga: gantry_saga::Policy,
    /// What orders cost.
    pub pricing: PricingSettings,
}

/// The services it calls, by their names, and how.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clients {
    /// Who the customers are.
    pub user: ClientSettings,
    /// The catalogue and the stock.
    pub inventory: ClientSettings,
}

impl Own {
    /// The defaults, then `file`, then the environment.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn load(args: &gantry_config::Args) -> Result<Loaded<Self>, ConfigError> {
        let sources = Sources::new().defaults(DEFAULTS).file(args.config.as_deref()).environment();
        gantry_config::load_shown(sources)
    }
}

impl Check for Own {
    fn check(&self, problems: &mut Problems) {
        for problem in self.discovery.problems() {
            problems.add(&format!("discovery.{}", problem.key), problem.why);
        }
        problems.within("order", &self.order);
        // Defaults that would be wrong to guess: `gantry up` makes keys, this process is
        // given them.
        let Settings { identity, idempotency, .. } = &self.order;
        if identity.key_file.as_os_str().is_empty() {
            problems.expected("order.identity.key_file", "a file");
        }
        if identity.trusted.is_empty() {
            problems.expected("order.identity.trusted", "at least one key");
        }
        if idempotency.key_file.as_os_str().is_empty() {
            problems.expected("order.idempotency.key_file", "a file");
        }
    }
}

impl Check for Settings {
    fn check(&self, problems: &mut Problems) {
        for problem in self.server.problems() {
            problems.expected(&format!("server.{}", problem.key), problem.expected);
        }
        for (peer, client) in [("user", &self.clients.user), ("inventory", &self.clients.inventory)]
        {
            for problem in client.problems(&CONTRACT) {
                problems.add(&format!("clients.{peer}.{}", problem.key), problem.why);
            }
        }
        for problem in self.saga.problems() {
            problems.expected(&format!("saga.{}", problem.key), problem.expected);
        }
    }
}

#[cfg(test)]
#[path = "settings/tests.rs"]
mod tests;
