//! Start, run and drain of a process.

use std::{error::Error, future::Future, pin::pin, process::ExitCode};

use gantry_config::{Args, ConfigError, Loaded, Origin};
use gantry_discovery::Registry;
use gantry_server::{Admin, BuildError, ListenError, OpenFiles, listen};
use gantry_telemetry::{LogFilter, Metrics, MetricsError};
use tokio::net::TcpListener;
use tracing::info;

use crate::{
    Listening, LogSignals, OpenError, OpenService, ProcessSettings, Service, Shutdown,
    advertise::advertise, block_on, command::Command, healthcheck, with_log_filter,
};

/// Failure to serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The admin address cannot be listened on.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The registry settings are unusable.
    #[error(transparent)]
    Registry(#[from] gantry_discovery::SettingsError),
    /// The metrics cannot be set up.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    /// The service cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The server cannot be built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The server cannot start.
    #[error(transparent)]
    Serve(#[from] gantry_server::ServeError),
}

/// The whole `main` of a service: parses the command line and runs its command. The default command
/// loads the settings, serves until SIGTERM, Ctrl-C or SIGHUP, and drains.
pub fn run<S: Service>() -> ExitCode {
    let process = process_name(S::NAME);
    match Command::parse::<S>(&process) {
        Command::Serve(args) => {
            block_on(async |shutdown| match run_with::<S>(&process, &args, shutdown).await {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => gantry_config::refuse(&error),
            })
        }
        Command::Healthcheck(args) => {
            let servers = ProcessSettings::<S>::read(&args.serve).map(|loaded| {
                let (address, settings) = (loaded.settings.listen, loaded.settings.service);
                vec![Listening::new(S::NAME, address, &settings.common.server)]
            });
            block_on(async |shutdown| healthcheck(servers, args.timeout, shutdown).await)
        }
        Command::Config(command) => {
            let defaults = ProcessSettings::<S>::sources();
            command.run(&format!("Settings of {process}"), &defaults, ProcessSettings::<S>::load)
        }
        Command::Migrate(command) => {
            block_on(async |shutdown| match ProcessSettings::<S>::load(command.serve()) {
                Ok(loaded) => loaded.settings.service.migrate(&command, shutdown).await,
                Err(error) => gantry_config::refuse(&error),
            })
        }
    }
}

async fn run_with<S: Service>(
    process: &str,
    args: &Args,
    shutdown: Shutdown,
) -> Result<(), Box<dyn Error>> {
    let signals = LogSignals::catch();
    let loaded = ProcessSettings::<S>::load(args)?;
    let telemetry =
        gantry_telemetry::init_services(&loaded.settings.telemetry, process, &[S::NAME])?;
    log_origin(&loaded.origin);
    OpenFiles::raise();
    let listener = listen(loaded.settings.listen).await?;
    let filter = telemetry.log_filter();
    let reread =
        || Ok::<_, ConfigError>(ProcessSettings::<S>::read(args)?.settings.telemetry.filter);
    // Boxed: the compiler limits how deep the types of futures may be nested.
    let serving = Box::pin(serve::<S>(listener, loaded, Some(&filter), shutdown));
    tokio::select! {
        served = serving => Ok(served?),
        never = signals.follow(&filter, reread) => match never {},
    }
}

/// Logs the files that the settings were read from, and the number of ignored variables.
pub fn log_origin(origin: &Origin) {
    for file in &origin.files {
        info!(file = %file.display(), "settings read");
    }
    if let [first, ..] = &origin.service_links[..] {
        let count = origin.service_links.len();
        info!(count, first, "variables of Kubernetes or Docker service links ignored");
    }
}

/// Serves until `shutdown`, drains, and closes the service. A shutdown while the service is opening stops
/// that at once. An admin page shows and changes `log_filter`, if there is one.
///
/// # Errors
/// [`ServeError`]. Nothing was served.
pub async fn serve<S: Service>(
    listener: TcpListener,
    loaded: Loaded<ProcessSettings<S>>,
    log_filter: Option<&LogFilter>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let mut shutdown = pin!(shutdown);
    let redacted = loaded.redacted();
    let settings = loaded.settings;
    let pages = listen(settings.admin.listen).await?;
    let registry = Registry::from_settings(&settings.discovery)?;
    let metrics = Metrics::exported(&process_name(S::NAME), &settings.telemetry)?;
    let mut service = settings.service;
    let open = async {
        let server = &mut service.common.server;
        advertise(server, settings.listen.ip(), &settings.discovery).await;
        OpenService::open(service, registry, Some(metrics.meter())).await
    };
    let service = tokio::select! {
        opened = open => opened?,
        () = &mut shutdown => {
            info!("stopped while starting");
            return Ok(());
        }
    };
    let admin = Admin::new().hosts(settings.admin.hosts).metrics(move || metrics.text());
    let admin = service.register_admin(admin.config(redacted));
    let admin = log_filter.into_iter().fold(admin, with_log_filter);
    let served = service.server()?.serve_with_admin(listener, admin, pages, shutdown).await;
    service.close().await;
    Ok(served?)
}

/// Returns the name of a service's binary, which its logs and metrics have too.
pub fn process_name(service: &str) -> String {
    format!("{service}-service")
}
