//! The user service: who the users are, and how they prove it.
//!
//! What it promises the others: an address belongs to one user, whatever its case;
//! a request that is repeated creates nobody twice; nobody learns from a login
//! whether an address is known; and no address, password or token is ever in a log
//! line, a `Debug` or an error.
//!
//! Read it from the inside out:
//!
//! | module | what is in it |
//! |---|---|
//! | [`domain`] | users, and the values they are made of |
//! | [`application`] | one use case a file, and the ports they need |
//! | [`outbound`] | the database, the password hash, the tokens |
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

pub use compose::{EnsureAdminError, NAME, OpenError, Service};
pub use settings::{Bootstrap, DEFAULTS, Own, Passwords, Settings, Tokens};

/// Why `user-service` does not serve.
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
    let metrics = Metrics::new("user-service")?;
    let service = Service::open(settings.user, registry, Some(metrics.meter())).await?;
    let admin = Admin::new().metrics(move || metrics.text()).config(shown);
    let served = service.server()?.serve_with_admin(listener, admin, pages, shutdown).await;
    service.close().await;
    Ok(served?)
}
