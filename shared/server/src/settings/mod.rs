//! Settings of a server.

mod connections;
mod infrastructure;
mod invalid;
mod limits;

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use derive_setters::Setters;
use gantry_contract::Contract;
use gantry_identity::{KeyError, load_or_create_secret};
use gantry_tls::ServerTls;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(crate) use self::connections::DEFAULT_MAX;
pub use self::{
    connections::ConnectionSettings,
    infrastructure::{InfrastructureSettings, ReflectionAccess},
    invalid::InvalidSetting,
    limits::{ConcurrencySettings, ForwardedBy, LimitSettings, RateSettings, UploadSettings},
};
use crate::{Fingerprints, HostName};

/// Default limit of tonic's decoder, unless a service raises its own.
const MAX_MESSAGE_BYTES: u32 = 4 * 1024 * 1024;

/// Settings of a server.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema, Setters)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
#[setters(strip_option)]
pub struct Settings {
    /// Address at which other hosts reach the server. Port 0 stands for the port it listens on.
    /// Default: the address it listens on.
    pub advertise: Option<SocketAddr>,
    /// Zone that the server runs in. Default: none.
    #[setters(into)]
    pub zone: Option<String>,
    /// Share of the load relative to the other instances. Default 1.
    pub weight: u32,
    /// Maximum time that a drain waits for calls in flight. Default 20 s.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub drain_timeout: Duration,
    /// Maximum size of a request message in bytes, before and after decompression. Default and
    /// maximum 4 MiB. A method may have a lower limit in the contract; health and reflection have
    /// at most 4 KiB.
    pub max_message_bytes: u32,
    /// Compresses responses (gzip, from 1 KiB) for callers that accept it. Costs processor time. An
    /// attacker that can see the length of a response and choose a part of it can learn something
    /// about the rest (BREACH). Compressed requests are accepted in any case. Default: false.
    pub compression: bool,
    /// TLS of the listener. Default: none, plain text.
    pub tls: Option<ServerTls>,
    /// Access to reflection. Default: everybody.
    pub reflection: ReflectionAccess,
    /// Limits of health and reflection.
    pub infrastructure: InfrastructureSettings,
    /// Limits and timeouts of connections.
    pub connections: ConnectionSettings,
    /// Concurrency limit: calls that the server executes at once.
    pub concurrency: ConcurrencySettings,
    /// Rate limits per caller.
    pub limits: LimitSettings,
    /// Limits of incomplete requests.
    pub uploads: UploadSettings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            advertise: None,
            zone: None,
            weight: 1,
            drain_timeout: Duration::from_secs(20),
            max_message_bytes: MAX_MESSAGE_BYTES,
            compression: false,
            tls: None,
            reflection: ReflectionAccess::default(),
            infrastructure: InfrastructureSettings::default(),
            connections: ConnectionSettings::default(),
            concurrency: ConcurrencySettings::default(),
            limits: LimitSettings::default(),
            uploads: UploadSettings::default(),
        }
    }
}

impl Settings {
    /// Returns every setting that is invalid or names something that the contract does not have.
    pub fn problems(&self, contract: &Contract) -> Vec<InvalidSetting> {
        let own = [
            InvalidSetting::unless(
                (1..=MAX_MESSAGE_BYTES).contains(&self.max_message_bytes),
                "max_message_bytes",
                "from 1 to 4194304",
            ),
            InvalidSetting::unless(self.weight > 0, "weight", "at least 1"),
        ];
        own.into_iter()
            .flatten()
            .chain(self.connections.problems())
            .chain(self.infrastructure.problems())
            .chain(self.concurrency.problem())
            .chain(self.limits.problems(contract))
            .chain(self.uploads.problems(self.max_message_bytes))
            .collect()
    }

    /// Returns the address at which callers reach a server that listens at `local`.
    pub(crate) fn advertised(&self, local: SocketAddr) -> SocketAddr {
        let mut address = self.advertise.unwrap_or(local);
        if address.port() == 0 {
            address.set_port(local.port());
        }
        address
    }
}

/// Settings of the admin server.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema, Setters)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
#[setters(strip_option)]
pub struct AdminSettings {
    /// Listening address; must not be public. Default: any free port on loopback.
    pub listen: SocketAddr,
    /// Host names under which the pages answer besides IP addresses and `localhost`, such as the
    /// name that Prometheus uses. Default: none.
    pub hosts: Vec<HostName>,
}

impl Default for AdminSettings {
    fn default() -> Self {
        Self { listen: (Ipv4Addr::LOCALHOST, 0).into(), hosts: Vec::new() }
    }
}

/// Settings of idempotent requests.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema, Setters)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
#[setters(strip_option)]
pub struct IdempotencySettings {
    /// File of the secret under which requests are recorded: 64 hexadecimal digits. Created if
    /// missing. All replicas must share it, and it must survive restarts.
    #[setters(into)]
    pub key_file: PathBuf,
}

impl IdempotencySettings {
    /// Creates settings with the secret in `key_file`.
    pub fn new(key_file: impl Into<PathBuf>) -> Self {
        Self { key_file: key_file.into() }
    }

    /// Returns the fingerprints under the secret.
    ///
    /// # Errors
    /// [`KeyError`] if the file cannot be read or written, or does not hold a secret.
    pub fn fingerprints(&self) -> Result<Fingerprints, KeyError> {
        load_or_create_secret(&self.key_file).map(Fingerprints::new)
    }
}

#[cfg(test)]
mod tests {
    use gantry_contract::RateClass;

    use super::*;

    /// Contract with a rate class and nothing else.
    static CONTRACT: Contract = Contract {
        services: &[],
        permissions: &[],
        roles: &[],
        rate_classes: &[RateClass { name: "login", per_second: 1.0, burst: 1 }],
        descriptor_set: &[],
    };

    #[test]
    fn the_advertised_address_takes_the_bound_port() {
        let local = "127.0.0.1:50051".parse().unwrap();
        let advertised = |advertise: Option<&str>| {
            let advertise = advertise.map(|address| address.parse().unwrap());
            Settings { advertise, ..Settings::default() }.advertised(local).to_string()
        };
        assert_eq!(advertised(None), "127.0.0.1:50051");
        assert_eq!(advertised(Some("10.0.0.7:0")), "10.0.0.7:50051");
        assert_eq!(advertised(Some("[fd00::7]:80")), "[fd00::7]:80");
    }

    #[test]
    fn the_secret_is_created_once_and_a_damaged_one_rejected() {
        let folder = tempfile::tempdir().unwrap();
        let settings = IdempotencySettings { key_file: folder.path().join("requests.secret") };
        settings.fingerprints().unwrap();
        let secret = std::fs::read(&settings.key_file).unwrap();
        settings.fingerprints().unwrap();
        assert_eq!(std::fs::read(&settings.key_file).unwrap(), secret);
        std::fs::write(&settings.key_file, "nonsense").unwrap();
        assert!(matches!(settings.fingerprints(), Err(KeyError::Malformed { .. })));
    }

    #[test]
    fn every_problem_is_named() {
        assert!(Settings::default().problems(&CONTRACT).is_empty());
        let connections = ConnectionSettings {
            max: Some(0),
            max_age: Duration::ZERO,
            connection_window_bytes: 65_535,
            ..ConnectionSettings::default()
        };
        let concurrency = ConcurrencySettings { tolerance: 0.5, ..ConcurrencySettings::default() };
        let never = RateSettings { per_second: 0.0, burst: 1 };
        let classes = ["login", "logn"].map(|class| (class.to_owned(), never)).into();
        let limits =
            LimitSettings { per_address: never, max_keys: 0, classes, ..LimitSettings::default() };
        let uploads = UploadSettings {
            max_per_caller: 0,
            timeout: Duration::ZERO,
            ..UploadSettings::default()
        };
        let settings = Settings {
            weight: 0,
            max_message_bytes: 0,
            connections,
            concurrency,
            limits,
            uploads,
            ..Settings::default()
        };
        let problems = settings.problems(&CONTRACT);
        let keys: Vec<_> = problems.iter().map(|problem| &*problem.key).collect();
        let expected = [
            "max_message_bytes",
            "weight",
            "connections.max",
            "connections.max_age",
            "connections.connection_window_bytes",
            "concurrency.tolerance",
            "limits.per_address",
            "limits.max_keys",
            "limits.classes.login",
            "limits.classes.logn",
            "uploads.max_per_caller",
            "uploads.timeout",
        ];
        assert_eq!(keys, expected);
        let unknown = &problems[9].expected;
        assert_eq!(unknown, "a rate class of the contract, which has login");
    }

    #[test]
    fn durations_need_a_unit_and_unknown_keys_are_rejected() {
        let settings = |text| serde_json::from_str::<Settings>(text);
        let read = settings(r#"{"drain_timeout": "5s"}"#).unwrap();
        assert_eq!(read.drain_timeout, Duration::from_secs(5));
        assert!(settings(r#"{"drain_timeout": 5}"#).is_err());
        assert!(settings(r#"{"drain": "5s"}"#).is_err());
    }
}
