//! One process per database file.
//!
//! SQLite lets several processes share a file, but a service keeps what is only
//! true within one process (who holds a lease, which saga is being driven), so a
//! second one is refused. The lock is the operating system's, on a file beside the
//! database (`user.db.lock`): it ends with the process, however that ends, so nothing stale is left.

use std::{
    fs::{File, TryLockError},
    io::{self, Read, Seek, Write},
    path::Path,
};

use super::files::beside;

/// Reason for which the lock was not taken.
#[derive(Debug)]
pub(crate) enum LockError {
    /// Another process holds it: that of this id, if it could be read.
    Held { by: Option<u32> },
    /// The lock file could not be made or locked.
    Io(io::Error),
}

/// Lock of a database, held until it is dropped.
#[derive(Debug)]
pub(crate) struct ProcessLock {
    file: File,
}

impl Drop for ProcessLock {
    /// Unlocks at once. A process that is being started has a copy of the file until it runs its
    /// program, and closing ours would leave the lock to that copy.
    fn drop(&mut self) {
        // On an error the lock ends with the last copy of the file.
        let _ = self.file.unlock();
    }
}

impl ProcessLock {
    /// Takes the lock of `database`, without waiting.
    pub(crate) fn take(database: &Path) -> Result<Self, LockError> {
        let mut file = gantry_files::open_own(&beside(database, ".lock")).map_err(LockError::Io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(LockError::Held { by: holder(&mut file) }),
            Err(TryLockError::Error(error)) => return Err(LockError::Io(error)),
        }
        note_holder(&mut file).map_err(LockError::Io)?;
        Ok(Self { file })
    }
}

fn note_holder(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

/// Reads the id of the holder, for the error message. The holder may not have written it yet.
fn holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}
