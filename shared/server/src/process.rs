//! What a process of one service adds: two listeners, and operators who see the drain.

use std::{future::Future, io, net::SocketAddr};

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    admin::Admin,
    server::{ServeError, Server},
};

/// An address that cannot be listened on, and why.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}")]
pub struct ListenError {
    /// The address.
    pub address: SocketAddr,
    /// What the operating system said.
    pub source: io::Error,
}

/// Listens on an address, or says which one it was.
///
/// # Errors
/// [`ListenError`]
pub async fn listen(address: SocketAddr) -> Result<TcpListener, ListenError> {
    TcpListener::bind(address).await.map_err(|source| ListenError { address, source })
}

impl Server {
    /// As [`serve`](Self::serve), with admin pages on a listener of their own, which end
    /// after the drain: operators see it. They tell of this server, and of what `admin`
    /// was given besides.
    ///
    /// # Errors
    /// [`ServeError`] where it could not start.
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
