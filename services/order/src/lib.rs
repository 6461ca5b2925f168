//! Orders: what is bought, and how that is carried through.
//!
//! An order is put together as a draft, priced from the catalogue, and then placed. What
//! placing needs of other services is done by a saga that survives any crash: in the end
//! the order is confirmed and the stock sold, or it is rejected with a reason and the
//! stock is as it was.
//!
//! Read it from the inside out:
//!
//! | module | what is in it |
//! |---|---|
//! | [`domain`] | the order and its events, which status may follow which, what it costs |
//! | [`application`] | one use case a file, the saga, and the ports they need |
//! | [`outbound`] | orders and sagas in SQLite, the clients of user and inventory |
//! | `inbound` | the contract's methods, and what a refusal is called there |
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
pub use settings::{
    Amount, Clients, DEFAULTS, Destination, DiscountSettings, Own, Percent, PricingSettings,
    Settings, TaxSettings, TierName,
};

/// Why `order-service` does not serve.
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

/// Serves until `shutdown`, drains, lets the sagas come to a safe point, and closes the
/// database.
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
    let metrics = Metrics::new("order-service")?;
    let service = Service::open(settings.order, registry, Some(metrics.meter())).await?;
    let admin =
        Admin::new().metrics(move || metrics.text()).endpoints(NAME, service.calls()).config(shown);
    let served = service.server()?.serve_with_admin(listener, admin, pages, shutdown).await;
    service.close().await;
    Ok(served?)
}
