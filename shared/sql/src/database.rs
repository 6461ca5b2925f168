//! An open database.

use std::{io, sync::Arc};

use gantry_resilience::deadline::Deadline;
use opentelemetry::metrics::Meter;
use sqlx::pool::PoolConnection;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use crate::{
    Connection, Kind, Migrations, OpenError, Settings,
    connection::{Boxed, Isolation},
    deadline::{current, within},
    error::is_unavailable,
    measure::{Measures, Role, timed},
    postgres::{Postgres, Session},
    probe::Probe,
    sqlite::{Sqlite, UnitDeadline},
};

/// An open database. Clones share it.
#[derive(Clone, Debug)]
pub struct Database {
    pub(crate) engine: Engine,
    pub(crate) probe: Probe,
    /// Owns the units of work that have begun.
    pub(crate) units: TaskTracker,
    pub(crate) measures: Option<Arc<Measures>>,
    /// Number of units of this process that committed events to the outbox.
    pub(crate) outbox_writes: watch::Sender<u64>,
}

#[derive(Clone, Debug)]
pub(crate) enum Engine {
    Sqlite(Sqlite),
    Postgres(Postgres),
}

/// A connection that writes, before its unit has begun.
pub(crate) enum Writer {
    Sqlite(PoolConnection<sqlx::Sqlite>, UnitDeadline),
    Postgres(Session),
}

impl Writer {
    /// Begins a unit of work.
    pub(crate) async fn begin(
        self,
        isolation: Isolation,
        deadline: Option<Deadline>,
    ) -> Result<Connection, sqlx::Error> {
        match self {
            Self::Sqlite(conn, unit) => Connection::begin_on_sqlite(conn, unit, deadline).await,
            Self::Postgres(mut session) => {
                session.begin(isolation).await?;
                Ok(session.into())
            }
        }
    }
}

impl Database {
    /// Opens the database and brings its schema up to date.
    ///
    /// A SQLite file is opened for this process alone. A PostgreSQL database is shared: a schema that
    /// a newer release migrated is left as it is.
    ///
    /// # Errors
    /// [`OpenError`] if the settings lead to no database that can be used, or a migration fails; a
    /// migration that fails changes nothing.
    pub async fn open(settings: &Settings, migrations: &Migrations) -> Result<Self, OpenError> {
        // Boxed, so that no type of sqlx is a part of what a caller spawns.
        let open: Boxed<'_, Result<Engine, OpenError>> = match settings.kind {
            Kind::Sqlite => Box::pin(async {
                Sqlite::open(&settings.sqlite, migrations).await.map(Engine::Sqlite)
            }),
            Kind::Postgres => Box::pin(async {
                let opened = Postgres::open(&settings.postgres, migrations);
                opened.await.map(Engine::Postgres)
            }),
        };
        Ok(Self {
            engine: open.await?,
            probe: Probe::default(),
            units: TaskTracker::new(),
            measures: None,
            outbox_writes: watch::Sender::default(),
        })
    }

    /// Returns the database with metrics of its connections and statements, as those of `service`.
    pub fn measured(mut self, meter: &Meter, service: &str) -> Self {
        self.measures = Some(Measures::new(meter, service, &self.engine));
        self
    }

    /// Measures the wait for a connection.
    async fn wait<T>(
        &self,
        role: Role,
        connection: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, sqlx::Error> {
        let measures = self.measures.as_ref();
        timed(measures.and_then(|measures| measures.wait(role)), connection).await
    }

    /// Returns a connection for queries that must see every write that was acknowledged before. The
    /// database refuses a write on it, and ends its statements at the deadline of the call of this
    /// task.
    ///
    /// # Errors
    /// Error of the database; [`sqlx::Error::PoolTimedOut`] if no connection becomes free in time.
    pub async fn reader(&self) -> Result<Connection, sqlx::Error> {
        let reader = async {
            match &self.engine {
                Engine::Sqlite(sqlite) => sqlite.read(current()).await,
                Engine::Postgres(postgres) => postgres.reader.read(current()).await,
            }
        };
        Ok(self.wait(Role::Reader, reader).await?.measured(self.measures.as_ref()))
    }

    /// As [`reader`](Self::reader), for queries whose answer may be a little old: lists and searches.
    /// With `postgres.read_url` they run on a replica, and on the primary while that is unreachable.
    ///
    /// # Errors
    /// As [`reader`](Self::reader).
    pub async fn replica(&self) -> Result<Connection, sqlx::Error> {
        if let Engine::Postgres(Postgres { replica: Some(replica), .. }) = &self.engine {
            match self.wait(Role::Replica, replica.read(current())).await {
                // The breaker of the replica reports this once, and soon makes it cost no time.
                Err(error) if is_unavailable(&error) => {
                    tracing::debug!(%error, "the primary answers instead of the replica");
                }
                conn => return Ok(conn?.measured(self.measures.as_ref())),
            }
        }
        self.reader().await
    }

    /// Returns a connection that writes.
    pub(crate) async fn writer(&self, deadline: Option<Deadline>) -> Result<Writer, sqlx::Error> {
        match &self.engine {
            Engine::Sqlite(sqlite) => {
                let conn =
                    self.wait(Role::Writer, within(deadline, sqlite.writer.acquire())).await?;
                // A commit to a removed file would succeed, and be lost.
                sqlite.files.present().map_err(|gone| sqlx::Error::Io(io::Error::other(gone)))?;
                Ok(Writer::Sqlite(conn, sqlite.unit_deadline.clone()))
            }
            Engine::Postgres(postgres) => {
                let session = self.wait(Role::Writer, postgres.writer.session(deadline)).await;
                session.map(Writer::Postgres).inspect_err(|error| self.probe.failed(error))
            }
        }
    }

    /// Returns the number of connections that write.
    pub(crate) fn connections(&self) -> u32 {
        match &self.engine {
            Engine::Sqlite(_) => 1,
            Engine::Postgres(postgres) => postgres.writer.size(),
        }
    }

    /// Returns true if other processes may have the database open at the same time.
    pub fn is_shared(&self) -> bool {
        matches!(self.engine, Engine::Postgres(_))
    }

    /// Waits for the units of work that have begun, then closes every connection
    /// and lets another process have a SQLite file. Later uses of any clone fail.
    pub async fn close(&self) {
        // A connection that writes comes back when its unit is done.
        match &self.engine {
            Engine::Sqlite(sqlite) => sqlite.close_pools().await,
            Engine::Postgres(postgres) => postgres.close().await,
        }
        self.units.close();
        self.units.wait().await;
        if let Engine::Sqlite(sqlite) = &self.engine {
            sqlite.unlock();
        }
    }
}
