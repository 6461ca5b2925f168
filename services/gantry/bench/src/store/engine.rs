//! Databases of a scenario.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, Executor, postgres::PgConnectOptions, raw_sql,
};
use tempfile::TempDir;

use super::{pools::Pools, seed::Seed, server::Server};
use crate::{
    error::BenchError,
    up::{Up, data},
};
use gantry::suite::{Row, SERVICES, USER};

/// Engine of a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Engine {
    Sqlite,
    Postgres,
}

impl Engine {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        }
    }
}

/// Place of a scenario's databases. Removed when dropped.
#[derive(Debug)]
pub(super) struct Store {
    engine: Engine,
    folder: TempDir,
    pub(super) server: Option<Server>,
}

/// Databases of a suite, one for each service.
#[derive(Clone, Debug)]
pub(super) struct Set {
    pub(super) engine: Engine,
    folder: PathBuf,
    /// URL on PostgreSQL, with SERVICE in place of a service's name.
    url: String,
    /// Number of connections of each pool on PostgreSQL. None: the default.
    connections: Option<u32>,
}

impl Store {
    pub(super) async fn start(engine: Engine) -> Result<Self, BenchError> {
        let server = match engine {
            Engine::Sqlite => None,
            Engine::Postgres => Some(Server::start().await?),
        };
        let folder = tempfile::tempdir().map_err(BenchError::Replica)?;
        Ok(Self { engine, folder, server })
    }

    /// Makes the databases of a suite, with stored rows.
    pub(super) async fn make(&self, name: &str, seed: Seed) -> Result<Set, BenchError> {
        let set = self.set(name)?;
        self.create(name, None).await?;
        // Its start makes the schema and the keys.
        set.up("").await?.stop().await?;
        seed.write(&set).await?;
        Ok(set)
    }

    /// Copies the databases of a suite that is not running.
    pub(super) async fn copy(&self, from: &str, to: &str) -> Result<Set, BenchError> {
        let (source, set) = (self.set(from)?, self.set(to)?);
        self.create(to, Some(from)).await?;
        copy(&data(&source.folder), &data(&set.folder)).map_err(BenchError::Replica)?;
        Ok(set)
    }

    /// Returns the databases of this name, with a folder of their own.
    fn set(&self, name: &str) -> Result<Set, BenchError> {
        let folder = self.folder.path().join(name);
        fs::create_dir_all(&folder).map_err(BenchError::Replica)?;
        let url = self.server.as_ref().map(|server| server.url(&format!("{name}_SERVICE")));
        Ok(Set { engine: self.engine, folder, url: url.unwrap_or_default(), connections: None })
    }

    async fn create(&self, name: &str, template: Option<&str>) -> Result<(), BenchError> {
        let Some(server) = &self.server else { return Ok(()) };
        let options: PgConnectOptions = server.url("postgres").parse()?;
        let mut conn = options.connect().await?;
        for service in SERVICES {
            let service = service.name;
            let from = template.map(|from| format!(" TEMPLATE {from}_{service}"));
            let create = format!("CREATE DATABASE {name}_{service}{}", from.unwrap_or_default());
            // Names of this benchmark and of the services.
            conn.execute(raw_sql(AssertSqlSafe(create))).await?;
        }
        conn.close().await?;
        Ok(())
    }
}

/// Copies a folder.
fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => copy(&entry.path(), &target)?,
            false => fs::copy(entry.path(), target).map(drop)?,
        }
    }
    Ok(())
}

impl Set {
    /// Returns the same databases for another process, with the same keys. Only on PostgreSQL.
    pub(super) fn shared(&self, name: &str) -> Result<Self, BenchError> {
        let folder = self.folder.join(name);
        copy(&data(&self.folder), &data(&folder)).map_err(BenchError::Replica)?;
        Ok(Self { folder, ..self.clone() })
    }

    /// Returns the same databases at another address of the server, for pools of this size.
    pub(super) fn behind(&self, address: SocketAddr, connections: u32) -> Self {
        let database = self.url.rsplit('/').next().unwrap_or_default();
        let url = format!("postgres://gantry@{address}/{database}");
        Self { url, connections: Some(connections), ..self.clone() }
    }

    /// Starts a suite on the databases. Its callers have no rate limits. `settings` are added.
    pub(super) async fn up(&self, settings: &str) -> Result<Up, BenchError> {
        const NO_LIMIT: &str = "{ per_second = 1000000.0, burst = 1000000 }";
        let mut all = settings.to_owned();
        for service in SERVICES {
            let service = service.name;
            all += &format!("\n[{service}.server.limits]\nper_user = {NO_LIMIT}\n");
            all += &format!("classes = {{ orders = {NO_LIMIT}, lists = {NO_LIMIT} }}\n");
            if self.engine == Engine::Postgres {
                let url = self.url.replace("SERVICE", service);
                all += &format!("[{service}.database]\nkind = \"postgres\"\n");
                all += &format!("[{service}.database.postgres]\nurl = \"{url}\"\n");
                if let Some(number) = self.connections {
                    all += &format!("writers = {number}\nreaders = {number}\n");
                    // Callers wait long for few connections.
                    all += "acquire_timeout = \"30s\"\n";
                }
            }
        }
        Up::start(&self.folder, &all).await
    }

    /// Connects to the database of a service.
    pub(super) async fn pools(&self, service: Row) -> Result<Pools, BenchError> {
        let database = self.database(service);
        Ok(match self.engine {
            Engine::Sqlite => Pools::sqlite(Path::new(&database)).await?,
            Engine::Postgres => Pools::postgres(&database).await?,
        })
    }

    /// Returns the database of the users: a file or a URL.
    pub(super) fn users(&self) -> String {
        self.database(USER)
    }

    fn database(&self, service: Row) -> String {
        match self.engine {
            Engine::Sqlite => {
                data(&self.folder).join(format!("{}.db", service.name)).display().to_string()
            }
            Engine::Postgres => self.url.replace("SERVICE", service.name),
        }
    }

    pub(super) fn keys(&self) -> PathBuf {
        data(&self.folder).join("keys")
    }
}
