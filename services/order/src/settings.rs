//! Settings. `config/default.toml` has the defaults.

use std::time::Duration;

use gantry_config::{Bound, Text};
use gantry_money::{Money, Rate};
use gantry_process::OwnSettings;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::{DiscountRule, Pricing, Region, TaxRule, Tier};

/// Settings of the order service.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Rules of prices.
    pub pricing: PricingSettings,
    /// Limit of the open drafts of one user.
    pub drafts: DraftSettings,
}

/// Limit of the open drafts of one user.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DraftSettings {
    /// Maximum number of open drafts: 1 to 10,000.
    pub max_per_user: u32,
    /// Time since its last change for which a draft is open: 1 h to 10 years.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub open_for: Duration,
}

/// Rules of prices.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PricingSettings {
    /// Discounts. The highest one that applies is taken.
    pub discounts: Vec<DiscountSettings>,
    /// Taxes. The most precise one that applies is taken.
    pub taxes: Vec<TaxSettings>,
}

/// Discount for orders that meet all of its conditions.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DiscountSettings {
    /// Tier of the customer: `regular`, `premium` or `vip`. Default: any.
    pub tier: Option<Text<Tier>>,
    /// Smallest subtotal: `100.00 EUR`. Default: any.
    pub minimum: Option<Text<Money>>,
    /// Percentage of each line: 0 to 100, at most two decimal places.
    pub percent: Rate,
}

/// Tax on orders sent to a region.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TaxSettings {
    /// Country, or a state or province of it: `DE`, `US-CA`.
    pub region: Text<Region>,
    /// Percentage of each line after its discount: 0 to 100, at most two decimal places.
    pub percent: Rate,
}

impl OwnSettings for Settings {
    const BOUNDS: &'static [Bound] = &[
        Bound::count("drafts.max_per_user", 1, 10_000),
        Bound::time("drafts.open_for", Duration::from_hours(1), Duration::from_hours(3650 * 24)),
    ];
}

impl From<PricingSettings> for Pricing {
    fn from(PricingSettings { discounts, taxes }: PricingSettings) -> Self {
        let discount = |DiscountSettings { tier, minimum, percent }| DiscountRule {
            tier: tier.map(|Text(tier)| tier),
            minimum: minimum.map(|Text(minimum)| minimum),
            rate: percent,
        };
        let tax = |TaxSettings { region: Text(region), percent }| TaxRule { region, rate: percent };
        Self {
            discounts: discounts.into_iter().map(discount).collect(),
            taxes: taxes.into_iter().map(tax).collect(),
        }
    }
}

#[cfg(test)]
mod tests;
