//! What can be configured. `config/default.toml` says what each key means.

mod pricing;

use std::time::Duration;

use gantry_client::ClientSettings;
use gantry_config::{Bound, Check, Problems};
use gantry_process::{CLIENTS_BOUNDS, FileChecks, SAGA_BOUNDS, Table};
use gantry_proto::CONTRACT;
use serde::{Deserialize, Serialize};

pub use self::pricing::{
    Amount, Destination, DiscountSettings, Percent, PricingSettings, TaxSettings, TierName,
};

/// What other services call it.
pub(crate) const NAME: &str = "order";

/// `config/default.toml`.
pub const DEFAULTS: &str = include_str!("../config/default.toml");

/// The settings of the process `order-service`.
pub type Own = gantry_process::Own<Settings>;

/// The service, whatever process it is in.
#[derive(Clone, Debug, Deserialize, Serialize)]
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
    /// Drafts that one user may leave open.
    pub drafts: DraftSettings,
}

/// Limit of the open drafts of one user.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct DraftSettings {
    /// The most at once: 1 to 10,000.
    pub max_per_user: u32,
    /// Time after its last change for which a draft counts: 1 h to 10 years.
    #[serde(with = "humantime_serde")]
    pub open_for: Duration,
}

const HOUR: Duration = Duration::from_secs(60 * 60);
const TEN_YEARS: Duration = Duration::from_secs(3650 * 24 * 60 * 60);

const DRAFT_BOUNDS: &[Bound] = &[
    Bound::count("drafts.max_per_user", 1, 10_000),
    Bound::time("drafts.open_for", HOUR, TEN_YEARS),
];

/// The services it calls, by their names, and how.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Clients {
    /// Who the customers are.
    pub user: ClientSettings,
    /// The catalogue and the stock.
    pub inventory: ClientSettings,
}

impl Table for Settings {
    const NAME: &'static str = NAME;
    const DEFAULTS: &'static str = DEFAULTS;
    const BOUNDS: &'static [&'static [Bound]] = &[SAGA_BOUNDS, CLIENTS_BOUNDS, DRAFT_BOUNDS];

    fn check_discovery(&self, discovery: &gantry_discovery::Settings, problems: &mut Problems) {
        // It fetches keys from the user service alone.
        let is_secure = |_: &str| self.clients.user.tls.is_some();
        gantry_process::check_published_keys(&self.identity, discovery, is_secure, problems);
    }

    fn check_files(&self, files: &mut FileChecks<'_>) {
        files.identity(&self.identity);
        files.idempotency(&self.idempotency);
        files.server_tls(self.server.tls.as_ref());
        files.client_tls("clients.user", self.clients.user.tls.as_ref());
        files.client_tls("clients.inventory", self.clients.inventory.tls.as_ref());
    }

    fn check_alone(&self, problems: &mut Problems) {
        // `gantry up` makes keys, this process is given them.
        let Self { identity, idempotency, .. } = self;
        if identity.key_file.as_os_str().is_empty() {
            problems.expected("identity.key_file", "a file");
        }
        if identity.trusted.is_empty() {
            problems.expected("identity.trusted", "at least one key");
        }
        if idempotency.key_file.as_os_str().is_empty() {
            problems.expected("idempotency.key_file", "a file");
        }
    }
}

impl Check for Settings {
    fn check(&self, problems: &mut Problems) {
        gantry_process::check_server(&self.server, &CONTRACT, problems);
        gantry_process::check_identity(&self.identity, &CONTRACT, problems);
        let Clients { user, inventory } = &self.clients;
        for (key, client) in [("clients.user", user), ("clients.inventory", inventory)] {
            gantry_process::check_client(key, client, &CONTRACT, problems);
        }
        for problem in self.saga.problems() {
            problems.expected(&format!("saga.{}", problem.key), problem.expected);
        }
    }
}

#[cfg(test)]
#[path = "settings/tests.rs"]
mod tests;
