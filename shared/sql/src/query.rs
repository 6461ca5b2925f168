//! Statements: one text for both engines.

use std::{borrow::Cow, sync::Arc};

use sqlx::{
    AssertSqlSafe, Encode, FromRow, SqliteConnection, Type,
    postgres::{PgArguments, PgRow, Postgres},
    query::Query as Prepared,
    sqlite::{Sqlite, SqliteArguments, SqliteRow},
};

use crate::{
    connection::State,
    measure::{Timed, timed},
    postgres::Session,
};

/// Text of the database's clock in a statement, as [`StoredTime`](crate::StoredTime) stores it: the
/// time at which the unit began, on SQLite that of the statement.
macro_rules! clock {
    () => {
        "(extract(epoch FROM now()) * 1000000)::bigint"
    };
}

pub(crate) use clock;

/// Text of a query for pairs of a text and a number, bound as `$1`: the JSON list of lists that
/// [`serde_json`] makes of `Vec<(String, i64)>`.
macro_rules! pairs {
    () => {
        "SELECT pair ->> 0, CAST(pair ->> 1 AS BIGINT)
           FROM jsonb_array_elements(CAST($1 AS JSONB)) AS pairs (pair)"
    };
}

pub(crate) use pairs;

/// A value that both engines store.
///
/// `u32` and `u64` are none: PostgreSQL has no unsigned integers, so bind an `i64`.
pub trait Value:
    for<'q> Encode<'q, Sqlite> + Type<Sqlite> + for<'q> Encode<'q, Postgres> + Type<Postgres> + Send
{
}

impl<T> Value for T where
    T: for<'q> Encode<'q, Sqlite>
        + Type<Sqlite>
        + for<'q> Encode<'q, Postgres>
        + Type<Postgres>
        + Send
{
}

/// A row that both engines return: a tuple, or a struct that derives [`sqlx::FromRow`].
pub trait Row: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin {}

impl<T> Row for T where T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin
{}

/// A statement with its parameters, made by [`Connection::query`](crate::Connection::query).
#[must_use = "a statement does nothing until it is executed"]
pub struct Query<'c> {
    engine: Engine<'c>,
    state: &'c mut State,
    measured: Option<Arc<Timed>>,
}

enum Engine<'c> {
    Sqlite(&'c mut SqliteConnection, Prepared<'static, Sqlite, SqliteArguments>),
    Postgres(&'c mut Session, Prepared<'static, Postgres, PgArguments>),
}

/// Runs one of sqlx's methods on the statement and notes how it ended.
macro_rules! run {
    ($query:ident.$method:ident()) => {
        match $query.engine {
            Engine::Sqlite(conn, query) => run!(@ $query, Sqlite, Box::pin(query.$method(conn))),
            Engine::Postgres(session, query) => {
                let statement = session.run(move |conn| Box::pin(query.$method(conn)));
                run!(@ $query, Postgres, Box::pin(statement))
            }
        }
    };
    (@ $query:ident, $engine:ident, $statement:expr) => {{
        let running = $query.measured.as_ref().map(Timed::start);
        Ended::$engine(timed(running, $query.state.watch($statement)).await?)
    }};
}

/// Result of a statement.
enum Ended<S, P> {
    Sqlite(S),
    Postgres(P),
}

impl<'c> Query<'c> {
    pub(crate) fn on_sqlite(
        conn: &'c mut SqliteConnection,
        text: &'static str,
        state: &'c mut State,
    ) -> Self {
        let query = match for_sqlite(text) {
            Cow::Borrowed(text) => sqlx::query(text),
            // Made of a constant: no value is in it.
            Cow::Owned(text) => sqlx::query(AssertSqlSafe(text)),
        };
        Self { engine: Engine::Sqlite(conn, query), state, measured: None }
    }

    pub(crate) fn on_postgres(
        session: &'c mut Session,
        text: &'static str,
        state: &'c mut State,
    ) -> Self {
        Self { engine: Engine::Postgres(session, sqlx::query(text)), state, measured: None }
    }

    /// Measures the statement.
    pub(crate) fn measured(self, measured: Option<Arc<Timed>>) -> Self {
        Self { measured, ..self }
    }

    /// Binds the next parameter: the first one is `$1`.
    pub fn bind(self, value: impl Value) -> Self {
        let engine = match self.engine {
            Engine::Sqlite(conn, query) => Engine::Sqlite(conn, query.bind(value)),
            Engine::Postgres(session, query) => Engine::Postgres(session, query.bind(value)),
        };
        Self { engine, ..self }
    }

    /// Executes the statement. Returns the number of rows that it inserted, changed or deleted.
    ///
    /// # Errors
    /// Error of the database.
    pub async fn execute(self) -> Result<u64, sqlx::Error> {
        Ok(match run!(self.execute()) {
            Ended::Sqlite(done) => done.rows_affected(),
            Ended::Postgres(done) => done.rows_affected(),
        })
    }

    /// Returns all rows.
    ///
    /// # Errors
    /// Error of the database, or a row that is no `R`.
    pub async fn fetch_all<R: Row>(self) -> Result<Vec<R>, sqlx::Error> {
        match run!(self.fetch_all()) {
            Ended::Sqlite(rows) => rows.iter().map(R::from_row).collect(),
            Ended::Postgres(rows) => rows.iter().map(R::from_row).collect(),
        }
    }

    /// Returns the first row, if there is one.
    ///
    /// # Errors
    /// Error of the database, or a row that is no `R`.
    pub async fn fetch_optional<R: Row>(self) -> Result<Option<R>, sqlx::Error> {
        match run!(self.fetch_optional()) {
            Ended::Sqlite(row) => row.as_ref().map(R::from_row).transpose(),
            Ended::Postgres(row) => row.as_ref().map(R::from_row).transpose(),
        }
    }

    /// Returns the first row.
    ///
    /// # Errors
    /// Error of the database, [`sqlx::Error::RowNotFound`], or a row that is no `R`.
    pub async fn fetch_one<R: Row>(self) -> Result<R, sqlx::Error> {
        self.fetch_optional().await?.ok_or(sqlx::Error::RowNotFound)
    }

    /// Returns the first column of the first row.
    ///
    /// # Errors
    /// As [`fetch_one`](Self::fetch_one).
    pub async fn fetch_value<T>(self) -> Result<T, sqlx::Error>
    where
        (T,): Row,
    {
        self.fetch_one::<(T,)>().await.map(|(value,)| value)
    }
}

/// Returns a statement as SQLite takes it. The text is PostgreSQL's but for four things:
///
/// - `= ANY($n)` of a [`TextList`](crate::TextList): SQLite reads the list as rows;
/// - `FOR UPDATE` and `FOR UPDATE SKIP LOCKED`: SQLite has one writer, so nothing is to be locked;
/// - [`clock!`]: SQLite's has milliseconds;
/// - [`pairs!`]: SQLite has other functions for JSON.
fn for_sqlite(text: &'static str) -> Cow<'static, str> {
    const LIST: &str = " = ANY(";
    const LOCK: &str = " FOR UPDATE";
    const SKIP: &str = " SKIP LOCKED";
    const CLOCK: &str = "CAST(unixepoch('subsec') * 1000000 AS INTEGER)";
    const PAIRS: &str = "SELECT value ->> 0, value ->> 1 FROM json_each($1)";
    let mut text = Cow::Borrowed(text);
    while let Some(at) = text.find(clock!()) {
        text.to_mut().replace_range(at..at + clock!().len(), CLOCK);
    }
    while let Some(at) = text.find(pairs!()) {
        text.to_mut().replace_range(at..at + pairs!().len(), PAIRS);
    }
    while let Some(at) = text.find(LOCK) {
        let mut end = at + LOCK.len();
        if text[end..].starts_with(SKIP) {
            end += SKIP.len();
        }
        text.to_mut().replace_range(at..end, "");
    }
    while let Some(at) = text.find(LIST) {
        let parameter = at + LIST.len();
        let end = text[parameter..].find(')').map_or(text.len(), |length| parameter + length);
        let rows = format!(" IN (SELECT value FROM json_each({})", &text[parameter..end]);
        text.to_mut().replace_range(at..end, &rows);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sqlite_takes_the_text_without_locks_and_arrays() {
        for (text, taken) in [
            ("SELECT a FROM t WHERE b = $1", "SELECT a FROM t WHERE b = $1"),
            ("SELECT a FROM t ORDER BY a FOR UPDATE", "SELECT a FROM t ORDER BY a"),
            (
                "UPDATE t SET a = 1 WHERE b IN (SELECT b FROM t LIMIT $1 FOR UPDATE SKIP LOCKED) AND c",
                "UPDATE t SET a = 1 WHERE b IN (SELECT b FROM t LIMIT $1) AND c",
            ),
            (
                "SELECT a FROM t WHERE a = ANY($1) AND b = ANY($2) FOR UPDATE",
                "SELECT a FROM t WHERE a IN (SELECT value FROM json_each($1)) \
                 AND b IN (SELECT value FROM json_each($2))",
            ),
        ] {
            assert_eq!(for_sqlite(text), taken);
        }
        assert_eq!(
            for_sqlite(concat!("UPDATE t SET a = ", clock!(), " + $1, b = ", clock!())),
            "UPDATE t SET a = CAST(unixepoch('subsec') * 1000000 AS INTEGER) + $1, \
             b = CAST(unixepoch('subsec') * 1000000 AS INTEGER)",
        );
        assert_eq!(
            for_sqlite(concat!("DELETE FROM t WHERE (a, b) IN (", pairs!(), ") AND c")),
            "DELETE FROM t WHERE (a, b) IN (SELECT value ->> 0, value ->> 1 FROM json_each($1)) AND c",
        );
        assert!(matches!(for_sqlite("SELECT 1"), Cow::Borrowed(_)));
    }
}
