//! One connection, to either engine.

use std::{fmt, future::Future, pin::Pin, sync::Arc};

use gantry_resilience::deadline::Deadline;
use sqlx::{SqlStr, SqliteConnection, Transaction, pool::PoolConnection, sqlite::Sqlite};

use crate::{
    Query,
    error::{Conflict, IgnoredFailure, UnknownOutcome, is_unfinished, must_repeat},
    measure::{Measures, timed},
    postgres::Session,
    sqlite::{Reader, UnitDeadline},
};

/// Connection to the database, on which a repository runs its statements.
///
/// A statement's text is PostgreSQL's: its parameters are `$1`, `$2`, ..., its rows are locked by
/// `FOR UPDATE`. What SQLite spells otherwise is replaced for it.
///
/// In a unit of work the connection remembers a statement that failed: the unit cannot be
/// committed any more, even if it ignores the error. PostgreSQL would roll it back, and answer the
/// COMMIT with success.
pub struct Connection {
    handle: Handle,
    state: State,
    measures: Option<Arc<Measures>>,
    /// The unit wrote events to the outbox.
    wrote_events: bool,
}

enum Handle {
    Sqlite(Reader),
    SqliteUnit(Transaction<'static, Sqlite>, UnitDeadline),
    Postgres(Session),
}

/// A future whose type is hidden.
pub(crate) type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A connection of one engine.
enum Engine<'c> {
    Sqlite(&'c mut SqliteConnection),
    Postgres(&'c mut Session),
}

/// Failures of the statements of a unit.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct State {
    /// A statement failed.
    failed: bool,
    /// The unit met another one. It may succeed if it runs again.
    repeat: bool,
}

impl State {
    /// Runs a statement and notes its failure.
    pub(crate) async fn watch<T>(
        &mut self,
        statement: Boxed<'_, Result<T, sqlx::Error>>,
    ) -> Result<T, sqlx::Error> {
        // A statement that is dropped on its way counts as failed: nobody knows how it ended.
        let before = std::mem::replace(&mut self.failed, true);
        let result = statement.await;
        match &result {
            Ok(_) => self.failed = before,
            Err(error) => self.repeat |= must_repeat(error),
        }
        result
    }

    /// Returns true if a statement failed, or was dropped on its way.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed
    }
}

impl From<Reader> for Connection {
    fn from(reader: Reader) -> Self {
        Self {
            handle: Handle::Sqlite(reader),
            state: State::default(),
            measures: None,
            wrote_events: false,
        }
    }
}

impl From<Session> for Connection {
    fn from(session: Session) -> Self {
        Self {
            handle: Handle::Postgres(session),
            state: State::default(),
            measures: None,
            wrote_events: false,
        }
    }
}

impl Connection {
    /// Measures the statements of the connection.
    pub(crate) fn measured(self, measures: Option<&Arc<Measures>>) -> Self {
        Self { measures: measures.cloned(), ..self }
    }

    /// Makes a statement of its text. See [`Connection`] for what SQLite reads otherwise.
    pub fn query(&mut self, text: &'static str) -> Query<'_> {
        let measured = self.measures.as_ref().map(|measures| measures.statement(text));
        let (engine, state) = self.handle.parts(&mut self.state);
        let query = match engine {
            Engine::Sqlite(conn) => Query::on_sqlite(conn, text, state),
            Engine::Postgres(session) => Query::on_postgres(session, text, state),
        };
        query.measured(measured)
    }

    /// Waits for other units that locked the same name, and locks it until the end of this unit.
    ///
    /// For a decision on rows that do not exist yet, such as their number. The unit must run in
    /// [`Database::write_locked`](crate::Database::write_locked), or it does not see what the
    /// others wrote. Nothing happens on SQLite, which has one writer.
    ///
    /// # Errors
    /// Error of the database.
    pub async fn lock(&mut self, name: &str) -> Result<(), sqlx::Error> {
        if !matches!(self.handle, Handle::Postgres(_)) {
            return Ok(());
        }
        // Two names of one hash only wait for each other.
        let lock = self.query("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))");
        lock.bind(name).execute().await.map(drop)
    }

    /// Notes that another unit has written meanwhile what this one did not see when it looked:
    /// the unit is rolled back and runs again. Return the error from the unit.
    pub fn conflict(&mut self) -> sqlx::Error {
        self.state = State { failed: true, repeat: true };
        Conflict.into()
    }

    /// Notes that the unit writes events: its commit wakes the relay.
    pub(crate) fn writes_events(&mut self) {
        self.wrote_events = true;
    }

    /// Returns true if the unit writes events.
    pub(crate) fn has_written_events(&self) -> bool {
        self.wrote_events
    }

    /// Begins a unit of work on SQLite. Its statements are interrupted at the deadline.
    pub(crate) async fn begin_on_sqlite(
        conn: PoolConnection<Sqlite>,
        unit: UnitDeadline,
        deadline: Option<Deadline>,
    ) -> Result<Self, sqlx::Error> {
        // IMMEDIATE: a transaction that began by reading could find, when it comes to write, that it
        // may not, after half of its work.
        let begin = SqlStr::from_static("BEGIN IMMEDIATE");
        let begun = Transaction::begin(conn, Some(begin)).await?;
        unit.set(deadline);
        Ok(Self {
            handle: Handle::SqliteUnit(begun, unit),
            state: State::default(),
            measures: None,
            wrote_events: false,
        })
    }

    /// Commits the unit, or rolls it back and fails if one of its statements failed.
    pub(crate) async fn commit(self) -> Result<(), sqlx::Error> {
        if self.state.failed {
            self.roll_back().await;
            return Err(IgnoredFailure.into());
        }
        let commit = self.measures.map(|measures| measures.statement("COMMIT").start());
        let committed = async {
            match self.handle {
                Handle::SqliteUnit(unit, deadline) => {
                    deadline.clear();
                    unit.commit().await.map_err(|error| match is_unfinished(&error) {
                        true => UnknownOutcome(error).into(),
                        false => error,
                    })
                }
                Handle::Postgres(mut session) => session.commit().await,
                Handle::Sqlite(_) => Ok(()),
            }
        };
        timed(commit, committed).await
    }

    /// Rolls the unit back.
    pub(crate) async fn roll_back(self) {
        let rolled_back = match self.handle {
            Handle::SqliteUnit(unit, deadline) => {
                deadline.clear();
                unit.rollback().await
            }
            Handle::Postgres(mut session) => session.roll_back().await,
            Handle::Sqlite(_) => Ok(()),
        };
        // The next use of the connection undoes the rest.
        if let Err(error) = rolled_back {
            tracing::warn!(%error, "rollback failed");
        }
    }

    /// Returns true if the unit may succeed if it runs again.
    pub(crate) fn must_repeat(&self) -> bool {
        self.state.repeat
    }
}

impl Handle {
    /// Returns the connection and the state of its statements: that of the unit, or a reader's own.
    fn parts<'c>(&'c mut self, unit: &'c mut State) -> (Engine<'c>, &'c mut State) {
        match self {
            Self::Sqlite(reader) => {
                let (conn, state) = reader.parts();
                (Engine::Sqlite(conn), state)
            }
            Self::SqliteUnit(begun, _) => (Engine::Sqlite(begun), unit),
            Self::Postgres(session) => (Engine::Postgres(session), unit),
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let engine = match self.handle {
            Handle::Sqlite(_) | Handle::SqliteUnit(..) => "SQLite",
            Handle::Postgres(_) => "PostgreSQL",
        };
        f.debug_struct("Connection").field("engine", &engine).field("state", &self.state).finish()
    }
}

/// Isolation of a unit of work on PostgreSQL. On SQLite units run one after another.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Isolation {
    /// The unit sees the database as it was when it began.
    RepeatableRead,
    /// Each statement sees what was committed before it.
    ReadCommitted,
}

impl Isolation {
    /// Returns the text that begins a unit.
    pub(crate) fn begin(self) -> &'static str {
        match self {
            Self::RepeatableRead => "BEGIN ISOLATION LEVEL REPEATABLE READ",
            Self::ReadCommitted => "BEGIN ISOLATION LEVEL READ COMMITTED",
        }
    }
}
