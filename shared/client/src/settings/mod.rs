//! Settings of a channel: connections, waits, limits and policies.

mod balance;
mod invalid;
mod methods;
mod resilience;

use std::{collections::BTreeMap, time::Duration};

use derive_setters::Setters;
use gantry_tls::ClientTls;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use balance::{BalancePolicy, BalanceSettings, Otherwise, SubsetSettings};
pub use invalid::InvalidSetting;
pub use methods::{HedgingSettings, MethodSettings};
pub use resilience::{
    BreakerSettings, EjectionSettings, FailurePercentageSettings, RetrySettings,
    SuccessRateSettings,
};

/// The `client` section of a service's configuration. The defaults suit services
/// within one network.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema, Setters)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
#[setters(strip_option)]
pub struct ClientSettings {
    /// Time limit for connecting an endpoint, its HTTP/2 settings included. Default: 1 s.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub connect_timeout: Duration,
    /// Pause after the first failure to connect. It grows by a factor of 1.6 each time. Default: 100 ms.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub reconnect_initial: Duration,
    /// Longest pause between attempts to connect. Default: 10 s.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub reconnect_max: Duration,
    /// Longest wait of a call for an endpoint while none is connected, at most half of its time. Default:
    /// 3 s.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub endpoint_wait: Duration,
    /// Silence on a connection after which its peer is pinged. Peers that the registry does not know as
    /// Gantry's are pinged after 5 min at the earliest, gRPC's default (gRFC A8). Default: 20 s.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub keep_alive_interval: Duration,
    /// Time limit for the answer to a ping, after which the connection counts as lost. Default: 10 s.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub keep_alive_timeout: Duration,
    /// Maximum number of connections to one endpoint. Of more than 16 endpoints each has one. Default: 4.
    pub max_connections: usize,
    /// Calls in flight on a connection above which another one is opened. Default: 16.
    pub calls_per_connection: usize,
    /// Longest message of a unary call, in bytes. A longer one is refused before it is sent. Default:
    /// 4 MiB.
    pub max_request_bytes: usize,
    /// Longest message of a response, in bytes. A longer one fails the call when it is announced.
    /// Generated clients have the same limit of their own: raise theirs as well
    /// (`max_decoding_message_size`). Default: 4 MiB.
    pub max_response_bytes: usize,
    /// Compresses requests (gzip, from 1 KiB). A server that does not take gzip refuses them as
    /// UNIMPLEMENTED. Compressed responses are taken in any case. Default: false.
    pub compression: bool,
    /// Maximum age of a streaming call. Default: 1 h.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub stream_max_age: Duration,
    /// TLS of the connections. Default: none.
    pub tls: Option<ClientTls>,
    /// Choice of the endpoint for a call.
    pub balance: BalanceSettings,
    /// Circuit breaker of the service.
    pub breaker: BreakerSettings,
    /// Budget of retries. Their number and waits are the contract's, and those of `methods`.
    pub retry: RetrySettings,
    /// Temporary removal of failing endpoints.
    pub ejection: EjectionSettings,
    /// Overrides of the contract's policies: by `package.Service` for all of its methods, and by
    /// `package.Service/Method`, which takes precedence.
    pub methods: BTreeMap<String, MethodSettings>,
}

impl ClientSettings {
    /// Returns everything that is wrong with them without regard to a contract, by key.
    pub(crate) fn own_problems(&self) -> Vec<InvalidSetting> {
        let mut problems = Vec::new();
        let mut expect = |holds: bool, key: &str, why: &str| {
            if !holds {
                problems.push(InvalidSetting::new(key, why));
            }
        };
        for (key, time) in [
            ("connect_timeout", self.connect_timeout),
            ("reconnect_initial", self.reconnect_initial),
            ("endpoint_wait", self.endpoint_wait),
            ("keep_alive_interval", self.keep_alive_interval),
            ("keep_alive_timeout", self.keep_alive_timeout),
            ("stream_max_age", self.stream_max_age),
        ] {
            expect(!time.is_zero(), key, "must be longer than 0");
        }
        let longest = self.reconnect_max >= self.reconnect_initial;
        expect(longest, "reconnect_max", "must not be shorter than reconnect_initial");
        for (key, count) in [
            ("max_connections", self.max_connections),
            ("calls_per_connection", self.calls_per_connection),
            ("max_request_bytes", self.max_request_bytes),
            ("max_response_bytes", self.max_response_bytes),
        ] {
            expect(count > 0, key, "must be at least 1");
        }
        problems.extend(self.balance.problems());
        problems.extend(self.breaker.problems());
        problems.extend(self.retry.problems());
        problems.extend(self.ejection.problems());
        let methods = self.methods.iter().flat_map(|(name, method)| method.problems(name));
        problems.extend(methods);
        problems
    }
}

impl Default for ClientSettings {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(1),
            reconnect_initial: Duration::from_millis(100),
            reconnect_max: Duration::from_secs(10),
            endpoint_wait: Duration::from_secs(3),
            keep_alive_interval: Duration::from_secs(20),
            keep_alive_timeout: Duration::from_secs(10),
            max_connections: 4,
            calls_per_connection: 16,
            max_request_bytes: 4 * 1024 * 1024,
            max_response_bytes: 4 * 1024 * 1024,
            compression: false,
            stream_max_age: Duration::from_secs(60 * 60),
            tls: None,
            balance: BalanceSettings::default(),
            breaker: BreakerSettings::default(),
            retry: RetrySettings::default(),
            ejection: EjectionSettings::default(),
            methods: BTreeMap::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use gantry_contract::Contract;

    use super::*;

    fn parse(json: &str) -> Result<ClientSettings, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    /// One that has no methods.
    static EMPTY: Contract = Contract {
        services: &[],
        permissions: &[],
        roles: &[],
        rate_classes: &[],
        descriptor_set: &[],
    };

    fn wrong(json: &str) -> Vec<String> {
        parse(json).unwrap().problems(&EMPTY).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn omitted_settings_are_valid_defaults() {
        assert_eq!(parse("{}").unwrap(), ClientSettings::default());
        assert_eq!(parse(r#"{"breaker": {}, "retry": {}, "ejection": {}}"#).unwrap(), {
            ClientSettings::default()
        });
        assert_eq!(wrong("{}"), [""; 0]);
    }

    #[test]
    fn an_unknown_key_is_refused_at_every_level() {
        for json in [
            r#"{"retries": 3}"#,
            r#"{"breaker": {"opne": "1s"}}"#,
            r#"{"balance": {"polcy": "round_robin"}}"#,
            r#"{"balance": {"subset": {"zone": "a"}}}"#,
            r#"{"retry": {"attempts": 3}}"#,
            r#"{"ejection": {"success_rate": {"stdev": 1.9}}}"#,
            r#"{"methods": {"test.Echo": {"timout": "1s"}}}"#,
        ] {
            assert!(parse(json).unwrap_err().contains("unknown field"), "{json}");
        }
    }

    #[test]
    fn policies_and_fallbacks_are_words() {
        for (word, policy) in [
            ("peak_ewma", BalancePolicy::PeakEwma),
            ("round_robin", BalancePolicy::RoundRobin),
            ("least_request", BalancePolicy::LeastRequest),
        ] {
            let json = format!(r#"{{"balance": {{"policy": "{word}"}}}}"#);
            assert_eq!(parse(&json).unwrap().balance.policy, policy);
        }
        let json = r#"{"balance": {"subset": {"version": "2", "otherwise": "everybody"}}}"#;
        assert_eq!(parse(json).unwrap().balance.subset.otherwise, Otherwise::Everybody);
        assert!(parse(r#"{"balance": {"policy": "random"}}"#).unwrap_err().contains("variant"));
    }

    #[test]
    fn a_value_out_of_range_is_named_by_its_key() {
        for (json, key) in [
            (r#"{"max_connections": 0}"#, "max_connections: "),
            (r#"{"endpoint_wait": "0s"}"#, "endpoint_wait: "),
            (r#"{"reconnect_max": "1ms"}"#, "reconnect_max: "),
            (r#"{"balance": {"subset": {"version": ""}}}"#, "balance.subset.version: "),
            (r#"{"balance": {"subset": {"tags": ["a", " "]}}}"#, "balance.subset.tags: "),
            (r#"{"breaker": {"failure_rate": 1.5}}"#, "breaker.failure_rate: "),
            (r#"{"breaker": {"window_calls": 0}}"#, "breaker.window_calls: "),
            (r#"{"breaker": {"window_time": "0s"}}"#, "breaker.window_time: "),
            (r#"{"breaker": {"open": "2m"}}"#, "breaker.open_max: "),
            (r#"{"retry": {"budget_tokens": 0}}"#, "retry.budget_tokens: "),
            (r#"{"retry": {"budget_per_success": 0}}"#, "retry.budget_per_success: "),
            (r#"{"ejection": {"max_ejected_percent": 101}}"#, "ejection.max_ejected_percent: "),
            (r#"{"ejection": {"base_time": "0s"}}"#, "ejection.base_time: "),
            (r#"{"ejection": {"max_time": "1s"}}"#, "ejection.max_time: "),
            (
                r#"{"ejection": {"success_rate": {"stdev_factor": 0}}}"#,
                "ejection.success_rate.stdev_factor: ",
            ),
            (
                r#"{"ejection": {"failure_percentage": {"threshold": 101}}}"#,
                "ejection.failure_percentage.threshold: ",
            ),
            (r#"{"methods": {"a.B": {}}}"#, "methods.\"a.B\": "),
            (r#"{"methods": {"a.B": {"timeout": "0s"}}}"#, "methods.\"a.B\".timeout: "),
            (r#"{"methods": {"a.B": {"max_attempts": 6}}}"#, "methods.\"a.B\".max_attempts: "),
        ] {
            let wrong = wrong(json);
            assert!(wrong.len() == 1 && wrong[0].starts_with(key), "{json}: {wrong:?}");
        }
        let many =
            r#"{"max_connections": 0, "breaker": {"probes": 0}, "retry": {"budget_tokens": 0}}"#;
        assert_eq!(wrong(many).len(), 3);
        let section = r#"{"breaker": {"probes": 0, "minimum_calls": 101, "open": "2m"},
            "ejection": {"interval": "0s", "max_time": "1s", "success_rate": {"minimum_hosts": 0}}}"#;
        assert_eq!(wrong(section).len(), 6, "{:?}", wrong(section));
    }
}
