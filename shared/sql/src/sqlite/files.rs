//! Files of an open database: private from the start, and watched for their removal.

use std::{
    ffi::OsString,
    fmt, fs, io,
    path::{Path, PathBuf},
};

/// Free space below which a unit of work may fail, in bytes.
const LEAST_FREE: u64 = 256 * 1024;

/// Makes the database file for its owner alone, and tightens it and the files that SQLite keeps
/// beside it. Later ones get the mode of the database.
///
/// # Errors
/// The file that cannot be used, and its error.
pub(crate) fn make_private(database: &Path) -> Result<(), (PathBuf, io::Error)> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |error| (path, error)
    };
    gantry_files::open_own(database).map_err(failed(database))?;
    for suffix in ["-wal", "-shm", "-journal"] {
        let beside = beside(database, suffix);
        if beside.symlink_metadata().is_ok() {
            gantry_files::open_own(&beside).map_err(failed(&beside))?;
        }
    }
    Ok(())
}

/// Returns the path of a file beside the database: `user.db-wal`.
pub(crate) fn beside(database: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(database);
    name.push(suffix);
    name.into()
}

/// Files of the database, as they were when it was opened. They are not opened again: closing them would
/// release SQLite's locks.
#[derive(Clone, Debug)]
pub(crate) struct OpenFiles {
    folder: PathBuf,
    files: Vec<(PathBuf, Identity)>,
}

/// Reason for which a write to the files would be lost or refused.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The open file has no name any more: a write to it would be lost.
    Gone(PathBuf),
    /// The disk is full: its folder, and the free bytes.
    Full(PathBuf, u64),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone(path) => write!(
                f,
                "{} was removed or replaced while it was open: put it back and restart",
                path.display()
            ),
            Self::Full(folder, free) => {
                write!(f, "the disk of {} is full: {free} bytes are free", folder.display())
            }
        }
    }
}

impl std::error::Error for Trouble {}

impl OpenFiles {
    pub(crate) fn of(database: &Path) -> io::Result<Self> {
        let files = [database.to_owned(), beside(database, "-wal"), beside(database, ".lock")];
        let files = files.into_iter().map(|path| Ok((path.clone(), Identity::of(&path)?)));
        let folder = database.parent().unwrap_or(Path::new("."));
        Ok(Self { folder: folder.to_owned(), files: files.collect::<io::Result<_>>()? })
    }

    /// Checks that every file is still the open one. Takes a few microseconds.
    pub(crate) fn present(&self) -> Result<(), Trouble> {
        let gone = self
            .files
            .iter()
            .find(|(path, identity)| Identity::of(path).ok().as_ref() != Some(identity));
        gone.map_or(Ok(()), |(path, _)| Err(Trouble::Gone(path.clone())))
    }

    /// Checks that the disk has room for a unit of work. A disk of unknown size has.
    pub(crate) fn has_room(&self) -> Result<(), Trouble> {
        match free(&self.folder) {
            Some(free) if free < LEAST_FREE => Err(Trouble::Full(self.folder.clone(), free)),
            _ => Ok(()),
        }
    }
}

/// Identity of a file, which another one of the same name does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Identity {
    #[cfg(unix)]
    device: u64,
    #[cfg(unix)]
    inode: u64,
}

impl Identity {
    #[cfg(unix)]
    fn of(path: &Path) -> io::Result<Self> {
        use std::os::unix::fs::MetadataExt;
        let found = fs::metadata(path)?;
        Ok(Self { device: found.dev(), inode: found.ino() })
    }

    #[cfg(not(unix))]
    fn of(path: &Path) -> io::Result<Self> {
        fs::metadata(path).map(|_| Self {})
    }
}

/// Free bytes that this process may use.
#[cfg(unix)]
fn free(folder: &Path) -> Option<u64> {
    let found = rustix::fs::statvfs(folder).ok().filter(|found| found.f_blocks > 0)?;
    // A reserve is kept for root.
    let is_root = rustix::process::geteuid().is_root();
    let blocks = if is_root { found.f_bfree } else { found.f_bavail };
    Some(blocks.saturating_mul(found.f_frsize))
}

#[cfg(not(unix))]
fn free(_: &Path) -> Option<u64> {
    None
}
