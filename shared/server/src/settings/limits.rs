//! What a server takes on: calls at once, and calls in a time.

use std::{collections::BTreeMap, time::Duration};

use derive_setters::Setters;
use gantry_contract::Contract;
use gantry_resilience::limits::{
    ConcurrencyConfig, ConcurrencyParameters, InvalidConcurrency, InvalidRate, Rate,
};
use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::invalid::InvalidSetting;

/// How many calls at once: found by how long they take. See
/// [`gantry_resilience::limits`].
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema, Setters)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
#[setters(strip_option)]
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
    #[schemars(with = "String")]
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
    /// The most streams that a connection may be granted, so that one caller that uses all of
    /// them is not shed: the lowest limit, which a caller alone may have. Fewer than 16 are of
    /// no use to HTTP/2.
    pub(crate) fn max_streams(&self) -> u32 {
        self.min.max(16)
    }

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

/// Limits of requests that have begun and whose messages are not complete after 100 ms. Until
/// then they count neither here nor as calls at once; each message of a stream counts likewise.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema, Setters)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
#[setters(strip_option)]
pub struct UploadSettings {
    /// The most at once; the last quarter is kept for callers and addresses with fewer than 4.
    /// Default 1,024.
    pub max: u32,
    /// The most of one caller at once. Default 64.
    pub max_per_caller: u32,
    /// The most of one address (of IPv6, of one network of 48 bits) at once. Default 64.
    pub max_per_address: u32,
    /// The most bytes that all of them hold, at least four times `max_message_bytes`. A caller
    /// has half of it at most, and the last quarter is kept for callers with up to 64 KiB.
    /// Default 64 MiB.
    pub max_bytes: u32,
    /// Time for a message to be complete, besides that which its bytes earn. Default 5 s.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub timeout: Duration,
    /// Bytes that earn a message one more second. Default 16 KiB.
    pub min_bytes_per_second: u32,
}

impl Default for UploadSettings {
    fn default() -> Self {
        Self {
            max: 1024,
            max_per_caller: 64,
            max_per_address: 64,
            max_bytes: 64 * 1024 * 1024,
            timeout: Duration::from_secs(5),
            min_bytes_per_second: 16 * 1024,
        }
    }
}

impl UploadSettings {
    pub(super) fn problems(&self, max_message_bytes: u32) -> impl Iterator<Item = InvalidSetting> {
        let count = |key, value: u32| {
            InvalidSetting::unless((1..=1_000_000).contains(&value), key, "from 1 to 1000000")
        };
        [
            count("uploads.max", self.max),
            count("uploads.max_per_caller", self.max_per_caller),
            count("uploads.max_per_address", self.max_per_address),
            InvalidSetting::unless(
                self.max_bytes / 4 >= max_message_bytes,
                "uploads.max_bytes",
                "at least four times max_message_bytes, and at most 4294967295",
            ),
            InvalidSetting::unless(
                (Duration::from_secs(1)..=Duration::from_secs(3600)).contains(&self.timeout),
                "uploads.timeout",
                "from 1s to 1h",
            ),
            InvalidSetting::unless(
                self.min_bytes_per_second >= 1,
                "uploads.min_bytes_per_second",
                "at least 1",
            ),
        ]
        .into_iter()
        .flatten()
    }
}

/// Calls in a time: the numbers of a token bucket.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize, JsonSchema, Setters)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
#[setters(strip_option)]
pub struct RateSettings {
    /// Calls a second in the long run; below 1 for rarer ones.
    pub per_second: f64,
    /// Calls at once after a pause.
    pub burst: u32,
}

impl RateSettings {
    /// Returns a bucket of `burst` calls that `per_second` calls a second refill.
    pub const fn new(per_second: f64, burst: u32) -> Self {
        Self { per_second, burst }
    }

    /// The same for all networks of a site of IPv6 together: sixteen times as much.
    pub(crate) fn of_site(self) -> Self {
        const NETWORKS: u16 = 16;
        let Self { per_second, burst } = self;
        Self {
            per_second: (per_second * f64::from(NETWORKS)).min(1e9),
            burst: burst.saturating_mul(NETWORKS.into()),
        }
    }

    pub(crate) fn rate(self) -> Result<Rate, InvalidRate> {
        Rate::try_new(self.per_second, self.burst)
    }
}

/// Which header tells on whose behalf a proxy calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ForwardedBy {
    /// `x-forwarded-for`, a list of addresses.
    XForwardedFor,
    /// `forwarded` (RFC 7239).
    Forwarded,
}

/// How often one caller may call.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema, Setters)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
#[setters(strip_option)]
pub struct LimitSettings {
    /// The calls of an address without credentials, and all of its calls of public methods.
    /// Here and below, an address of IPv6 stands for its network of 64 bits; all networks
    /// of 48 bits have sixteen times as much together. Default: 10 a second, 20 at once.
    pub per_address: RateSettings,
    /// The calls of an address with credentials that are not known to hold, if others of that
    /// address did not hold in the last minute; apart for connections on which some did not
    /// hold, and for all others. Each costs a signature check. Default: 200 a second, 400 at
    /// once.
    pub per_address_unproven: RateSettings,
    /// The calls of a user, also through services, of methods without a rate class.
    /// Default: 1,000 a second, 1,000 at once.
    pub per_user: RateSettings,
    /// Those of a service on its own account, for which the class `writes` does not hold.
    /// Default: no limit but the concurrency's.
    pub per_service: Option<RateSettings>,
    /// Other numbers than the contract's for its rate classes, by their names.
    pub classes: BTreeMap<String, RateSettings>,
    /// How many addresses, and how many callers of each class, are told apart. Default
    /// 10,000.
    pub max_keys: u32,
    /// Networks of proxies that are believed when they tell for whom they call. Default:
    /// none.
    #[schemars(with = "Vec<String>")]
    pub trusted_proxies: Vec<IpNet>,
    /// The header in which they do; they have to replace or extend what came in.
    /// Default: `x-forwarded-for`.
    pub forwarded_by: ForwardedBy,
}

impl Default for LimitSettings {
    fn default() -> Self {
        Self {
            per_address: RateSettings { per_second: 10.0, burst: 20 },
            per_address_unproven: RateSettings { per_second: 200.0, burst: 400 },
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
            rate("limits.per_address_unproven", self.per_address_unproven),
            rate("limits.per_user", self.per_user),
            self.per_service.and_then(|service| rate("limits.per_service", service)),
            InvalidSetting::unless(self.max_keys > 0, "limits.max_keys", "at least 1"),
        ]
        .into_iter()
        .flatten()
        .chain(classes)
    }
}
