//! The table of a service: the common keys and its own.

use std::{collections::BTreeSet, fmt, marker::PhantomData, path::PathBuf};

use gantry_config::{Bound, Check, Problems, Sources};
use schemars::JsonSchema;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{DeserializeOwned, DeserializeSeed, Error, IntoDeserializer, MapAccess, Visitor},
    forward_to_deserialize_any,
};

use super::common::{CommonSettings, Unfinished};
use crate::{FileChecks, SERVICE_BOUNDS, Service};

/// Defaults of all services.
const COMMON: &str = include_str!("../../config/common.toml");
/// Defaults of a service that has a database.
const DATABASE: &str = include_str!("../../config/database.toml");
/// Defaults of a service that has a contract and a database.
const IDEMPOTENCY: &str = include_str!("../../config/idempotency.toml");
/// Defaults of a service that has sagas.
const SAGA: &str = include_str!("../../config/saga.toml");
/// Defaults of a client.
const CLIENT: &str = include_str!("../../config/client.toml");

/// Adds the defaults that every process has: `profile`, `admin`, `discovery` and `telemetry`.
#[must_use]
pub fn add_process_defaults(sources: Sources) -> Sources {
    let tables = ["profile", "admin", "discovery", "telemetry"];
    tables.into_iter().fold(sources, |sources, table| sources.defaults_of(table, COMMON))
}

/// Settings of one service besides the common ones: a struct that rejects unknown keys.
pub trait OwnSettings:
    Clone + fmt::Debug + DeserializeOwned + JsonSchema + Serialize + Send + Sync
{
    /// Bounds of numbers and durations, by key below the service's table.
    const BOUNDS: &'static [Bound] = &[];

    /// Adds every violated rule that a type or a bound does not express. The named files are not
    /// read.
    fn check(&self, problems: &mut Problems) {
        let _no_rules = problems;
    }

    /// Adds every violated rule of the profile `production`, such as a weak secret.
    fn check_production(&self, problems: &mut Problems) {
        let _no_rules = problems;
    }

    /// Checks the named files.
    fn check_files(&self, files: &mut FileChecks<'_>) {
        let _no_files = files;
    }
}

/// Settings of a service without settings of its own.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoSettings {}

impl OwnSettings for NoSettings {}

/// Settings of a service: the table of its name.
pub struct ServiceSettings<S: Service> {
    /// Common settings.
    pub common: CommonSettings,
    /// Settings of this service only.
    pub own: S::Settings,
}

impl<S: Service> ServiceSettings<S> {
    /// Returns the default files of a process that is this service. Later ones override earlier
    /// ones: all services, database, request records, sagas, one client per called service, its own.
    pub fn defaults() -> Vec<String> {
        let publisher = S::KEYS.map(|api| api.publisher);
        let callees: BTreeSet<_> =
            S::CALLS.iter().copied().chain(publisher).map(|callee| callee.name).collect();
        let clients = callees.into_iter().map(|callee| CLIENT.replace("CALLEE", callee));
        let storage = S::MIGRATIONS.map(|_| DATABASE.to_owned());
        let requests = S::MIGRATIONS.and(S::CONTRACT).map(|_| IDEMPOTENCY.to_owned());
        let saga = S::SAGAS.then(|| SAGA.to_owned());
        let common = [COMMON.to_owned()].into_iter().chain(storage).chain(requests);
        let common = common.chain(saga).chain(clients);
        let common = common.map(|text| text.replace("SERVICE", S::NAME));
        common.chain([S::DEFAULTS.to_owned()]).collect()
    }

    /// Adds the defaults and the bounds of the table to the sources of a process with several
    /// services.
    #[must_use]
    pub fn add_to(sources: Sources) -> Sources {
        let defaults = Self::defaults();
        let defaults = defaults.iter().map(String::as_str);
        defaults.fold(Self::bounded(sources), |sources, text| sources.defaults_of(S::NAME, text))
    }

    /// Adds the bounds of the table.
    pub(super) fn bounded(sources: Sources) -> Sources {
        sources.bounds(S::NAME, SERVICE_BOUNDS).bounds(S::NAME, S::Settings::BOUNDS)
    }

    /// Adds every problem of the table to `problems`. `discovery` is the registry of the process.
    /// The named files are not read.
    pub fn check(&self, discovery: &gantry_discovery::Settings, problems: &mut Problems) {
        problems.within(S::NAME, &Values { table: self, discovery });
    }

    /// Adds every problem of the files that the table names. Files of `made` may be missing: this
    /// start creates them.
    pub fn check_files(&self, made: &[PathBuf], problems: &mut Problems) {
        problems.within(S::NAME, &Files { table: self, made });
    }
}

struct Values<'a, S: Service> {
    table: &'a ServiceSettings<S>,
    discovery: &'a gantry_discovery::Settings,
}

impl<S: Service> Check for Values<'_, S> {
    fn check(&self, problems: &mut Problems) {
        self.table.common.check::<S>(self.discovery, problems);
        self.table.own.check(problems);
    }
}

struct Files<'a, S: Service> {
    table: &'a ServiceSettings<S>,
    made: &'a [PathBuf],
}

impl<S: Service> Check for Files<'_, S> {
    fn check(&self, problems: &mut Problems) {
        let mut files = FileChecks::new(problems, self.made);
        self.table.common.check_files(&mut files);
        self.table.own.check_files(&mut files);
    }
}

// By hand: `derive` would require `S: Clone`.
impl<S: Service> Clone for ServiceSettings<S> {
    fn clone(&self) -> Self {
        Self { common: self.common.clone(), own: self.own.clone() }
    }
}

impl<S: Service> fmt::Debug for ServiceSettings<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { common, own } = self;
        f.debug_struct("ServiceSettings").field("common", common).field("own", own).finish()
    }
}

impl<S: Service> Serialize for ServiceSettings<S> {
    fn serialize<Z: Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error> {
        #[derive(Serialize)]
        struct Table<'a, T> {
            #[serde(flatten)]
            common: &'a CommonSettings,
            #[serde(flatten)]
            own: &'a T,
        }
        Table { common: &self.common, own: &self.own }.serialize(serializer)
    }
}

/// By hand: a derived `flatten` accepts unknown keys.
impl<'de, S: Service> Deserialize<'de> for ServiceSettings<S> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Table(PhantomData))
    }
}

struct Table<S>(PhantomData<S>);

impl<'de, S: Service> Visitor<'de> for Table<S> {
    type Value = ServiceSettings<S>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the settings of a service")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        let mut common = Unfinished::default();
        let keys = Unfinished::keys::<S>();
        let keys = OwnKeys { map, common: &mut common, common_keys: &keys, own: &[] };
        let own = S::Settings::deserialize(keys)?;
        Ok(ServiceSettings { common: common.finish::<S, _>()?, own })
    }
}

/// View of a table that yields the service's own keys. Common keys are read in passing.
struct OwnKeys<'a, A> {
    map: A,
    common: &'a mut Unfinished,
    common_keys: &'a [&'static str],
    own: &'static [&'static str],
}

impl<'de, A: MapAccess<'de>> Deserializer<'de> for OwnKeys<'_, A> {
    type Error = A::Error;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        own: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        visitor.visit_map(Self { own, ..self })
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, A::Error> {
        visitor.visit_map(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for OwnKeys<'_, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        mut seed: K,
    ) -> Result<Option<K::Value>, A::Error> {
        loop {
            let key = KeySeed { seed, common: self.common_keys, own: self.own };
            match self.map.next_key_seed(key)? {
                Some(Key::Common(key, given_back)) => {
                    self.common.read(key, &mut self.map)?;
                    seed = given_back;
                }
                Some(Key::Own(key)) => return Ok(Some(key)),
                None => return Ok(None),
            }
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.map.next_value_seed(seed)
    }
}

enum Key<K, V> {
    Common(&'static str, K),
    Own(V),
}

/// Reads a key. An unknown key is rejected here, so that the error has its path.
struct KeySeed<'a, K> {
    seed: K,
    common: &'a [&'static str],
    own: &'static [&'static str],
}

impl<'de, K: DeserializeSeed<'de>> DeserializeSeed<'de> for KeySeed<'_, K> {
    type Value = Key<K, K::Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        let key = String::deserialize(deserializer)?;
        if let Some(common) = self.common.iter().find(|common| **common == key) {
            return Ok(Key::Common(common, self.seed));
        }
        if !self.own.contains(&key.as_str()) {
            // serde requires a static list. The leak is bounded: the process does not start.
            let known: &'static [&'static str] = [self.common, self.own].concat().leak();
            return Err(D::Error::unknown_field(&key, known));
        }
        self.seed.deserialize(key.into_deserializer()).map(Key::Own)
    }
}
