//! A database on a PostgreSQL server, shared by any number of processes.

mod health;
mod pool;
mod session;
mod tls;
pub(crate) mod url;

use std::{sync::Arc, time::Duration};

use sqlx::{ConnectOptions, Connection, PgConnection, postgres::PgSslMode};

use self::health::Health;
pub use self::tls::TlsSettings;
pub(crate) use self::{pool::Pool, session::Session, url::Server};
use crate::{Migrations, OpenError, PostgresSettings, schema::applied};

/// Pools of connections to one database.
#[derive(Clone, Debug)]
pub(crate) struct Postgres {
    pub(crate) writer: Pool,
    pub(crate) reader: Pool,
    /// Connections to a replica, if there is one.
    pub(crate) replica: Option<Pool>,
}

impl Postgres {
    pub(crate) async fn open(
        settings: &PostgresSettings,
        migrations: &Migrations,
    ) -> Result<Self, OpenError> {
        let primary = server(&settings.url, settings)?;
        migrate(&primary, settings, migrations).await?;
        let health = Health::new(&primary.url, &primary.options);
        let replica = match &settings.read_url {
            Some(url) => {
                let replica = server(url, settings)?;
                let health = Health::new(&replica.url, &replica.options);
                Some(reader(&replica, &health, settings).await?)
            }
            None => None,
        };
        let writers = settings.writers.get();
        let writer = Pool::open(primary.options.clone(), writers, &health, settings).await;
        Ok(Self {
            writer: writer.map_err(|error| primary.failed(error))?,
            reader: reader(&primary, &health, settings).await?,
            replica,
        })
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
    let migrated = migrate_on(&mut conn, server, migrations).await;
    if let Err(error) = inspect(&mut conn, server, settings).await {
        tracing::debug!(%error, "server not inspected");
    }
    if let Err(error) = conn.close().await {
        tracing::debug!(%error, "connection that migrated not closed");
    }
    migrated
}

async fn migrate_on(
    conn: &mut PgConnection,
    server: &Server,
    migrations: &Migrations,
) -> Result<(), OpenError> {
    for migrator in migrations.on_postgres() {
        let found = applied::on_postgres(conn, &migrator.table_name).await;
        let found = found.map_err(|source| server.failed(source))?;
        // A newer release may have added to the schema.
        let _newer = applied::compare(&server.url, &migrator, &found)?;
        let migrated = migrator.run_direct(None, conn, false).await;
        migrated.map_err(|source| applied::failed(&server.url, &migrator, source))?;
    }
    Ok(())
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
    connected.map_err(|error| server.failed(error))
}

/// Opens connections that only read.
async fn reader(
    server: &Server,
    health: &Arc<Health>,
    settings: &PostgresSettings,
) -> Result<Pool, OpenError> {
    let options = server.options.clone().options([("default_transaction_read_only", "on")]);
    let pool = Pool::open(options, settings.readers.get(), health, settings).await;
    pool.map_err(|error| server.failed(error))
}

impl Server {
    /// Returns the error of a server that cannot be reached, or refuses the connection.
    fn failed(&self, source: sqlx::Error) -> OpenError {
        OpenError::Server { url: self.url.clone(), source }
    }
}

fn millis(time: Duration) -> String {
    time.as_millis().to_string()
}
