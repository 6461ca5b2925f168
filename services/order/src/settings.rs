//! What can be configured. `config/default.toml` says what each key means.

mod pricing;

use std::time::Duration;

use gantry_config::{Bound, Check, Problems};
use gantry_process::{OwnSettings, SAGA_BOUNDS};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::pricing::{
    Amount, Destination, DiscountSettings, Percent, PricingSettings, TaxSettings, TierName,
};

/// The service's own settings.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// How placed orders are carried through.
    pub saga: gantry_saga::Policy,
    /// What orders cost.
    pub pricing: PricingSettings,
    /// Drafts that one user may leave open.
    pub drafts: DraftSettings,
}

/// Limit of the open drafts of one user.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DraftSettings {
    /// The most at once: 1 to 10,000.
    pub max_per_user: u32,
    /// Time after its last change for which a draft counts: 1 h to 10 years.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub open_for: Duration,
}

const HOUR: Duration = Duration::from_secs(60 * 60);
const TEN_YEARS: Duration = Duration::from_secs(3650 * 24 * 60 * 60);

const DRAFT_BOUNDS: &[Bound] = &[
    Bound::count("drafts.max_per_user", 1, 10_000),
    Bound::time("drafts.open_for", HOUR, TEN_YEARS),
];

impl OwnSettings for Settings {
    const BOUNDS: &'static [&'static [Bound]] = &[SAGA_BOUNDS, DRAFT_BOUNDS];
}

impl Check for Settings {
    fn check(&self, problems: &mut Problems) {
        for problem in self.saga.problems() {
            problems.expected(&format!("saga.{}", problem.key), problem.expected);
        }
    }
}

#[cfg(test)]
#[path = "settings/tests.rs"]
mod tests;
