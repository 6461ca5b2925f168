//! The settings of a process of its own: the same few for all, and the service's table.

use std::{fmt, marker::PhantomData, net::SocketAddr, path::PathBuf};

use gantry_client::ClientSettings;
use gantry_config::{Args, Bound, Check, ConfigError, Loaded, Problems, Sources};
use gantry_contract::Contract;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{DeserializeOwned, Error, MapAccess, Visitor},
    ser::SerializeStruct,
};

use crate::{FileChecks, PROCESS_BOUNDS, SERVICE_BOUNDS};

/// Settings of a service that are lists of trust and grants: what several sources say adds up.
pub const ADDING: &[&str] = &["*.identity.trusted", "*.identity.grants.*"];

/// The settings of a service: one table, whatever process the service is in.
pub trait Table: DeserializeOwned + Serialize + Check {
    /// What the table is called, and the service by those who call it.
    const NAME: &'static str;

    /// Every key of [`Own`] with its default, as TOML; the service's in the table [`NAME`](Self::NAME).
    const DEFAULTS: &'static str;

    /// Bounds of its numbers and durations, besides those that every service has
    /// ([`SERVICE_BOUNDS`]); keys are below the table.
    const BOUNDS: &'static [&'static [Bound]] = &[];

    /// Checks the settings together with how the process finds other services.
    fn check_discovery(&self, discovery: &gantry_discovery::Settings, problems: &mut Problems) {
        let _nothing = (discovery, problems);
    }

    /// Checks the files that the settings name.
    fn check_files(&self, files: &mut FileChecks<'_>) {
        let _nothing = files;
    }

    /// Checks what only a process of its own has to be told, because no default would be
    /// right: whoever runs several services in one process fills it in.
    fn check_alone(&self, problems: &mut Problems) {
        let _nothing = problems;
    }
}

/// Checks the settings of a service's server, which it keeps under the key `server`.
pub fn check_server(
    server: &gantry_server::Settings,
    contract: &Contract,
    problems: &mut Problems,
) {
    for problem in server.problems(contract) {
        problems.expected(&format!("server.{}", problem.key), problem.expected);
    }
}

/// Checks the settings of a service's identity, which it keeps under the key `identity`.
pub fn check_identity(
    identity: &gantry_identity::Settings,
    contract: &Contract,
    problems: &mut Problems,
) {
    for problem in identity.problems(contract) {
        problems.expected(&format!("identity.{}", problem.key), problem.expected);
    }
}

/// Checks how a service calls another one, which it keeps under this key.
pub fn check_client(
    key: &str,
    client: &ClientSettings,
    contract: &'static Contract,
    problems: &mut Problems,
) {
    for problem in client.problems(contract) {
        problems.add(&format!("{key}.{}", problem.key), problem.why);
    }
}

/// The settings of a process that is one service.
///
/// Keys are those of the fields, but for [`service`](Self::service), whose table has the name
/// of the service. An unknown key is an error.
#[derive(Clone, Debug)]
pub struct Own<T> {
    /// `listen`: where callers reach it.
    pub listen: SocketAddr,
    /// `admin`: where operators reach it.
    pub admin: gantry_server::AdminSettings,
    /// `discovery`: where it makes itself known, and finds the others.
    pub discovery: gantry_discovery::Settings,
    /// `telemetry`: how it logs.
    pub telemetry: gantry_telemetry::Settings,
    /// The service in it.
    pub service: T,
}

impl<T: Table> Own<T> {
    const KEYS: &'static [&'static str] = &["listen", "admin", "discovery", "telemetry", T::NAME];

    /// The defaults, then what `args` name, then the environment.
    ///
    /// # Errors
    /// Everything that is wrong with them, files that they name included.
    pub fn load(args: &Args) -> Result<Loaded<Self>, ConfigError> {
        let loaded: Loaded<Self> = gantry_config::load_shown(args.add_to(Self::sources()))?;
        loaded.origin.check(&Files(&loaded.settings.service))?;
        Ok(loaded)
    }

    /// The defaults, with what holds for settings of all services.
    pub fn sources() -> Sources {
        bounded::<T>(Sources::new().adding(ADDING).bounds("", PROCESS_BOUNDS)).defaults(T::DEFAULTS)
    }
}

/// Adds the bounds of a service's settings to the sources of its process.
pub fn bounded<T: Table>(sources: Sources) -> Sources {
    let own = T::BOUNDS.iter().copied();
    [SERVICE_BOUNDS]
        .into_iter()
        .chain(own)
        .fold(sources, |sources, bounds| sources.bounds(T::NAME, bounds))
}

impl<T: Table> Check for Own<T> {
    fn check(&self, problems: &mut Problems) {
        for problem in self.discovery.problems() {
            problems.add(&format!("discovery.{}", problem.key), problem.why);
        }
        problems.within(T::NAME, &self.service);
        problems.within(T::NAME, &Alone(&self.service));
        problems.within(T::NAME, &Together(&self.service, &self.discovery));
    }
}

/// Checks what [`Table::check_discovery`] does.
#[derive(Debug)]
pub struct Together<'a, T>(pub &'a T, pub &'a gantry_discovery::Settings);

impl<T: Table> Check for Together<'_, T> {
    fn check(&self, problems: &mut Problems) {
        self.0.check_discovery(self.1, problems);
    }
}

struct Files<'a, T>(&'a T);

impl<T: Table> Check for Files<'_, T> {
    fn check(&self, problems: &mut Problems) {
        problems.within(T::NAME, &FilesOf { table: self.0, made: &[] });
    }
}

/// Checks what [`Table::check_files`] does.
#[derive(Debug)]
pub struct FilesOf<'a, T> {
    /// The settings.
    pub table: &'a T,
    /// Files that this start makes if they are missing.
    pub made: &'a [PathBuf],
}

impl<T: Table> Check for FilesOf<'_, T> {
    fn check(&self, problems: &mut Problems) {
        self.table.check_files(&mut FileChecks::new(problems, self.made));
    }
}

struct Alone<'a, T>(&'a T);

impl<T: Table> Check for Alone<'_, T> {
    fn check(&self, problems: &mut Problems) {
        self.0.check_alone(problems);
    }
}

impl<T: Table> Serialize for Own<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut table = serializer.serialize_struct("Own", Self::KEYS.len())?;
        table.serialize_field("listen", &self.listen)?;
        table.serialize_field("admin", &self.admin)?;
        table.serialize_field("discovery", &self.discovery)?;
        table.serialize_field("telemetry", &self.telemetry)?;
        table.serialize_field(T::NAME, &self.service)?;
        table.end()
    }
}

/// By hand, because the name of a table is not known to `derive`.
impl<'de, T: Table> Deserialize<'de> for Own<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_struct("Own", Self::KEYS, Keys(PhantomData))
    }
}

struct Keys<T>(PhantomData<T>);

impl<'de, T: Table> Visitor<'de> for Keys<T> {
    type Value = Own<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the settings of a process")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Own<T>, A::Error> {
        let (mut listen, mut admin, mut discovery, mut telemetry) = (None, None, None, None);
        let mut service = None;
        while let Some(Key(key, _)) = map.next_key::<Key<T>>()? {
            match key {
                "listen" => listen = Some(map.next_value()?),
                "admin" => admin = Some(map.next_value()?),
                "discovery" => discovery = Some(map.next_value()?),
                "telemetry" => telemetry = Some(map.next_value()?),
                // T::NAME: there is no other.
                _ => service = Some(map.next_value()?),
            }
        }
        Ok(Own {
            listen: listen.ok_or_else(|| A::Error::missing_field("listen"))?,
            admin: admin.ok_or_else(|| A::Error::missing_field("admin"))?,
            discovery: discovery.ok_or_else(|| A::Error::missing_field("discovery"))?,
            telemetry: telemetry.ok_or_else(|| A::Error::missing_field("telemetry"))?,
            service: service.ok_or_else(|| A::Error::missing_field(T::NAME))?,
        })
    }
}

/// One of [`Own::KEYS`]. Refused where keys are read, so that the error is about that key.
struct Key<T>(&'static str, PhantomData<T>);

impl<'de, T: Table> Deserialize<'de> for Key<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let key = String::deserialize(deserializer)?;
        let known = Own::<T>::KEYS.iter().find(|known| **known == key);
        let unknown = || D::Error::unknown_field(&key, Own::<T>::KEYS);
        known.map(|known| Self(known, PhantomData)).ok_or_else(unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize, Serialize)]
    #[serde(deny_unknown_fields)]
    struct Greeter {
        words: u32,
        key: String,
    }

    impl Table for Greeter {
        const NAME: &'static str = "greeter";
        const DEFAULTS: &'static str = "
            listen = '127.0.0.1:50090'
            admin.listen = '127.0.0.1:9190'
            discovery.kind = 'memory'
            telemetry.format = 'json'
            greeter = { words = 2, key = '' }
        ";

        fn check_alone(&self, problems: &mut Problems) {
            if self.key.is_empty() {
                problems.expected("key", "a word");
            }
        }
    }

    impl Check for Greeter {
        fn check(&self, problems: &mut Problems) {
            if self.words == 0 {
                problems.expected("words", "at least 1");
            }
        }
    }

    fn load(variables: &[(&str, &str)]) -> Result<Own<Greeter>, ConfigError> {
        let sources = Sources::new().defaults(Greeter::DEFAULTS);
        gantry_config::load(sources.variables(variables.iter().copied()))
    }

    #[test]
    fn the_service_has_a_table_of_its_name() {
        let variables = [("GANTRY_GREETER__KEY", "k"), ("GANTRY_LISTEN", "127.0.0.1:1")];
        let own = load(&variables).unwrap();
        assert_eq!((own.listen.port(), own.service.words), (1, 2));
    }

    #[test]
    fn everything_wrong_is_said_at_once_by_its_key() {
        let wrong = [
            ("GANTRY_LISTEN", "here"),
            ("GANTRY_DISCOVERY__KNID", "consul"),
            ("GANTRY_GREETING", "hello"),
            ("GANTRY_GREETER__WORDS", "0"),
            ("GANTRY_GREETER__WORD", "1"),
        ];
        let error = load(&wrong).unwrap_err();
        let mut keys: Vec<_> = error.problems.iter().map(|problem| problem.key.as_str()).collect();
        keys.sort_unstable();
        let expected = [
            "discovery.knid",
            "greeter.key",
            "greeter.word",
            "greeter.words",
            "greeting",
            "listen",
        ];
        assert_eq!(keys, expected);
        let unknown = error.problems.iter().find(|problem| problem.key == "greeting").unwrap();
        assert_eq!(
            unknown.to_string(),
            "greeting: unknown key, known here are listen, admin, discovery, telemetry, greeter \
             (variable GANTRY_GREETING)"
        );
    }

    #[test]
    fn a_missing_table_is_named() {
        let sources = Sources::new().defaults("listen = '127.0.0.1:1'");
        let error = gantry_config::load::<Own<Greeter>>(sources).unwrap_err();
        let keys: Vec<_> = error.problems.iter().map(|problem| problem.key.as_str()).collect();
        assert!(keys.contains(&"admin") && keys.contains(&"greeter"), "{keys:?}");
    }
}
