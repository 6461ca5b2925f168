//! Loading the settings of the suite: its own few, and each service's in its table.

use std::path::{Path, PathBuf};

use gantry_config::{Check, ConfigError, Loaded, Problems, Sources};
use gantry_process::{ADDING, PROCESS_BOUNDS, SHARED, check_telemetry_files};

use super::keys::Keys;
use crate::{
    cli::UpArgs,
    suite::{SuiteSettings, USER},
};

/// Loads the defaults, the paths in the data directory, the files, the environment and the flags.
///
/// # Errors
/// All problems of the settings; if there are none, all problems of the files that they name.
pub(super) fn load<T: SuiteSettings>(args: &UpArgs, keys: &Keys) -> Result<Loaded<T>, ConfigError> {
    let loaded = read::<T>(args, keys)?;
    loaded.origin.check(&Files { settings: &loaded.settings, made: &keys.made() })?;
    Ok(loaded)
}

/// Like [`load`], without the files that the settings name.
///
/// # Errors
/// All problems of the settings.
pub(super) fn read<T: SuiteSettings>(args: &UpArgs, keys: &Keys) -> Result<Loaded<T>, ConfigError> {
    let sources = in_data_dir::<T>(&args.data_dir, keys);
    let mut sources = args.settings.add_to(sources.foreign(gantry_telemetry::VARIABLES));
    if let Some(registry) = args.registry {
        sources = sources.set("discovery.kind", registry.as_str(), "--registry");
    }
    if let Some(url) = &args.consul {
        sources = sources.set("discovery.consul.url", url.as_str(), "--consul");
    }
    gantry_config::load_shown(sources)
}

/// Returns the defaults and the bounds.
pub(super) fn defaults<T: SuiteSettings>() -> Sources {
    let sources = Sources::new().adding(ADDING).bounds("", PROCESS_BOUNDS);
    let with_database = T::SERVICES.iter().filter(|service| service.has_database);
    let with_database: Vec<_> = with_database.map(|service| service.name).collect();
    let sources = sources.sharing(SHARED, &with_database);
    let sources = gantry_process::add_process_defaults(sources);
    T::add_defaults(sources.defaults(include_str!("../../config/default.toml")))
}

/// Adds the paths in the data directory, as defaults.
fn in_data_dir<T: SuiteSettings>(data_dir: &Path, keys: &Keys) -> Sources {
    const FLAG: &str = "--data-dir";
    let key_file = format!("{}.tokens.key_file", USER.name);
    let sources = defaults::<T>().set(&key_file, keys.users_tokens(), FLAG);
    T::SERVICES.iter().fold(sources, |sources, service| {
        let name = service.name;
        let key = |key: &str| format!("{name}.{key}");
        let sources = match service.has_database {
            true => {
                let path = data_dir.join(format!("{name}.db"));
                sources.set(&key("database.sqlite.path"), path, FLAG)
            }
            false => sources,
        };
        let sources = match service.has_requests {
            true => sources.set(&key("idempotency.key_file"), keys.request_records(name), FLAG),
            false => sources,
        };
        sources
            .set(&key("identity.key_file"), keys.private(name), FLAG)
            .set(&key("identity.trusted"), keys.trusted_by(name), FLAG)
            .set(&key("identity.jwks_cache_dir"), data_dir, FLAG)
    })
}

/// Check of the files that the settings name. Files that the start creates may be missing.
struct Files<'a, T> {
    settings: &'a T,
    made: &'a [PathBuf],
}

impl<T: SuiteSettings> Check for Files<'_, T> {
    fn check(&self, problems: &mut Problems) {
        check_telemetry_files(self.settings.telemetry(), problems);
        for (_, table) in self.settings.tables() {
            table.check_files(self.made, problems);
        }
    }
}
