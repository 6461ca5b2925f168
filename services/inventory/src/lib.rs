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

use std::{future::Future, io, net::SocketAddr};

use gantry_discovery::Registry;
use gantry_server::Admin;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use compose::{NAME, OpenError, Service};
pub use settings::{DEFAULTS, Idempotency, Own, Settings};

/// Why `inventory-service` does not serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The registry cannot be used.
    #[error(transparent)]
    Registry(#[from] gantry_discovery::SettingsError),
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

/// Listens on an address, or says which one it was.
///
/// # Errors
/// [`ServeError::Listen`]
pub async fn listen(address: SocketAddr) -> Result<TcpListener, ServeError> {
    TcpListener::bind(address).await.map_err(|source| ServeError::Listen { address, source })
}

/// Serves until `shutdown`, drains, and closes the database.
///
/// # Errors
/// [`ServeError`], before anything was served.
pub async fn serve(
    listener: TcpListener,
    settings: Own,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let admin = listen(settings.admin.listen).await?;
    let registry = Registry::from_settings(&settings.discovery)?;
    let service = Service::open(settings.inventory, registry).await?;
    let server = service.server()?;

    let drained = CancellationToken::new();
    // Operators see the drain: their server ends after it.
    let admin = Admin::new().add(server.status()).serve(admin, drained.clone().cancelled_owned());
    let serve = async {
        let served = server.serve(listener, shutdown).await;
        drained.cancel();
        served
    };
    let ((), served) = tokio::join!(admin, serve);
    service.close().await;
    Ok(served?)
}
