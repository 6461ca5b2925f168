//! Connection as its calls see it: its peer, the limits that it uses, and its end.

mod closed;
mod floods;
mod headers;
mod infrastructure;
mod limiter;
mod resets;
mod send_budget;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio_util::sync::CancellationToken;
use tonic::transport::server::TcpConnectInfo;

pub(crate) use self::{
    closed::Closed,
    floods::{ClientFrames, FloodWatch, RefusedHeaders},
    headers::{HeaderLimits, HeadersTooLarge},
    infrastructure::{InfrastructureCall, InfrastructureCalls},
    limiter::{ConnectionLimiter, Limits, Peer, Refused},
    resets::Resets,
    send_budget::{ConnectionUsage, Reservation, SendBudget, TrackedBytes},
};

/// State shared by the calls of one connection.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) info: TcpConnectInfo,
    pub(crate) peer: SocketAddr,
    pub(crate) standing: Peer,
    /// DNS names of the peer's certificate, if it presented one.
    pub(crate) certified_names: Option<Vec<String>>,
    /// Ends the calls of the connection when it is cancelled.
    pub(crate) cut: CancellationToken,
    /// True if a part of a request was read since the last check.
    data_received: AtomicBool,
    /// True if a call brought invalid credentials.
    invalid_credentials: AtomicBool,
    pub(crate) resets: Resets,
    pub(crate) usage: Arc<ConnectionUsage>,
    pub(crate) floods: Arc<FloodWatch>,
}

impl Connection {
    pub(crate) fn new(
        info: TcpConnectInfo,
        peer: SocketAddr,
        standing: Peer,
        certified_names: Option<Vec<String>>,
        cut: CancellationToken,
        resets: Resets,
        usage: Arc<ConnectionUsage>,
    ) -> Self {
        let (data_received, invalid_credentials) = (AtomicBool::new(false), AtomicBool::new(false));
        let floods = Arc::default();
        Self {
            info,
            peer,
            standing,
            certified_names,
            cut,
            data_received,
            invalid_credentials,
            resets,
            usage,
            floods,
        }
    }

    /// Shares the flood watch of the frame reader, which counts the frames that responses send.
    pub(crate) fn with_floods(self, floods: Arc<FloodWatch>) -> Self {
        Self { floods, ..self }
    }

    pub(crate) fn data_received(&self) {
        self.data_received.store(true, Ordering::Relaxed);
    }

    /// Records that a call brought invalid credentials.
    pub(crate) fn invalid_credentials(&self) {
        self.invalid_credentials.store(true, Ordering::Relaxed);
    }

    pub(crate) fn had_invalid_credentials(&self) -> bool {
        self.invalid_credentials.load(Ordering::Relaxed)
    }

    pub(crate) fn take_data_received(&self) -> bool {
        self.data_received.swap(false, Ordering::Relaxed)
    }
}

/// Connection for tests that need any connection.
#[cfg(test)]
impl Connection {
    pub(crate) fn any() -> Self {
        let info = TcpConnectInfo { local_addr: None, remote_addr: None };
        let usage = Arc::new(ConnectionUsage::new(SendBudget::new(0)));
        let peer = ([127, 0, 0, 1], 1).into();
        let cut = CancellationToken::new();
        Self::new(info, peer, Peer::any(), None, cut, Resets::new(1), usage)
    }
}
