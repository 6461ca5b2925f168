//! Settings of the concurrency limit, the upload limits and the rate limits.

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

/// Adaptive limit of concurrent calls, derived from their latency. See
/// [`gantry_resilience::limits`].
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema, Setters)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
#[setters(strip_option)]
pub struct ConcurrencySettings {
    /// Lowest limit: this number of concurrent calls is always accepted. Default 64.
    pub min: u32,
    /// Initial limit. Default 100.
    pub initial: u32,
    /// Highest limit. Default 1,000.
    pub max: u32,
    /// A call counts as slow if it takes longer than its latency on an idle server times this
    /// factor. Default 2.
    pub tolerance: f64,
    /// Lower bound of the latency on an idle server. Default 10 ms.
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
    /// Returns the maximum number of streams to grant a connection: the lowest limit, so that a
    /// caller that uses all of its streams is not shed. At least 16, because HTTP/2 clients expect
    /// several.
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

/// Limits of uploads: requests whose messages are not complete 100 ms after they began. Until then
/// it is not an upload. It takes part in the concurrency limit only when its message is complete.
/// Each message of a request stream counts in the same way.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema, Setters)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
#[setters(strip_option)]
pub struct UploadSettings {
    /// Maximum number of uploads. The last quarter is reserved for callers and addresses with fewer
    /// than 4. Default 1,024.
    pub max: u32,
    /// Maximum number of uploads per caller. Default 64.
    pub max_per_caller: u32,
    /// Maximum number of uploads per address (IPv6: per /48 network). Default 64.
    pub max_per_address: u32,
    /// Maximum number of bytes that all uploads hold, at least four times `max_message_bytes`. A
    /// caller may hold half of it; the last quarter is reserved for callers that hold up to 64 KiB.
    /// Default 64 MiB.
    pub max_bytes: u32,
    /// Timeout of a message, extended by the bytes received, see `min_bytes_per_second`. Default 5
    /// s.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub timeout: Duration,
    /// Number of bytes that extend the timeout of a message by one second. Default 16 KiB.
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

/// Rate limit: the parameters of a token bucket.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize, JsonSchema, Setters)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
#[setters(strip_option)]
pub struct RateSettings {
    /// Refill rate in calls per second; may be below 1.
    pub per_second: f64,
    /// Bucket size: number of calls accepted at once after a pause.
    pub burst: u32,
}

impl RateSettings {
    /// Returns a bucket of `burst` calls, refilled with `per_second` calls per second.
    pub const fn new(per_second: f64, burst: u32) -> Self {
        Self { per_second, burst }
    }

    /// Returns the shared limit of all networks of an IPv6 site: sixteen times as much.
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

/// Header from which a proxy's client address is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ForwardedBy {
    /// `x-forwarded-for`: a list of addresses.
    XForwardedFor,
    /// `forwarded` (RFC 7239).
    Forwarded,
}

/// Rate limits per address and per caller.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema, Setters)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
#[setters(strip_option)]
pub struct LimitSettings {
    /// Rate limit per address for calls without credentials and for all calls of public methods.
    /// Here and below, an IPv6 address stands for its /64 network; the networks of a /48 share
    /// sixteen times the limit. Default: 10 per second, burst 20.
    pub per_address: RateSettings,
    /// Rate limit per address for calls with unverified credentials, each of them costing a
    /// signature check. Applies only while the address sent invalid credentials in the last minute.
    /// Connections that carried invalid credentials and all others have separate buckets. Default:
    /// 200 per second, burst 400.
    pub per_address_unproven: RateSettings,
    /// Rate limit per user for methods without a rate class, including calls through services.
    /// Default: 1,000 per second, burst 1,000.
    pub per_user: RateSettings,
    /// Rate limit per service that calls for itself; the class `writes` does not apply to it.
    /// Default: none besides the concurrency limit.
    pub per_service: Option<RateSettings>,
    /// Overrides of the contract's rate classes, by their names.
    pub classes: BTreeMap<String, RateSettings>,
    /// Maximum number of addresses, and of callers per class, that are tracked. Default 10,000.
    pub max_keys: u32,
    /// Networks of proxies whose client address header is trusted. Default: none.
    #[schemars(with = "Vec<String>")]
    pub trusted_proxies: Vec<IpNet>,
    /// Header with the client's address; the proxies must replace or extend the header that they
    /// received. Default: `x-forwarded-for`.
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
