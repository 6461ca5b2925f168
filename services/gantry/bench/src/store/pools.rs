//! Connections without our code, of the same number and settings as a service's.

use std::path::Path;

use sqlx::{
    AssertSqlSafe, Executor, PgConnection, PgPool, SqliteConnection, SqlitePool,
    postgres::{PgConnectOptions, PgPoolOptions, PgSslMode},
    raw_sql,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use uuid::Uuid;

/// Connections of a service: the defaults of its settings.
const SQLITE_READERS: u32 = 4;
const POSTGRES_CONNECTIONS: u32 = 8;

/// Parameter of a statement.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Id(Uuid),
    Number(i64),
    Text(String),
    Bytes(Vec<u8>),
    /// Array on PostgreSQL, JSON on SQLite.
    List(Vec<String>),
}

/// Statement with its parameters.
pub(super) type Bound = (&'static str, Vec<Value>);

/// Pools of one database.
#[derive(Clone, Debug)]
pub(crate) enum Pools {
    Sqlite { writer: SqlitePool, reader: SqlitePool },
    Postgres { writer: PgPool, reader: PgPool },
}

impl Pools {
    /// Opens the pools of a SQLite file.
    pub(crate) async fn sqlite(path: &Path) -> Result<Self, sqlx::Error> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true);
        let pool = || {
            let pool = SqlitePoolOptions::new().test_before_acquire(false);
            pool.idle_timeout(None).max_lifetime(None)
        };
        let writer = pool().max_connections(1).connect_with(options.clone()).await?;
        let reader = pool().max_connections(SQLITE_READERS);
        let reader = reader.connect_with(options.read_only(true)).await?;
        Ok(Self::Sqlite { writer, reader })
    }

    /// Opens the pools of a PostgreSQL database.
    pub(crate) async fn postgres(url: &str) -> Result<Self, sqlx::Error> {
        let options: PgConnectOptions = url.parse()?;
        let options = options.ssl_mode(PgSslMode::Disable);
        let pool = || {
            let pool = PgPoolOptions::new().max_connections(POSTGRES_CONNECTIONS);
            pool.test_before_acquire(false)
        };
        let writer = pool().connect_with(options.clone()).await?;
        let reader = options.options([("default_transaction_read_only", "on")]);
        let reader = pool().connect_with(reader).await?;
        Ok(Self::Postgres { writer, reader })
    }

    /// Runs statements one after another on a connection that reads.
    pub(super) async fn read(&self, statements: Vec<Bound>) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite { reader, .. } => {
                let mut conn = reader.acquire().await?;
                for (text, values) in statements {
                    on_sqlite(&mut conn, text, values).await?;
                }
            }
            Self::Postgres { reader, .. } => {
                let mut conn = reader.acquire().await?;
                for (text, values) in statements {
                    on_postgres(&mut conn, text, values).await?;
                }
            }
        }
        Ok(())
    }

    /// Runs statements as one transaction. `begin` begins it on PostgreSQL.
    pub(super) async fn unit(
        &self,
        begin: &'static str,
        statements: Vec<Bound>,
    ) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite { writer, .. } => {
                let mut unit = writer.begin_with("BEGIN IMMEDIATE").await?;
                for (text, values) in statements {
                    on_sqlite(&mut unit, text, values).await?;
                }
                unit.commit().await?;
            }
            Self::Postgres { writer, .. } => {
                let mut conn = writer.acquire().await?;
                conn.execute(raw_sql(begin)).await?;
                for (text, values) in statements {
                    on_postgres(&mut conn, text, values).await?;
                }
                conn.execute(raw_sql("COMMIT")).await?;
            }
        }
        Ok(())
    }

    /// Runs a text without parameters.
    pub(super) async fn run(&self, text: String) -> Result<(), sqlx::Error> {
        // Made of constants and numbers.
        let text = raw_sql(AssertSqlSafe(text));
        match self {
            Self::Sqlite { writer, .. } => writer.execute(text).await.map(drop),
            Self::Postgres { writer, .. } => writer.execute(text).await.map(drop),
        }
    }

    pub(super) async fn close(&self) {
        match self {
            // The last to close folds the write-ahead log into the file, which a reader cannot.
            Self::Sqlite { writer, reader } => {
                reader.close().await;
                writer.close().await;
            }
            Self::Postgres { writer, reader } => {
                reader.close().await;
                writer.close().await;
            }
        }
    }
}

async fn on_sqlite(
    conn: &mut SqliteConnection,
    text: &'static str,
    values: Vec<Value>,
) -> Result<(), sqlx::Error> {
    let mut query = sqlx::query(text);
    for value in values {
        query = match value {
            Value::Id(id) => query.bind(id),
            Value::Number(number) => query.bind(number),
            Value::Text(text) => query.bind(text),
            Value::Bytes(bytes) => query.bind(bytes),
            Value::List(list) => query.bind(serde_json::json!(list).to_string()),
        };
    }
    query.fetch_all(conn).await.map(drop)
}

async fn on_postgres(
    conn: &mut PgConnection,
    text: &'static str,
    values: Vec<Value>,
) -> Result<(), sqlx::Error> {
    let mut query = sqlx::query(text);
    for value in values {
        query = match value {
            Value::Id(id) => query.bind(id),
            Value::Number(number) => query.bind(number),
            Value::Text(text) => query.bind(text),
            Value::Bytes(bytes) => query.bind(bytes),
            Value::List(list) => query.bind(list),
        };
    }
    query.fetch_all(conn).await.map(drop)
}
