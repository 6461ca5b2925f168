//! `gantry up`: every service in one process, each on its own loopback port.
//!
//! The services find each other through the registry and call each other over real sockets, as in a
//! cluster. Steps of a start: settings, ports, keys, databases, servers, admin, serving, `ready`. Each step
//! reports all of its problems before the next one writes anything.

mod admin;
mod keys;
mod plan;
mod ready;
mod running;
mod settings;

use std::{
    collections::BTreeMap,
    error::Error,
    fs::DirBuilder,
    io,
    path::{Path, PathBuf},
    process::ExitCode,
};

use gantry_config::{ConfigCommand, Loaded};
use gantry_discovery::{Kind, Registry};
use gantry_process::{HealthcheckArgs, Listening, LogSignals, Shutdown, with_log_filter};
use gantry_server::{Admin, ConnectionSettings, OpenFiles, ServerTls, TooFewFiles};
use gantry_telemetry::Metrics;

use self::{
    admin::{Bootstrap, BootstrapError},
    plan::{BindError, Plan},
    ready::Ready,
    running::Running,
};
use crate::{
    cli::{MigrateArgs, UpArgs},
    suite::{NAMES, Row, SERVICES, Services, Settings, SuiteSettings},
};

pub use self::admin::ADMIN_EMAIL;
pub(crate) use self::keys::Keys;

/// Error of `gantry up`.
#[derive(Debug, thiserror::Error)]
pub enum UpError {
    /// The settings are invalid.
    #[error(transparent)]
    Settings(#[from] gantry_config::ConfigError),
    /// Contradictory flags.
    #[error("--consul {0} needs --registry consul")]
    ConsulWithoutRegistry(String),
    /// The settings of the registry are invalid.
    #[error(transparent)]
    Registry(#[from] gantry_discovery::SettingsError),
    /// The logs cannot be set up.
    #[error(transparent)]
    Telemetry(#[from] gantry_telemetry::InitError),
    /// The metrics cannot be set up.
    #[error(transparent)]
    Metrics(#[from] gantry_telemetry::MetricsError),
    /// An address cannot be bound.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The limit of open files is too low for the connections.
    #[error(transparent)]
    OpenFiles(#[from] TooFewFiles),
    /// The data directory cannot be created.
    #[error("cannot create the data directory {}: {source}", path.display())]
    DataDir {
        /// The directory.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
    /// A key cannot be read or created.
    #[error(transparent)]
    Keys(#[from] gantry_identity::KeyError),
    /// A service cannot be opened.
    #[error("{service}: {cause}")]
    Open {
        /// Name of the service.
        service: &'static str,
        /// Cause.
        cause: Box<dyn Error + Send + Sync>,
    },
    /// The bootstrap admin cannot be created.
    #[error(transparent)]
    Bootstrap(#[from] BootstrapError),
    /// The ready file cannot be written.
    #[error("cannot write the ready file {}: {source}", path.display())]
    ReadyFile {
        /// The file.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
    /// A service stopped without a request to stop, or failed to drain.
    #[error("{service} stopped serving: {cause}")]
    Stopped {
        /// Name of the service.
        service: &'static str,
        /// Cause.
        cause: Box<dyn Error + Send + Sync>,
    },
}

impl UpError {
    /// Returns true if the suite never served: its arguments or its environment are invalid.
    pub fn is_refusal(&self) -> bool {
        !matches!(self, Self::Stopped { .. })
    }
}

/// Serves the suite until `shutdown`. A shutdown during the start ends it at once.
///
/// # Errors
/// [`UpError`]
pub async fn run(args: UpArgs, mut shutdown: Shutdown) -> Result<(), UpError> {
    let signals = LogSignals::catch();
    let started = tokio::select! {
        started = start(&args) => started?,
        () = &mut shutdown => {
            tracing::info!("shutdown during the start");
            return Ok(());
        }
    };
    let Started { services, mut running, registry, plan, tls, admin, telemetry } = started;
    let life = async {
        all_found(&registry, &plan).await;
        announce(&args, &plan, &tls, &admin)?;
        std::future::pending().await
    };
    let filter = telemetry.log_filter();
    let keys = Keys::new(&args.data_dir, SERVICES);
    let reread =
        || settings::read::<Settings>(&args, &keys).map(|read| read.settings.telemetry.filter);
    tokio::select! {
        never = signals.follow(&filter, reread) => match never {},
        early = running.first_to_stop() => return Err(early),
        refused = life => return refused,
        () = shutdown => {}
    }
    running.drain().await?;
    services.close().await;
    Ok(())
}

/// Serving suite.
struct Started {
    services: Services,
    running: Running,
    registry: Registry,
    plan: Plan,
    tls: BTreeMap<&'static str, ServerTls>,
    admin: Bootstrap,
    telemetry: gantry_telemetry::Guard,
}

/// Runs `gantry config`: shows or checks the settings of `up` without starting it.
pub fn config(command: &ConfigCommand<UpArgs>) -> ExitCode {
    command.run("Settings of gantry up", &settings::defaults::<Settings>(), |args| {
        load(args, &Keys::new(&args.data_dir, SERVICES))
    })
}

/// Runs `gantry healthcheck`: asks every replica of a suite that runs with the same flags. Returns the
/// exit code.
pub async fn healthcheck(args: &HealthcheckArgs<UpArgs>, shutdown: Shutdown) -> ExitCode {
    gantry_process::healthcheck(listening(&args.serve), args.timeout, shutdown).await
}

fn listening(args: &UpArgs) -> Result<Vec<Listening>, UpError> {
    let loaded = settings::read::<Settings>(args, &Keys::new(&args.data_dir, SERVICES))?;
    let plan = Plan::new(SERVICES, args).map_err(BindError::from)?;
    let mut listening = Vec::new();
    for (row, table) in loaded.settings.tables() {
        for of in plan.services().iter().filter(|of| of.service.name == row.name) {
            let of = of.addresses();
            listening.extend(of.map(|address| Listening::new(row.name, address, table.server())));
        }
    }
    Ok(listening)
}

/// Runs `gantry migrate`: lists or changes the schema of one service's database, with the settings of
/// `up`. Returns the exit code of [`ServiceSettings::migrate`](gantry_process::ServiceSettings::migrate).
pub async fn migrate(args: &MigrateArgs, shutdown: Shutdown) -> ExitCode {
    let up = args.command.serve();
    match load(up, &Keys::new(&up.data_dir, SERVICES)) {
        Ok(loaded) => {
            let tables = loaded.settings.tables();
            match tables.into_iter().find(|(row, _)| row.name == args.service) {
                Some((_, table)) => table.migrate(&args.command, shutdown).await,
                None => gantry_config::refuse(&format_args!("unknown service {}", args.service)),
            }
        }
        Err(error) => gantry_config::refuse(&error),
    }
}

/// Loads and checks all settings and flags of a start, without writing anything.
fn load(args: &UpArgs, keys: &Keys) -> Result<Loaded<Settings>, UpError> {
    let loaded = settings::load::<Settings>(args, keys)?;
    let settings = &loaded.settings;
    if let Some(url) = args.consul.as_ref().filter(|_| settings.discovery.kind != Kind::Consul) {
        return Err(UpError::ConsulWithoutRegistry(url.clone()));
    }
    if let Some(storage) = &settings.user.common.storage {
        admin::check(&storage.database.sqlite.path, &args.admin_password_file())?;
    }
    Ok(loaded)
}

async fn start(args: &UpArgs) -> Result<Started, UpError> {
    let keys = Keys::new(&args.data_dir, SERVICES);
    let mut loaded = load(args, &keys)?;
    let settings = &mut loaded.settings;
    let registry = Registry::from_settings(&settings.discovery)?;
    let (plan, listeners) = Plan::bind(SERVICES, args)?;
    OpenFiles::raise().share(connections(settings, &args.replicas()))?;
    // As they are now in force.
    let (redacted, origin, settings) = (loaded.redacted(), loaded.origin, loaded.settings);
    if let Some(path) = &args.ready_file {
        Ready::prepare(path).map_err(ready_file(path))?;
    }
    make_data_dir(&args.data_dir)
        .map_err(|source| UpError::DataDir { path: args.data_dir.clone(), source })?;
    keys.provide()?;
    let telemetry = gantry_telemetry::init_services(&settings.telemetry, "gantry", &NAMES)?;
    gantry_process::log_origin(&origin);

    let tls = tls(&settings);
    let metrics = Metrics::exported("gantry", &settings.telemetry)?;
    let meter = metrics.meter();
    let hosts = settings.admin.hosts.clone();
    let services = Services::open(settings, &registry, &meter).await.map_err(cannot_open)?;
    let members = services.members();
    // All of them or none, and before there is an admin: a password is shown once only.
    let replicas = running::replicas(&members, listeners.replicas)?;
    let admin =
        admin::bootstrap(&services.user.service().ensure_admin, args.admin_password_file()).await?;
    let pages = Admin::new().hosts(hosts).metrics(move || metrics.text()).config(redacted);
    let pages = with_log_filter(pages, &telemetry.log_filter());
    let running = Running::serve(&members, replicas, pages, listeners.admin);
    drop(members);
    Ok(Started { services, running, registry, plan, tls, admin, telemetry })
}

/// Returns the connection settings of each service's servers, and the number of these servers.
fn connections<'a>(
    settings: &'a mut Settings,
    replicas: &BTreeMap<&str, u16>,
) -> impl Iterator<Item = (&'a mut ConnectionSettings, u64)> {
    settings.tables_mut().into_iter().map(|(row, table)| {
        (&mut table.server_mut().connections, replicas.get(row.name).copied().unwrap_or(1).into())
    })
}

/// Returns the TLS settings of the servers that have some, by service.
fn tls(settings: &impl SuiteSettings) -> BTreeMap<&'static str, ServerTls> {
    let tables = settings.tables().into_iter();
    tables.filter_map(|(row, table)| Some((row.name, table.server().tls.clone()?))).collect()
}

fn cannot_open<E: Into<Box<dyn Error + Send + Sync>>>((row, cause): (Row, E)) -> UpError {
    UpError::Open { service: row.name, cause: cause.into() }
}

/// Waits until the registry has every replica.
async fn all_found(registry: &Registry, plan: &Plan) {
    for of in plan.services() {
        let mut watch = registry.resolver.watch(of.service.name);
        loop {
            let found = watch.current();
            let is_found =
                |address| found.endpoints().iter().any(|endpoint| endpoint.address == address);
            if of.addresses().all(is_found) {
                break;
            }
            watch.changed().await;
        }
    }
}

/// Creates the data directory for its owner only: it holds keys and personal data.
fn make_data_dir(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

fn ready_file(path: &Path) -> impl FnOnce(io::Error) -> UpError {
    let path = path.to_owned();
    move |source| UpError::ReadyFile { path, source }
}

fn announce(
    args: &UpArgs,
    plan: &Plan,
    tls: &BTreeMap<&str, ServerTls>,
    admin: &Bootstrap,
) -> Result<(), UpError> {
    if let Some(path) = &args.ready_file {
        Ready::new(plan).write(path).map_err(ready_file(path))?;
    }
    if let Err(error) = ready::print_banner(plan, tls, admin) {
        tracing::warn!(%error, "cannot print the addresses");
    }
    Ok(())
}

#[cfg(test)]
mod tests;
