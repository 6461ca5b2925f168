//! Database of a service and its connections.

use std::{
    num::NonZeroU32,
    path::{Path, PathBuf},
    time::Duration,
};

use derive_setters::Setters;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{TlsSettings, postgres::Server, sqlite::path};

/// Section `database` of a service's settings.
///
/// ```toml
/// [database]
/// kind = "sqlite"
///
/// [database.sqlite]
/// path = ".gantry/user.db"
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema, Setters)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
#[setters(strip_option)]
pub struct Settings {
    /// Engine in use.
    pub kind: Kind,
    /// Only for `sqlite`: file and connections.
    pub sqlite: SqliteSettings,
    /// Only for `postgres`: server and connections.
    pub postgres: PostgresSettings,
}

/// Engine of a database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Kind {
    /// A file of one process.
    #[default]
    Sqlite,
    /// A database on a server, for any number of processes.
    Postgres,
}

/// An unusable setting.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {why}")]
pub struct SettingsError {
    /// Key of the setting, within the section.
    pub key: &'static str,
    /// Reason why the value cannot be used, and the expected value.
    pub why: String,
}

impl Settings {
    /// Returns the defaults for a SQLite file.
    pub fn sqlite_file(path: impl AsRef<Path>) -> Self {
        let sqlite = SqliteSettings { path: path.as_ref().to_owned(), ..SqliteSettings::default() };
        Self { kind: Kind::Sqlite, sqlite, ..Self::default() }
    }

    /// Returns the defaults for a PostgreSQL database, such as `postgres://USER@HOST:PORT/DATABASE`.
    pub fn postgres_url(url: impl Into<String>) -> Self {
        let postgres = PostgresSettings { url: url.into(), ..PostgresSettings::default() };
        Self { kind: Kind::Postgres, postgres, ..Self::default() }
    }

    /// Returns all problems of the settings of the engine in use.
    pub fn problems(&self) -> Vec<SettingsError> {
        match self.kind {
            // Its path is checked as it is read.
            Kind::Sqlite => Vec::new(),
            Kind::Postgres => self.postgres.problems(),
        }
    }
}

/// File of a SQLite database and its connections.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema, Setters)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
#[setters(strip_option)]
pub struct SqliteSettings {
    /// The database file; its folder is made if it is missing. No URL and no name of a database in
    /// memory.
    #[serde(deserialize_with = "path::deserialize")]
    #[schemars(with = "PathBuf")]
    #[setters(into)]
    pub path: PathBuf,
    /// Connections that read.
    pub readers: NonZeroU32,
    /// Time that SQLite waits for a lock of another connection.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub busy_timeout: Duration,
    /// Time that a caller waits for a connection.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub acquire_timeout: Duration,
}

impl Default for SqliteSettings {
    fn default() -> Self {
        Self {
            path: PathBuf::new(),
            readers: NonZeroU32::MIN.saturating_add(3),
            busy_timeout: Duration::from_secs(5),
            acquire_timeout: Duration::from_secs(5),
        }
    }
}

/// PostgreSQL database and its connections.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema, Setters)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
#[setters(strip_option)]
pub struct PostgresSettings {
    /// Database of the primary: `postgres://USER@HOST:PORT/DATABASE`, without a password. A folder of
    /// a Unix socket stands in place of the host with `%2F` for each slash.
    #[serde(deserialize_with = "crate::postgres::url::deserialize")]
    #[schemars(with = "String")]
    #[setters(into)]
    pub url: String,
    /// The same database on a replica, for lists and searches. Default: the primary answers them.
    #[serde(deserialize_with = "crate::postgres::url::deserialize_option")]
    #[schemars(with = "Option<String>")]
    #[setters(into)]
    pub read_url: Option<String>,
    /// File of the user's password. Default: no password is sent.
    pub password_file: Option<PathBuf>,
    /// TLS to the server. Default: none.
    pub tls: Option<TlsSettings>,
    /// Allows a connection without TLS to a server on another machine; default false.
    pub allow_plaintext: bool,
    /// Connections that write.
    pub writers: NonZeroU32,
    /// Connections that read; with `read_url` as many again to the replica.
    pub readers: NonZeroU32,
    /// Age at which a connection is replaced.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub max_lifetime: Duration,
    /// Time after which an unused connection is closed.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub idle_timeout: Duration,
    /// Time that a caller waits for a connection.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub acquire_timeout: Duration,
    /// Time after which the server ends a statement.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub statement_timeout: Duration,
    /// Time that a statement waits for a lock. Also the time that a start waits for another process
    /// to migrate the schema.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub lock_timeout: Duration,
}

impl Default for PostgresSettings {
    fn default() -> Self {
        let connections = NonZeroU32::MIN.saturating_add(7);
        Self {
            url: String::new(),
            read_url: None,
            password_file: None,
            tls: None,
            allow_plaintext: false,
            writers: connections,
            readers: connections,
            max_lifetime: Duration::from_secs(60 * 60),
            idle_timeout: Duration::from_secs(15 * 60),
            acquire_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(30),
            lock_timeout: Duration::from_secs(5),
        }
    }
}

impl PostgresSettings {
    /// Returns true if the server is reached through a Unix socket, which knows the user.
    pub fn has_socket(&self) -> bool {
        Server::parse(&self.url).is_ok_and(|server| server.options.get_socket().is_some())
    }

    fn problems(&self) -> Vec<SettingsError> {
        let urls =
            [("postgres.url", Some(&self.url)), ("postgres.read_url", self.read_url.as_ref())];
        let problems = urls.into_iter().filter_map(|(key, url)| {
            let why = match Server::parse(url?) {
                Err(why) => format!("{}, and {why}", crate::postgres::url::EXPECTED),
                Ok(server) if !server.is_local() && self.tls.is_none() && !self.allow_plaintext => {
                    "its server is on another machine: set postgres.tls, or \
                     postgres.allow_plaintext = true"
                        .to_owned()
                }
                Ok(_) => return None,
            };
            Some(SettingsError { key, why })
        });
        problems.collect()
    }
}
