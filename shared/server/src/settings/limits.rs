//! What a server takes on: calls at once, and calls in a time.

use std::{collections::BTreeMap, time::Duration};

use gantry_contract::Contract;
use gantry_resilience::limits::{
    ConcurrencyConfig, ConcurrencyParameters, InvalidConcurrency, InvalidRate, Rate,
};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::InvalidSetting;

/// How many calls at once: found by how long they take. See
/// [`gantry_resilience::limits`].
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConcurrencySettings {
    /// Calls at once that are never too many. Default 64.
    pub min: u32,
    /// The limit at first. Default 100.
    pub initial: u32,
    /// The highest limit. Default 1,000.
    pub max: u32,
    /// How many times what it takes on an idle server a call may take until it counts as
    /// slow. Default 2.
    pub tolerance: f64,
    /// The least that counts as what a call takes on an idle server. Default 10 ms.
    #[serde(with = "humantime_serde")]
    pub fast: Duration,
}

impl Default for ConcurrencySettings {
    fn default() -> Self {
        let ConcurrencyParameters { min, initial, max, tolerance, fast } =
            ConcurrencyParameters::default();
        Self { min, initial, max, tolerance, fast }
    }
}

impl ConcurrencySettings {
    pub(super) fn problem(&self) -> Option<InvalidSetting> {
        let (key, expected) = match self.config().err()? {
            InvalidConcurrency::Order => (
                "concurrency.min",
                "at least 1 and at most initial, that at most max, that at most 100000",
            ),
            InvalidConcurrency::Tolerance => ("concurrency.tolerance", "from 1.1 to 100"),
            InvalidConcurrency::Fast => ("concurrency.fast", "longer than 0s and at most 1m"),
        };
        InvalidSetting::unless(false, key, expected)
    }

    pub(crate) fn config(&self) -> Result<ConcurrencyConfig, InvalidConcurrency> {
        let Self { min, initial, max, tolerance, fast } = *self;
        ConcurrencyConfig::try_new(ConcurrencyParameters { min, initial, max, tolerance, fast })
    }
}

/// Calls in a time: the numbers of a token bucket.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RateSettings {
    /// Calls a second in the long run; below 1 for rarer ones.
    pub per_second: f64,
    /// Calls at once after a pause.
    pub burst: u32,
}

impl RateSettings {
    pub(crate) fn rate(self) -> Result<Rate, InvalidRate> {
        Rate::try_new(self.per_second, self.burst)
    }
}

/// Which header tells on whose behalf a proxy calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ForwardedBy {
    /// `x-forwarded-for`, a list of addresses.
    XForwardedFor,
    /// `forwarded` (RFC 7239).
    Forwarded,
}

/// How often one caller may call.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitSettings {
    /// All calls of an address without credentials, or with some that do not hold where
    /// others lately did not. Default: 10 a second, 20 at once.
    pub per_address: RateSettings,
    /// The calls of a user, also through services, of methods without a rate class.
    /// Default: 1,000 a second, 1,000 at once.
    pub per_user: RateSettings,
    /// Those of a service on its own account. Default: no limit but the concurrency's.
    pub per_service: Option<RateSettings>,
    /// Other numbers than the contract's for its rate classes, by their names.
    pub classes: BTreeMap<String, RateSettings>,
    /// How many addresses, and how many callers of each class, are told apart. Default
    /// 10,000.
    pub max_keys: u32,
    /// Networks of proxies that are believed when they tell for whom they call. Default:
    /// none.
    pub trusted_proxies: Vec<IpNet>,
    /// The header in which they do; they have to replace or extend what came in.
    /// Default: `x-forwarded-for`.
    pub forwarded_by: ForwardedBy,
}

impl Default for LimitSettings {
    fn default() -> Self {
        Self {
            per_address: RateSettings { per_second: 10.0, burst: 20 },
            per_user: RateSettings { per_second: 1000.0, burst: 1000 },
            per_service: None,
            classes: BTreeMap::new(),
            max_keys: 10_000,
            trusted_proxies: Vec::new(),
            forwarded_by: ForwardedBy::XForwardedFor,
        }
    }
}

impl LimitSettings {
    pub(super) fn problems(&self, contract: &Contract) -> impl Iterator<Item = InvalidSetting> {
        let expected = "per_second above 0, burst at least 1, and that many within a year";
        let rate =
            |key, rate: RateSettings| InvalidSetting::unless(rate.rate().is_ok(), key, expected);
        let known: Vec<_> = contract.rate_classes.iter().map(|class| class.name).collect();
        let classes = self.classes.iter().filter_map(move |(name, class)| {
            let key = format!("limits.classes.{name}");
            if known.contains(&name.as_str()) {
                return InvalidSetting::unless(class.rate().is_ok(), key, expected);
            }
            let known = format!("a rate class of the contract, which has {}", known.join(", "));
            InvalidSetting::unless(false, key, known)
        });
        [
            rate("limits.per_address", self.per_address),
            rate("limits.per_user", self.per_user),
            self.per_service.and_then(|service| rate("limits.per_service", service)),
            InvalidSetting::unless(self.max_keys > 0, "limits.max_keys", "at least 1"),
        ]
        .into_iter()
        .flatten()
        .chain(classes)
    }
}
