//! Errors of a benchmark.

use std::{io, path::PathBuf};

/// Reason for a missing measurement.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BenchError {
    /// A replica did not start or did not answer on its pipes.
    #[error("a replica: {0}")]
    Replica(#[source] io::Error),
    /// A replica ended or sent an unknown line.
    #[error("unexpected line of a replica: {0:?}")]
    Nonsense(String),
    /// The bare connection of a baseline failed.
    #[error("a bare connection: {0}")]
    Bare(#[from] hyper::Error),
    /// The channel of a baseline failed.
    #[error("a tonic channel: {0}")]
    Tonic(#[from] tonic::transport::Error),
    /// Our channel failed.
    #[error(transparent)]
    Channel(#[from] gantry_client::BuildError),
    /// The registry of the replicas failed.
    #[error(transparent)]
    Register(#[from] gantry_discovery::RegisterError),
    /// The settings of the registry are invalid.
    #[error(transparent)]
    Registry(#[from] gantry_discovery::SettingsError),
    /// The server stack of a replica cannot be built.
    #[error(transparent)]
    Server(#[from] gantry_server::BuildError),
    /// A replica cannot serve.
    #[error(transparent)]
    Serve(#[from] gantry_server::ServeError),
    /// The spans of a measured process cannot be set up.
    #[error(transparent)]
    Telemetry(#[from] gantry_telemetry::InitError),
    /// The clients of the suite cannot connect.
    #[error(transparent)]
    Clients(#[from] gantry::demo::clients::ConnectError),
    /// A baseline on the database failed.
    #[error("a statement of a baseline: {0}")]
    Sql(#[from] sqlx::Error),
    /// A key of the suite cannot be read.
    #[error(transparent)]
    Key(#[from] gantry_identity::KeyError),
    /// The statements of a call are not those that its baseline replays.
    #[error("{call} has other statements than its baseline: {difference}")]
    Drift {
        /// Name of the call.
        call: &'static str,
        /// Statements and their numbers.
        difference: String,
    },
    /// Calls failed in a scenario that allows no failure.
    #[error("a call failed in a scenario that allows no failure: {0}")]
    Call(Box<tonic::Status>),
    /// An expected state was not reached in time.
    #[error("{0} within {1:?}")]
    Late(&'static str, std::time::Duration),
    /// A tool is not installed.
    #[error("{tool} is missing: {install}")]
    Missing {
        /// Name of the tool.
        tool: &'static str,
        /// Command that installs it.
        install: &'static str,
    },
    /// A tool failed.
    #[error("{tool}: {why}")]
    Tool {
        /// Name of the tool.
        tool: &'static str,
        /// Its message.
        why: String,
    },
    /// A file or the standard output cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// Name of the file.
        path: PathBuf,
        /// Error of the operating system.
        source: io::Error,
    },
    /// Some rows are missing; the table has the causes.
    #[error("{0} of the measurements could not be made")]
    Incomplete(usize),
}

impl From<tonic::Status> for BenchError {
    fn from(status: tonic::Status) -> Self {
        Self::Call(status.into())
    }
}
