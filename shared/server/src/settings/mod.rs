//! What can be configured about a server.

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

/// What tonic's decoder takes, unless a service raises it for itself.
const MAX_MESSAGE_BYTES: u32 = 4 * 1024 * 1024;

/// How a server makes itself known, what it takes and how it ends.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema, Setters)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
#[setters(strip_option)]
pub struct Settings {
    /// The address callers elsewhere reach it at; port 0 stands for the port it
    /// listens on. Default: the address it listens on.
    pub advertise: Option<SocketAddr>,
    /// The zone it runs in.
    #[setters(into)]
    pub zone: Option<String>,
    /// Its share of the calls, relative to other instances. Default 1.
    pub weight: u32,
    /// How long a drain waits for calls in flight. Default 20 s.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub drain_timeout: Duration,
    /// The longest request message, in bytes, also once it is decompressed. Default and maximum
    /// 4 MiB; a method whose contract says less takes less, and health and reflection 4 KiB at
    /// most.
    pub max_message_bytes: u32,
    /// Whether answers are compressed (gzip, from 1 KiB) for callers that accept it. Costs
    /// processor time, and tells who can read lengths on the wire something of what is answered
    /// beside a value that they chose. Compressed requests are taken in any case. Default:
    /// false.
    pub compression: bool,
    /// Whether and as whom it speaks TLS. Default: it does not.
    pub tls: Option<ServerTls>,
    /// Who may ask for the contract by reflection. Default: everybody.
    pub reflection: ReflectionAccess,
    /// Limits of health and reflection.
    pub infrastructure: InfrastructureSettings,
    /// What it grants its connections.
    pub connections: ConnectionSettings,
    /// How many calls at once it works at.
    pub concurrency: ConcurrencySettings,
    /// How often one caller may call.
    pub limits: LimitSettings,
    /// How many requests may be incomplete.
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
    /// Every setting that cannot be, or names what the contract does not have.
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

    /// Where callers reach a server that listens at `local`.
    pub(crate) fn advertised(&self, local: SocketAddr) -> SocketAddr {
        let mut address = self.advertise.unwrap_or(local);
        if address.port() == 0 {
            address.set_port(local.port());
        }
        address
    }
}

/// How the admin server listens.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema, Setters)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
#[setters(strip_option)]
pub struct AdminSettings {
    /// Where it listens: never a public address. Default: any free port on loopback.
    pub listen: SocketAddr,
    /// Host names under which the pages answer, besides IP addresses and `localhost`: for
    /// Prometheus and others that reach them by name. Default: none.
    pub hosts: Vec<HostName>,
}

impl Default for AdminSettings {
    fn default() -> Self {
        Self { listen: (Ipv4Addr::LOCALHOST, 0).into(), hosts: Vec::new() }
    }
}

/// How a service recognises repeated requests.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema, Setters)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
#[setters(strip_option)]
pub struct IdempotencySettings {
    /// The file of the secret under which they are recorded: 64 hexadecimal digits,
    /// made where it is missing. All replicas share it, and it outlives restarts.
    #[setters(into)]
    pub key_file: PathBuf,
}

impl IdempotencySettings {
    /// Takes the secret from this file.
    pub fn new(key_file: impl Into<PathBuf>) -> Self {
        Self { key_file: key_file.into() }
    }

    /// What marks requests under the secret.
    ///
    /// # Errors
    /// [`KeyError`] where the file is unreadable, unwritable or holds something else.
    pub fn fingerprints(&self) -> Result<Fingerprints, KeyError> {
        load_or_create_secret(&self.key_file).map(Fingerprints::new)
    }
}

#[cfg(test)]
mod tests {
    use gantry_contract::RateClass;

    use super::*;

    /// One that has a rate class and nothing else.
    static CONTRACT: Contract = Contract {
        services: &[],
        permissions: &[],
        roles: &[],
        rate_classes: &[RateClass { name: "login", per_second: 1.0, burst: 1 }],
        descriptor_set: &[],
    };

    #[test]
    fn the_advertised_address_takes_the_port_that_is_bound() {
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
    fn the_secret_of_request_records_is_made_once_and_a_damaged_one_refused() {
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
    fn durations_are_written_with_their_unit_and_unknown_keys_refused() {
        let settings = |text| serde_json::from_str::<Settings>(text);
        let read = settings(r#"{"drain_timeout": "5s"}"#).unwrap();
        assert_eq!(read.drain_timeout, Duration::from_secs(5));
        assert!(settings(r#"{"drain_timeout": 5}"#).is_err());
        assert!(settings(r#"{"drain": "5s"}"#).is_err());
    }
}
