//! Reasons for which a database is not opened.

use std::{io, path::PathBuf};

use gantry_tls::InvalidTls;
use sqlx::migrate::MigrateError;

/// Reason for which a database was not opened. Each names its path or URL.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The path names no file.
    #[error("database path {path:?}: {why}")]
    NoFile {
        /// The path.
        path: PathBuf,
        /// Fault of it.
        why: &'static str,
    },
    /// The path, or its folder, is something else than it must be.
    #[error("{} is {is}, not {expected}", path.display())]
    WrongKind {
        /// The path.
        path: PathBuf,
        /// `a file`, `a folder`, `a symbolic link` or `a device or a pipe`.
        is: &'static str,
        /// Expected kind.
        expected: &'static str,
    },
    /// The folder could not be made.
    #[error("cannot make the folder {}: {source}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
    /// Nothing can be written in the folder.
    #[error("cannot write in the folder {}: {source}", path.display())]
    Unwritable {
        /// The folder.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
    /// The file, or one of those beside it, is not private or cannot be opened.
    #[error("cannot use the database file {}: {source}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
    /// Another process has the database open.
    #[error("the database {} is in use by {}", path.display(), holder(*by))]
    InUse {
        /// The database.
        path: PathBuf,
        /// The process, where it is known.
        by: Option<u32>,
    },
    /// The file is not a SQLite database.
    #[error("{} is not a SQLite database", path.display())]
    NotADatabase {
        /// The file.
        path: PathBuf,
    },
    /// The database was written by a version of the service that this one does not know.
    #[error(
        "the database {} was migrated to version {version} by a newer release: start that one",
        path.display()
    )]
    Newer {
        /// The database.
        path: PathBuf,
        /// The newest migration; it is not known here.
        version: i64,
    },
    /// The schema was made by another build, whose migrations are not an earlier or a later state of this
    /// one's.
    #[error(
        "the database {database} was made by another build: migration {version} of its tables \
         \"{tables}\" {why}. Start that build, or name an empty database: this one cannot be converted"
    )]
    Foreign {
        /// The database: path or URL.
        database: String,
        /// The tables, as [`Step::tables`](crate::schema::Step::tables) names them.
        tables: &'static str,
        /// The migration that differs.
        version: i64,
        /// Difference.
        why: &'static str,
    },
    /// A migration failed.
    #[error("cannot migrate the database {database}: {source}")]
    Migration {
        /// The database: path or URL.
        database: String,
        /// Cause.
        source: MigrateError,
    },
    /// SQLite refused.
    #[error("cannot open the database {}: {source}", path.display())]
    Database {
        /// The database.
        path: PathBuf,
        /// Cause.
        source: sqlx::Error,
    },
    /// The URL names no database on a server.
    #[error("database.postgres.url: {}, and {why}", crate::postgres::url::EXPECTED)]
    NoServer {
        /// Fault of it.
        why: &'static str,
    },
    /// The password cannot be read.
    #[error("cannot read the password of the database from {}: {source}", path.display())]
    PasswordFile {
        /// The file.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
    /// A file of the settings for TLS cannot be used.
    #[error("database.postgres.tls.{0}")]
    Tls(#[from] InvalidTls),
    /// The server cannot be reached, or refuses the connection.
    #[error("cannot open the database {url}: {}", reason(source))]
    Server {
        /// The database, without a password.
        url: String,
        /// Cause.
        source: sqlx::Error,
    },
}

/// Returns the server's own words, without sqlx's additions to them.
fn reason(error: &sqlx::Error) -> String {
    error.as_database_error().map_or_else(|| error.to_string(), |error| error.message().to_owned())
}

fn holder(by: Option<u32>) -> String {
    match by {
        Some(id) => format!("process {id}"),
        None => "another process".to_owned(),
    }
}
