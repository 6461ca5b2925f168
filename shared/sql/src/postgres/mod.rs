//! A database on a PostgreSQL server, shared by any number of processes.

mod session;
mod tls;
pub(crate) mod url;

use std::time::Duration;

use gantry_resilience::deadline::Deadline;
use sqlx::{
    ConnectOptions, Connection as _, PgConnection, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions, PgSslMode},
};

pub use self::tls::TlsSettings;
pub(crate) use self::{session::Session, url::Server};
use crate::{
    Connection, Migrations, OpenError, PostgresSettings, deadline::within, error::is_stale,
};

/// Pools of connections to one database.
#[derive(Clone, Debug)]
pub(crate) struct Postgres {
    pub(crate) writer: PgPool,
    pub(crate) reader: PgPool,
    /// Connections to a replica, if there is one.
    pub(crate) replica: Option<PgPool>,
    /// Time after which the server ends a statement.
    statement_timeout: Duration,
}

impl Postgres {
    pub(crate) async fn open(
        settings: &PostgresSettings,
        migrations: &Migrations,
    ) -> Result<Self, OpenError> {
        let primary = server(&settings.url, settings)?;
        migrate(&primary, settings, migrations).await?;
        let replica = match &settings.read_url {
            Some(url) => Some(reader(&server(url, settings)?, settings).await?),
            None => None,
        };
        Ok(Self {
            writer: pool(&primary, primary.options.clone(), settings.writers.get(), settings)
                .await?,
            reader: reader(&primary, settings).await?,
            replica,
            statement_timeout: settings.statement_timeout,
        })
    }

    /// Returns a connection of the pool, of which nothing is known yet: the server may have closed it.
    pub(crate) async fn session(
        &self,
        pool: &PgPool,
        deadline: Option<Deadline>,
    ) -> Result<Session, sqlx::Error> {
        let conn = within(deadline, pool.acquire()).await?;
        Ok(Session::new(conn, deadline, self.statement_timeout))
    }

    /// Returns a connection of the pool that reads until the deadline.
    ///
    /// Connections that the server has closed are skipped: nothing was executed on them.
    pub(crate) async fn read(
        &self,
        pool: &PgPool,
        deadline: Option<Deadline>,
    ) -> Result<Connection, sqlx::Error> {
        let mut lost = 0;
        loop {
            let mut session = self.session(pool, deadline).await?;
            match session.begin_reading().await {
                Ok(()) => return Ok(session.into()),
                Err(error) if is_stale(&error) && lost < pool.options().get_max_connections() => {
                    lost += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }

    pub(crate) async fn close(&self) {
        if let Some(replica) = &self.replica {
            replica.close().await;
        }
        self.reader.close().await;
        self.writer.close().await;
    }
}

/// Reads the URL of a server and adds how to connect to it.
pub(crate) fn server(url: &str, settings: &PostgresSettings) -> Result<Server, OpenError> {
    let invalid = |why| OpenError::NoServer { why };
    let server = Server::parse(url).map_err(invalid)?;
    let mut options = server.options.application_name("gantry").options([
        ("statement_timeout", millis(settings.statement_timeout)),
        ("lock_timeout", millis(settings.lock_timeout)),
    ]);
    options = match &settings.tls {
        None => options.ssl_mode(PgSslMode::Disable),
        Some(tls) => tls.on(options)?,
    };
    if let Some(path) = &settings.password_file {
        let failed = |source| OpenError::PasswordFile { path: path.clone(), source };
        let text = gantry_files::read_secret(path).map_err(failed)?;
        options = options.password(gantry_files::value(&text).map_err(failed)?);
    }
    Ok(Server { url: server.url, options })
}

/// Brings the schema up to date, on a connection of its own: a lock that a failed migration leaves
/// ends with it.
async fn migrate(
    server: &Server,
    settings: &PostgresSettings,
    migrations: &Migrations,
) -> Result<(), OpenError> {
    let mut conn = connect_to_migrate(server, settings).await?;
    let mut migrated = Ok(());
    for migrator in migrations.on_postgres() {
        if migrated.is_ok() {
            migrated = migrator.run_direct(None, &mut conn, false).await;
        }
    }
    if let Err(error) = inspect(&mut conn, server, settings).await {
        tracing::debug!(%error, "server not inspected");
    }
    if let Err(error) = conn.close().await {
        tracing::debug!(%error, "connection that migrated not closed");
    }
    migrated.map_err(|source| OpenError::Migration { database: server.url.clone(), source })
}

/// Warns of a server that takes fewer connections than the pools have, or that loses acknowledged
/// writes in a crash.
async fn inspect(
    conn: &mut PgConnection,
    server: &Server,
    settings: &PostgresSettings,
) -> Result<(), sqlx::Error> {
    let (free, is_durable): (i64, bool) = sqlx::query_as(
        "SELECT current_setting('max_connections')::bigint
                - current_setting('superuser_reserved_connections')::bigint
                - (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'),
                current_setting('fsync') = 'on' AND current_setting('synchronous_commit') <> 'off'",
    )
    .fetch_one(conn)
    .await?;
    let wanted = i64::from(settings.writers.get()) + i64::from(settings.readers.get());
    if free < wanted {
        tracing::warn!(url = server.url, free, wanted, "the server has too few connections left");
    }
    if !is_durable {
        tracing::warn!(
            url = server.url,
            "the server may lose acknowledged writes in a crash: set fsync and synchronous_commit"
        );
    }
    Ok(())
}

/// Connects for migrations, which may take longer than a statement of a service.
pub(crate) async fn connect_to_migrate(
    server: &Server,
    settings: &PostgresSettings,
) -> Result<PgConnection, OpenError> {
    let options = server.options.clone().options([("statement_timeout", "0")]);
    let connected = match tokio::time::timeout(settings.acquire_timeout, options.connect()).await {
        Ok(connected) => connected,
        Err(_elapsed) => Err(sqlx::Error::PoolTimedOut),
    };
    connected.map_err(|source| OpenError::Server { url: server.url.clone(), source })
}

/// Opens connections that only read.
async fn reader(server: &Server, settings: &PostgresSettings) -> Result<PgPool, OpenError> {
    let options = server.options.clone().options([("default_transaction_read_only", "on")]);
    pool(server, options, settings.readers.get(), settings).await
}

async fn pool(
    server: &Server,
    options: PgConnectOptions,
    connections: u32,
    settings: &PostgresSettings,
) -> Result<PgPool, OpenError> {
    let pool = PgPoolOptions::new()
        .max_connections(connections)
        // The first statement of each use shows it, without a round trip of its own.
        .test_before_acquire(false)
        .acquire_timeout(settings.acquire_timeout)
        .idle_timeout(settings.idle_timeout)
        .max_lifetime(settings.max_lifetime);
    let connected = pool.connect_with(options).await;
    connected.map_err(|source| OpenError::Server { url: server.url.clone(), source })
}

fn millis(time: Duration) -> String {
    time.as_millis().to_string()
}
