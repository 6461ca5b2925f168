//! A database in a SQLite file, which one process has open.

mod files;
mod interrupt;
mod lock;
pub(crate) mod path;
mod readers;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use gantry_resilience::deadline::Deadline;
use sqlx::{
    ConnectOptions as _, Connection as _, SqliteConnection, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use self::{files::OpenFiles, lock::LockError};
pub(crate) use self::{
    interrupt::UnitDeadline,
    lock::ProcessLock,
    readers::{Reader, Readers},
};
use crate::{
    Connection, Migrations, OpenError, SqliteSettings, deadline::within, error::is_not_a_database,
    schema::applied,
};

/// The write-ahead log is cut back to this after a checkpoint, in bytes.
const WAL_LIMIT: &str = "67108864";

/// An open file.
#[derive(Clone, Debug)]
pub(crate) struct Sqlite {
    /// One connection: its holder is the only writer.
    pub(crate) writer: SqlitePool,
    pub(crate) reader: Readers,
    pub(crate) unit_deadline: UnitDeadline,
    pub(crate) files: OpenFiles,
    lock: Arc<Mutex<Option<ProcessLock>>>,
}

impl Sqlite {
    pub(crate) async fn open(
        settings: &SqliteSettings,
        migrations: &Migrations,
    ) -> Result<Self, OpenError> {
        let (path, lock) = take(&settings.path)?;
        let connect = connect_options(&path, settings);
        let failed = |source| failed(&path, source);

        let unit_deadline = UnitDeadline::default();
        let deadline = unit_deadline.clone();
        // The connection lives as long as the pool, and asking each time whether an in-process database
        // is still there would cost a thread switch.
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .acquire_timeout(settings.acquire_timeout)
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false)
            .after_connect(move |conn, _| {
                let deadline = deadline.clone();
                Box::pin(async move { deadline.install(conn).await })
            })
            // SQLite itself ends the transaction in which a disk is full or fails. sqlx then
            // believes for ever that one is open, and no other can be begun: a new connection
            // has to be made.
            .before_acquire(|conn, _| {
                let left_open = conn.is_in_transaction();
                Box::pin(async move { Ok(!left_open) })
            })
            .connect_with(connect.clone())
            .await
            .map_err(&failed)?;
        let mut conn = writer.acquire().await.map_err(&failed)?;
        migrate(&mut conn, &path, migrations).await?;
        drop(conn);
        // Opened last: a reader cannot create the files of the write-ahead log.
        let options = connect.read_only(true).create_if_missing(false);
        let reader = Readers::open(options, settings.readers.get(), settings.acquire_timeout);
        let reader = reader.await.map_err(&failed)?;

        let files = OpenFiles::of(&path)
            .map_err(|source| OpenError::Unusable { path: path.clone(), source })?;
        tracing::debug!(path = %path.display(), "database open");
        Ok(Self { writer, reader, unit_deadline, files, lock: Arc::new(Mutex::new(Some(lock))) })
    }

    /// Returns a connection that reads until the deadline.
    pub(crate) async fn read(&self, deadline: Option<Deadline>) -> Result<Connection, sqlx::Error> {
        Ok(within(deadline, self.reader.acquire(deadline)).await?.into())
    }

    /// Closes every connection. The writer's comes back when the last unit is done; as the last to
    /// close, it folds the write-ahead log into the database.
    pub(crate) async fn close_pools(&self) {
        self.reader.close().await;
        self.writer.close().await;
    }

    /// Lets another process have the file.
    pub(crate) fn unlock(&self) {
        // A poisoned lock still holds a file to let go of.
        self.lock.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

/// Opens the file for this process alone, on one connection and without migrating it.
pub(crate) async fn open_to_migrate(
    settings: &SqliteSettings,
) -> Result<(SqliteConnection, ProcessLock), OpenError> {
    let (path, lock) = take(&settings.path)?;
    let conn = connect_options(&path, settings).connect().await;
    Ok((conn.map_err(|source| failed(&path, source))?, lock))
}

/// Brings the schema up to date.
async fn migrate(
    conn: &mut SqliteConnection,
    path: &Path,
    migrations: &Migrations,
) -> Result<(), OpenError> {
    let database = path.display().to_string();
    for migrator in migrations.on_sqlite() {
        let found = applied::on_sqlite(conn, &migrator.table_name).await;
        let found = found.map_err(|source| failed(path, source))?;
        if let Some(version) = applied::compare(&database, &migrator, &found)? {
            return Err(OpenError::Newer { path: path.to_owned(), version });
        }
        let migrated = migrator.run_direct(None, conn, false).await;
        migrated.map_err(|source| applied::failed(&database, &migrator, source))?;
    }
    Ok(())
}

/// Takes the file for this process, and makes it private. Returns its absolute name.
fn take(path: &Path) -> Result<(PathBuf, ProcessLock), OpenError> {
    let path = prepare(path)?;
    let lock = lock(&path)?;
    // After the lock: closing these files would release the locks of another opening.
    files::make_private(&path).map_err(|(path, source)| OpenError::Unusable { path, source })?;
    Ok((path, lock))
}

fn failed(path: &Path, source: sqlx::Error) -> OpenError {
    let path = path.to_owned();
    match is_not_a_database(&source) {
        true => OpenError::NotADatabase { path },
        false => OpenError::Database { path, source },
    }
}

/// Makes the folder and returns the one absolute name of the file, whatever links lead to its folder.
fn prepare(path: &Path) -> Result<PathBuf, OpenError> {
    path::check(path).map_err(|why| OpenError::NoFile { path: path.to_owned(), why })?;
    let folder = folder_of(path);
    if let Some(path) = folder.ancestors().find(|path| path.is_file()) {
        let path = path.to_owned();
        return Err(OpenError::WrongKind { path, is: "a file", expected: "a folder" });
    }
    let is = match path.symlink_metadata() {
        Ok(found) if found.is_symlink() => Some("a symbolic link"),
        Ok(found) if found.is_dir() => Some("a folder"),
        Ok(found) if !found.is_file() => Some("a device or a pipe"),
        _ => None,
    };
    if let Some(is) = is {
        let path = path.to_owned();
        return Err(OpenError::WrongKind { path, is, expected: "a database file" });
    }
    let failed = |source| OpenError::Folder { path: folder.to_owned(), source };
    gantry_files::create_private_folders(folder).map_err(failed)?;
    let folder = fs::canonicalize(folder).map_err(failed)?;
    // It has a last part, or it would be a folder.
    Ok(path.file_name().map_or(folder.clone(), |name| folder.join(name)))
}

fn lock(path: &Path) -> Result<ProcessLock, OpenError> {
    ProcessLock::take(path).map_err(|error| match error {
        LockError::Held { by } => OpenError::InUse { path: path.to_owned(), by },
        LockError::Io(source) => OpenError::Unwritable { path: folder_of(path).to_owned(), source },
    })
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

fn connect_options(path: &Path, settings: &SqliteSettings) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(settings.busy_timeout)
        .pragma("journal_size_limit", WAL_LIMIT)
}
