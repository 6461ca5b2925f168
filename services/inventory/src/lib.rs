//! The inventory: what the shop sells, and how much of it there is.
//!
//! Orders reserve stock before they are charged, and commit or release it afterwards.
//! What this service promises them: a reservation is all or nothing, however many are made
//! at once nothing is sold twice, and a call that is repeated, late or overtaken by its own
//! undoing changes nothing.
//!
//! Read it from the inside out:
//!
//! | module | what is in it |
//! |---|---|
//! | [`domain`] | products, stock, reservations; [`domain::decide`] has every rule between them |
//! | [`application`] | one use case a file, and the ports they need |
//! | [`outbound`] | the repository in SQLite |
//! | `inbound` | the contract's methods, and what a failure is called there |
//! | [`Settings`] | what can be configured |
//! | [`Service`] | all of it put together |
//!
//! [`serve`] is the own binary's whole life; `gantry up` opens a [`Service`] itself.

pub mod application;
mod compose;
pub mod domain;
mod inbound;
pub mod outbound;
mod settings;

use std::future::Future;

use gantry_config::Loaded;
use gantry_discovery::Registry;
use gantry_server::{Admin, ListenError, listen};
use gantry_telemetry::{Metrics, MetricsError};
use tokio::net::TcpListener;

pub use compose::{NAME, OpenError, Service};
pub use settings::{DEFAULTS, Own, Settings};

/// Why `inventory-service` does not serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
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
    Open(#[from] OpenError),
    /// The server cannot be put together.
    #[error(transparent)]
    Build(#[from] gantry_server::BuildError),
    /// The server could not begin.
    #[error(transparent)]
    Serve(#[from] gantry_server::ServeError),
}

/// Serves until `shutdown`, drains, and closes the database.
///
/// # Errors
/// [`ServeError`], before anything was served.
pub async fn serve(
    listener: TcpListener,
    own: Loaded<Own>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let Loaded { settings, shown } = own;
    let pages = listen(settings.admin.listen).await?;
    let registry = Registry::from_settings(&settings.discovery)?;
    let metrics = Metrics::new("inventory-service")?;
    let service = Service::open(settings.inventory, registry, Some(metrics.meter())).await?;
    let admin =
        Admin::new().metrics(move || metrics.text()).endpoints(NAME, service.calls()).config(shown);
    let served = service.server()?.serve_with_admin(listener, admin, pages, shutdown).await;
    service.close().await;
    Ok(served?)
}
