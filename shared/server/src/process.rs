//! Process of a single service: a listener for calls and one for the admin pages.

use std::{future::Future, io, net::SocketAddr};

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    admin::Admin,
    server::{ServeError, Server},
};

/// Error of listening on an address.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}")]
pub struct ListenError {
    /// The address.
    pub address: SocketAddr,
    /// Error of the operating system.
    pub source: io::Error,
}

/// Listens on an address.
///
/// # Errors
/// [`ListenError`], which names the address.
pub async fn listen(address: SocketAddr) -> Result<TcpListener, ListenError> {
    TcpListener::bind(address).await.map_err(|source| ListenError { address, source })
}

impl Server {
    /// Like [`serve`](Self::serve), with admin pages on a second listener. The pages include this
    /// server and the content of `admin`. They end after the drain, so that operators can follow
    /// it.
    ///
    /// # Errors
    /// [`ServeError`] if the server cannot start.
    pub async fn serve_with_admin(
        self,
        listener: TcpListener,
        admin: Admin,
        pages: TcpListener,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), ServeError> {
        let drained = CancellationToken::new();
        let pages = admin.add(self.status()).serve(pages, drained.clone().cancelled_owned());
        let serve = async {
            let served = self.serve(listener, shutdown).await;
            drained.cancel();
            served
        };
        let ((), served) = tokio::join!(pages, serve);
        served
    }
}
