//! Settings of a process with one service: common keys and the service's table.

use std::{fmt, marker::PhantomData, net::SocketAddr};

use gantry_config::{Args, Check, ConfigError, Loaded, Problems, Sources};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, MapAccess, Visitor},
    ser::SerializeStruct,
};

use super::{ADDING, Profile, SHARED};
use crate::{PROCESS_BOUNDS, Service, ServiceSettings, production};

/// Settings of a process with one service.
///
/// The keys are the names of the fields, except for [`service`](Self::service): its key is the name of
/// the service. An unknown key is an error.
pub struct ProcessSettings<S: Service> {
    /// `profile`: strictness of the checks at start.
    pub profile: Profile,
    /// `listen`: address for callers.
    pub listen: SocketAddr,
    /// `admin`: address for operators.
    pub admin: gantry_server::AdminSettings,
    /// `discovery`: registry of the services.
    pub discovery: gantry_discovery::Settings,
    /// `telemetry`: logs, traces, metrics.
    pub telemetry: gantry_telemetry::Settings,
    /// Table of the service.
    pub service: ServiceSettings<S>,
}

impl<S: Service> ProcessSettings<S> {
    const KEYS: &'static [&'static str] =
        &["profile", "listen", "admin", "discovery", "telemetry", S::NAME];

    /// Loads the defaults, the files of `args` and the environment.
    ///
    /// # Errors
    /// All problems of the settings; if there are none, those of the files that they name.
    pub fn load(args: &Args) -> Result<Loaded<Self>, ConfigError> {
        let loaded = Self::read(args)?;
        loaded.origin.check(&Files(&loaded.settings))?;
        Ok(loaded)
    }

    /// Like [`load`](Self::load), without the files that the settings name.
    pub(crate) fn read(args: &Args) -> Result<Loaded<Self>, ConfigError> {
        gantry_config::load_shown(args.add_to(Self::sources().foreign(gantry_telemetry::VARIABLES)))
    }

    /// Returns the defaults and the bounds.
    pub fn sources() -> Sources {
        let sources = Sources::new().adding(ADDING).bounds("", PROCESS_BOUNDS);
        let with_database = S::MIGRATIONS.map(|_| S::NAME);
        let sources = sources.sharing(SHARED, with_database.as_slice());
        let defaults = ServiceSettings::<S>::defaults();
        let defaults = defaults.iter().map(String::as_str);
        defaults.fold(ServiceSettings::<S>::bounded(sources), Sources::defaults)
    }
}

impl<S: Service> Check for ProcessSettings<S> {
    fn check(&self, problems: &mut Problems) {
        for problem in self.discovery.problems() {
            problems.add(&format!("discovery.{}", problem.key), problem.why);
        }
        check_telemetry(&self.telemetry, problems);
        self.service.check(&self.discovery, problems);
        if self.profile == Profile::Production {
            production::check(self, problems);
        }
    }
}

/// Adds every problem of the telemetry settings. The named files are not read.
pub fn check_telemetry(settings: &gantry_telemetry::Settings, problems: &mut Problems) {
    for problem in settings.problems() {
        problems.add(&format!("telemetry.{}", problem.key), problem.why);
    }
}

/// Adds the problem of the files that the telemetry settings name, if any.
pub fn check_telemetry_files(settings: &gantry_telemetry::Settings, problems: &mut Problems) {
    if let Some(problem) = settings.file_problem() {
        problems.add(&format!("telemetry.{}", problem.key), problem.why);
    }
}

struct Files<'a, S: Service>(&'a ProcessSettings<S>);

impl<S: Service> Check for Files<'_, S> {
    fn check(&self, problems: &mut Problems) {
        check_telemetry_files(&self.0.telemetry, problems);
        self.0.service.check_files(&[], problems);
        if self.0.profile == Profile::Production {
            production::check_files(self.0, problems);
        }
    }
}

// By hand: `derive` would require `S: Debug`.
impl<S: Service> fmt::Debug for ProcessSettings<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessSettings")
            .field("profile", &self.profile)
            .field("listen", &self.listen)
            .field("admin", &self.admin)
            .field("discovery", &self.discovery)
            .field("telemetry", &self.telemetry)
            .field(S::NAME, &self.service)
            .finish()
    }
}

impl<S: Service> Serialize for ProcessSettings<S> {
    fn serialize<Z: Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error> {
        let mut table = serializer.serialize_struct("ProcessSettings", Self::KEYS.len())?;
        table.serialize_field("profile", &self.profile)?;
        table.serialize_field("listen", &self.listen)?;
        table.serialize_field("admin", &self.admin)?;
        table.serialize_field("discovery", &self.discovery)?;
        table.serialize_field("telemetry", &self.telemetry)?;
        table.serialize_field(S::NAME, &self.service)?;
        table.end()
    }
}

/// By hand: `derive` cannot use `S::NAME` as a key.
impl<'de, S: Service> Deserialize<'de> for ProcessSettings<S> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_struct("ProcessSettings", Self::KEYS, Keys(PhantomData))
    }
}

struct Keys<S>(PhantomData<S>);

impl<'de, S: Service> Visitor<'de> for Keys<S> {
    type Value = ProcessSettings<S>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the settings of a process")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ProcessSettings<S>, A::Error> {
        let (mut profile, mut listen, mut admin) = (None, None, None);
        let (mut discovery, mut telemetry, mut service) = (None, None, None);
        while let Some(Key(key, _)) = map.next_key::<Key<S>>()? {
            match key {
                "profile" => profile = Some(map.next_value()?),
                "listen" => listen = Some(map.next_value()?),
                "admin" => admin = Some(map.next_value()?),
                "discovery" => discovery = Some(map.next_value()?),
                "telemetry" => telemetry = Some(map.next_value()?),
                // S::NAME, the only other key.
                _ => service = Some(map.next_value()?),
            }
        }
        Ok(ProcessSettings {
            profile: profile.ok_or_else(|| A::Error::missing_field("profile"))?,
            listen: listen.ok_or_else(|| A::Error::missing_field("listen"))?,
            admin: admin.ok_or_else(|| A::Error::missing_field("admin"))?,
            discovery: discovery.ok_or_else(|| A::Error::missing_field("discovery"))?,
            telemetry: telemetry.ok_or_else(|| A::Error::missing_field("telemetry"))?,
            service: service.ok_or_else(|| A::Error::missing_field(S::NAME))?,
        })
    }
}

/// One of [`ProcessSettings::KEYS`]. An unknown key is rejected here, so that the error has its path.
struct Key<S>(&'static str, PhantomData<S>);

impl<'de, S: Service> Deserialize<'de> for Key<S> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let key = String::deserialize(deserializer)?;
        let known = ProcessSettings::<S>::KEYS.iter().find(|known| **known == key);
        let unknown = || D::Error::unknown_field(&key, ProcessSettings::<S>::KEYS);
        known.map(|known| Self(known, PhantomData)).ok_or_else(unknown)
    }
}

#[cfg(test)]
mod tests;
