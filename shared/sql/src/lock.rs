//! One process per database file.
//!
//! SQLite lets several processes share a file, but a service keeps what is only
//! true within one process (who holds a lease, which saga is being driven), so a
//! second one is refused. The lock is the operating system's, on a file beside the
//! database: it ends with the process, however that ends, so nothing stale is left.

use std::{
    ffi::OsString,
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read, Seek, Write},
    path::{Path, PathBuf},
};

/// Why the lock was not taken.
#[derive(Debug)]
pub(crate) enum LockError {
    /// Somebody holds it: the process of this id, where it could be read.
    Held { by: Option<u32> },
    /// The lock file could not be made or locked.
    Io(io::Error),
}

/// Held for as long as it lives.
#[derive(Debug)]
pub(crate) struct ProcessLock {
    _file: File,
}

impl ProcessLock {
    /// Takes the lock of `database`, without waiting.
    pub(crate) fn take(database: &Path) -> Result<Self, LockError> {
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(lock_path(database))
            .map_err(LockError::Io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(LockError::Held { by: holder(&mut file) }),
            Err(TryLockError::Error(error)) => return Err(LockError::Io(error)),
        }
        note_holder(&mut file).map_err(LockError::Io)?;
        Ok(Self { _file: file })
    }
}

/// `user.db` is locked through `user.db.lock`.
fn lock_path(database: &Path) -> PathBuf {
    let mut name = OsString::from(database);
    name.push(".lock");
    PathBuf::from(name)
}

fn note_holder(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

/// Only for the error message: the holder may not have written it yet.
fn holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}
