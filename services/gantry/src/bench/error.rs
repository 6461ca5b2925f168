//! Why something was not measured.

use std::{io, path::PathBuf};

/// Why something was not measured.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// A replica did not start or did not answer on its pipes.
    #[error("a replica: {0}")]
    Replica(#[source] io::Error),
    /// A replica ended, or said what nobody understands.
    #[error("a replica said {0:?}")]
    Nonsense(String),
    /// The bare connection of a baseline.
    #[error("a bare connection: {0}")]
    Bare(#[from] hyper::Error),
    /// A baseline's channel.
    #[error("a tonic channel: {0}")]
    Tonic(#[from] tonic::transport::Error),
    /// Our channel.
    #[error(transparent)]
    Channel(#[from] gantry_client::BuildError),
    /// The registry that the replicas stand in.
    #[error(transparent)]
    Register(#[from] gantry_discovery::RegisterError),
    /// Its settings.
    #[error(transparent)]
    Registry(#[from] gantry_discovery::SettingsError),
    /// The server stack of a replica.
    #[error(transparent)]
    Server(#[from] gantry_server::BuildError),
    /// It could not serve.
    #[error(transparent)]
    Serve(#[from] gantry_server::ServeError),
    /// Clients of the suite.
    #[error(transparent)]
    Clients(#[from] crate::demo::clients::ConnectError),
    /// Calls failed where none may.
    #[error("a call failed where none may: {0}")]
    Call(Box<tonic::Status>),
    /// Something did not come about in time.
    #[error("{0} within {1:?}")]
    Late(&'static str, std::time::Duration),
    /// A tool is not installed.
    #[error("{tool} is missing: {install}")]
    Missing {
        /// Its name.
        tool: &'static str,
        /// How it is installed.
        install: &'static str,
    },
    /// A tool is there and does not do its work.
    #[error("{tool}: {why}")]
    Tool {
        /// Its name.
        tool: &'static str,
        /// What it said.
        why: String,
    },
    /// A file or the standard output.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Some of it could not be measured; the table said why.
    #[error("{0} of the measurements could not be made")]
    Incomplete(usize),
}

impl From<tonic::Status> for BenchError {
    fn from(status: tonic::Status) -> Self {
        Self::Call(status.into())
    }
}
