//! Opening and closing.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use sqlx::{
    Connection, SqlitePool,
    migrate::{MigrateError, Migrator},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use tokio_util::task::TaskTracker;

use crate::{
    Settings,
    error::is_not_a_database,
    files::{self, OpenFiles},
    lock::{LockError, ProcessLock},
    path,
    probe::Probe,
};

/// The write-ahead log is cut back to this after a checkpoint, in bytes.
const WAL_LIMIT: &str = "67108864";

/// Why a database could not be opened. Each says which path it is about.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The path names no file.
    #[error("database path {path:?}: {why}")]
    NoFile {
        /// The path.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The path, or its folder, is something else than it must be.
    #[error("{} is {is}, not {expected}", path.display())]
    WrongKind {
        /// What was looked at.
        path: PathBuf,
        /// `a file`, `a folder`, `a symbolic link` or `a device or a pipe`.
        is: &'static str,
        /// What was expected there.
        expected: &'static str,
    },
    /// The folder could not be made.
    #[error("cannot make the folder {}: {source}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Nothing can be written in the folder.
    #[error("cannot write in the folder {}: {source}", path.display())]
    Unwritable {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file, or one of those beside it, is not private or cannot be opened.
    #[error("cannot use the database file {}: {source}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why.
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
        /// The migration that is not known here.
        version: i64,
    },
    /// A migration failed, or differs from what was once applied.
    #[error("cannot migrate the database {}: {source}", path.display())]
    Migration {
        /// The database.
        path: PathBuf,
        /// Why.
        source: MigrateError,
    },
    /// SQLite refused.
    #[error("cannot open the database {}: {source}", path.display())]
    Database {
        /// The database.
        path: PathBuf,
        /// Why.
        source: sqlx::Error,
    },
}

/// An open database. Clones share it.
#[derive(Clone, Debug)]
pub struct Sqlite {
    /// One connection: whoever holds it is the only writer.
    pub(crate) writer: SqlitePool,
    reader: SqlitePool,
    pub(crate) files: OpenFiles,
    pub(crate) probe: Probe,
    /// Owns the units of work that have begun.
    pub(crate) units: TaskTracker,
    lock: Arc<Mutex<Option<ProcessLock>>>,
}

impl Sqlite {
    /// Opens the database for this process alone and brings its schema up to date.
    ///
    /// # Errors
    /// [`OpenError`] where the path is unusable, another process has the database,
    /// or a migration fails; a migration that fails changes nothing.
    pub async fn open(settings: &Settings, migrations: &Migrator) -> Result<Self, OpenError> {
        let path = prepare(&settings.path)?;
        let lock = lock(&path)?;
        // After the lock: closing these files would release the locks of another opening.
        files::make_private(&path)
            .map_err(|(path, source)| OpenError::Unusable { path, source })?;
        let connect = connect_options(&path, settings);
        let failed = |source| match is_not_a_database(&source) {
            true => OpenError::NotADatabase { path: path.clone() },
            false => OpenError::Database { path: path.clone(), source },
        };

        // Connections live as long as the pool, and asking each time whether an
        // in-process database is still there would cost a thread switch.
        let pool = || {
            SqlitePoolOptions::new()
                .acquire_timeout(settings.acquire_timeout)
                .idle_timeout(None)
                .max_lifetime(None)
                .test_before_acquire(false)
        };
        let writer = pool()
            .max_connections(1)
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
        migrations.run(&writer).await.map_err(|source| match source {
            MigrateError::VersionMissing(version) => {
                OpenError::Newer { path: path.clone(), version }
            }
            source => OpenError::Migration { path: path.clone(), source },
        })?;
        // Opened last: a reader cannot create the files of the write-ahead log.
        let reader = pool()
            .max_connections(settings.readers.get())
            .connect_with(connect.read_only(true).create_if_missing(false))
            .await
            .map_err(&failed)?;

        let files = OpenFiles::of(&path)
            .map_err(|source| OpenError::Unusable { path: path.clone(), source })?;
        tracing::debug!(path = %path.display(), "database open");
        Ok(Self {
            writer,
            reader,
            files,
            probe: Probe::default(),
            units: TaskTracker::new(),
            lock: Arc::new(Mutex::new(Some(lock))),
        })
    }

    /// The pool for queries. SQLite refuses a write on it.
    pub fn reader(&self) -> &SqlitePool {
        &self.reader
    }

    /// Waits for the units of work that have begun, then closes every connection
    /// and lets another process have the file. Later uses of any clone fail.
    pub async fn close(&self) {
        self.reader.close().await;
        // The writer's connection comes back when the last unit is done; as the last
        // to close, it folds the write-ahead log into the database.
        self.writer.close().await;
        self.units.close();
        self.units.wait().await;
        // A poisoned lock still holds a file to let go of.
        self.lock.lock().unwrap_or_else(PoisonError::into_inner).take();
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

fn connect_options(path: &Path, settings: &Settings) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(settings.busy_timeout)
        .pragma("journal_size_limit", WAL_LIMIT)
}

fn holder(by: Option<u32>) -> String {
    match by {
        Some(id) => format!("process {id}"),
        None => "another process".to_owned(),
    }
}
