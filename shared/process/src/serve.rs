//! The life of such a process.

use std::{error::Error, future::Future, pin::pin, process::ExitCode};

use clap::{Args as _, Command, FromArgMatches as _};
use gantry_client::Channel;
use gantry_config::{Args, Loaded, Origin};
use gantry_discovery::Registry;
use gantry_server::{Admin, BuildError, Endpoints, ListenError, OpenFiles, Server, listen};
use gantry_telemetry::{BUILD, Meter, Metrics, MetricsError};
use tokio::net::TcpListener;
use tracing::info;

use crate::{Own, Shutdown, Table, block_on};

/// What opens and closes: all that a process has to know of the service in it.
pub trait Service: Sized + Send {
    /// What can be configured, and its name.
    type Settings: Table;

    /// Why it could not be opened.
    type OpenError: Error + 'static;

    /// Opens what the service needs once. Where there is a meter, calls are measured with it.
    ///
    /// # Errors
    /// [`OpenError`](Self::OpenError)
    fn open(
        settings: Self::Settings,
        registry: Registry,
        meter: Option<Meter>,
    ) -> impl Future<Output = Result<Self, Self::OpenError>> + Send;

    /// One more server; all of them share what was opened.
    ///
    /// # Errors
    /// [`BuildError`] where the settings do not make one.
    fn server(&self) -> Result<Server, BuildError>;

    /// A server whose readiness shows the services that it calls.
    ///
    /// # Errors
    /// [`BuildError`] if [`server`](Self::server) fails.
    fn ready_server(&self) -> Result<Server, BuildError> {
        let needs = |server: Server, channel: Channel| {
            let service = channel.service().to_owned();
            server.needs(&service, move || endpoints(&channel))
        };
        Ok(self.channels().into_iter().fold(self.server()?, needs))
    }

    /// The ways to the services that it calls: none, unless it says otherwise.
    fn channels(&self) -> Vec<Channel> {
        Vec::new()
    }

    /// Adds to the page `/endpoints` whom it calls.
    fn shown_on(&self, admin: Admin) -> Admin {
        let channels = self.channels();
        admin.endpoints(Self::Settings::NAME, move || {
            channels.iter().map(Channel::snapshot).collect::<Vec<_>>()
        })
    }

    /// Finishes what has begun and lets go of what was opened. Its servers have drained before.
    fn close(self) -> impl Future<Output = ()> + Send {
        async { drop(self) }
    }
}

/// Why the process does not serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError<E: Error + 'static> {
    /// The admin address cannot be listened on.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The registry cannot be used.
    #[error(transparent)]
    Registry(#[from] gantry_discovery::SettingsError),
    /// Nothing can be measured.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    /// The service cannot be opened.
    #[error(transparent)]
    Open(E),
    /// The server cannot be put together.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The server could not begin.
    #[error(transparent)]
    Serve(#[from] gantry_server::ServeError),
}

/// The whole of `main`: reads the flags and the settings, serves until SIGTERM, Ctrl-C or SIGHUP,
/// and drains. `about` is what `--help` says of the service.
pub fn run<S: Service>(about: &'static str) -> ExitCode {
    let process = process_name::<S>();
    let command =
        Command::new(S::Settings::NAME).display_name(process.clone()).version(BUILD.summary);
    block_on(async |shutdown| {
        // After the flags, which bring what they say of themselves.
        let matches = Args::augment_args(command).about(about).get_matches();
        match run_with::<S>(&process, Args::from_arg_matches(&matches), shutdown).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => gantry_config::refuse(&error),
        }
    })
}

async fn run_with<S: Service>(
    process: &str,
    args: Result<Args, clap::Error>,
    shutdown: Shutdown,
) -> Result<(), Box<dyn Error>> {
    let own = Own::<S::Settings>::load(&args?)?;
    let _telemetry = gantry_telemetry::init(&own.settings.telemetry, process)?;
    log_origin(&own.origin);
    OpenFiles::raise();
    let listener = listen(own.settings.listen).await?;
    Ok(serve::<S>(listener, own, shutdown).await?)
}

/// Logs which files the settings were read from, and which variables were passed over.
pub fn log_origin(origin: &Origin) {
    for file in &origin.files {
        info!(file = %file.display(), "settings read");
    }
    if let [first, ..] = &origin.service_links[..] {
        let count = origin.service_links.len();
        info!(count, first, "variables of Kubernetes or Docker service links ignored");
    }
}

/// Serves until `shutdown`, drains, and closes the service. A shutdown while the service is being
/// opened ends that at once.
///
/// # Errors
/// [`ServeError`], before anything was served.
pub async fn serve<S: Service>(
    listener: TcpListener,
    own: Loaded<Own<S::Settings>>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError<S::OpenError>> {
    let mut shutdown = pin!(shutdown);
    let shown = own.redacted();
    let settings = own.settings;
    let pages = listen(settings.admin.listen).await?;
    let registry = Registry::from_settings(&settings.discovery)?;
    let metrics = Metrics::new(&process_name::<S>())?;
    let service = tokio::select! {
        opened = S::open(settings.service, registry, Some(metrics.meter())) => {
            opened.map_err(ServeError::Open)?
        }
        () = &mut shutdown => {
            info!("told to end while starting");
            return Ok(());
        }
    };
    let admin = Admin::new().hosts(settings.admin.hosts).metrics(move || metrics.text());
    let admin = service.shown_on(admin.config(shown));
    let served = service.ready_server()?.serve_with_admin(listener, admin, pages, shutdown).await;
    service.close().await;
    Ok(served?)
}

fn endpoints(channel: &Channel) -> Endpoints {
    let snapshot = channel.snapshot();
    Endpoints { known: snapshot.listed, connected: snapshot.connected(), error: snapshot.trouble }
}

fn process_name<S: Service>() -> String {
    format!("{}-service", S::Settings::NAME)
}
