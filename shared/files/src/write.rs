//! Atomic writes: a file is written whole or not at all.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use uuid::Uuid;

use crate::{
    access::{self, Links},
    text::{TEXT_LIMIT, bounded},
};

/// Users that may read a written file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readers {
    /// Its owner only: mode 0600.
    Owner,
    /// Everybody: mode 0644.
    Everybody,
}

/// Reads a secret. If there is no file, creates it with the text of `make`: see the crate's table.
/// Creates missing folders with mode 0700.
///
/// If two processes call this at once, one creates the file and both read it.
///
/// # Errors
/// Those of [`read_secret`](crate::read_secret); or the file cannot be created.
pub fn read_or_create(path: &Path, make: impl FnOnce() -> String) -> io::Result<String> {
    match read_made(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        read => return read,
    }
    create_private_folders(folder_of(path))?;
    let staged = Staged::new(path, make().as_bytes(), Readers::Owner)?;
    // Unlike a rename, a hard link never replaces a file.
    match fs::hard_link(&staged.path, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        done => done?,
    }
    sync_folder(path)?;
    read_made(path)
}

fn read_made(path: &Path) -> io::Result<String> {
    let file = access::open_to_read(Links::Followed, path)?;
    access::made(&file, path)?;
    bounded(file, TEXT_LIMIT)
}

/// Creates or replaces a file.
///
/// # Errors
/// The folder is missing, the path is a symbolic link or not a regular file, or the system refuses.
/// An existing file then stays unchanged.
pub fn replace(path: &Path, content: &[u8], readers: Readers) -> io::Result<()> {
    replaceable(path)?;
    fs::rename(&Staged::new(path, content, readers)?.path, path)?;
    sync_folder(path)
}

/// Removes the file at a path, if there is one, and checks that its folder can be written to. The
/// check never creates a file at the path, because a process may wait for it.
///
/// # Errors
/// The path is a symbolic link or not a regular file, or the system refuses.
pub fn vacate(path: &Path) -> io::Result<()> {
    replaceable(path)?;
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _gone => {}
    }
    Staged::new(path, b"", Readers::Owner).map(drop)
}

/// Creates the missing folders of a path with mode 0700.
///
/// # Errors
/// The system refuses.
pub fn create_private_folders(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// Checks that a path is free or a regular file. Replacing a device such as `/dev/null` would break
/// other programs.
fn replaceable(path: &Path) -> io::Result<()> {
    match path.symlink_metadata() {
        Ok(found) if found.is_symlink() => {
            Err(io::Error::other("it is a symbolic link, not a file"))
        }
        Ok(found) if found.is_dir() => {
            Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a folder, not a file"))
        }
        Ok(found) if !found.is_file() => {
            Err(io::Error::other("it is a device or a pipe, not a file"))
        }
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Written and synced file with a temporary name. Dropping it removes that name.
struct Staged {
    path: PathBuf,
}

impl Staged {
    fn new(target: &Path, content: &[u8], readers: Readers) -> io::Result<Self> {
        let mut name = OsString::from(target);
        name.push(format!(".{}", Uuid::new_v4().simple()));
        let path = PathBuf::from(name);
        let mut file = access::create_new(&path)?;
        let staged = Self { path };
        file.write_all(content)?;
        if readers == Readers::Everybody {
            access::widen(&file)?;
        }
        file.sync_all()?;
        Ok(staged)
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // Fails after a rename, when the name is gone already.
        let _ = fs::remove_file(&self.path);
    }
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Syncs the folder of a path. Without this, a power cut could lose the name of a written file.
fn sync_folder(path: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder_of(path))?.sync_all() } else { Ok(()) }
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_created_secret_has_mode_600_and_no_temporary_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys").join("a.pem");
        assert_eq!(read_or_create(&path, || "one".into()).unwrap(), "one");
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn an_existing_secret_is_kept_and_tightened() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.pem");
        fs::write(&path, "first").unwrap();
        for (loose, then) in [(0o644, 0o600), (0o604, 0o600), (0o640, 0o640), (0o600, 0o600)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(loose)).unwrap();
            assert_eq!(read_or_create(&path, || unreachable!()).unwrap(), "first");
            assert_eq!(mode(&path), then, "was {loose:o}");
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        assert!(read_or_create(&path, || unreachable!()).is_err());
    }

    #[test]
    fn many_at_once_agree_on_one_secret() {
        let folder = tempfile::tempdir().unwrap();
        let path = &folder.path().join("a.pem");
        let texts: Vec<String> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|n| scope.spawn(move || read_or_create(path, || n.to_string()).unwrap()))
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(texts.iter().all(|text| *text == texts[0]), "{texts:?}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_replaced_file_has_the_mode_of_its_readers() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        for (readers, expected) in [(Readers::Everybody, 0o644), (Readers::Owner, 0o600)] {
            replace(&path, b"text", readers).unwrap();
            assert_eq!(mode(&path), expected);
            assert_eq!(fs::read(&path).unwrap(), b"text");
        }
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn nothing_is_written_or_removed_through_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let (victim, link) = (folder.path().join("victim"), folder.path().join("link"));
        symlink(&victim, &link).unwrap();
        for dangling in [true, false] {
            let error = replace(&link, b"text", Readers::Owner).unwrap_err();
            assert!(error.to_string().contains("symbolic link"), "{error}");
            assert!(vacate(&link).is_err());
            assert_eq!(victim.exists(), !dangling);
            fs::write(&victim, "precious").unwrap();
        }
        assert_eq!(fs::read(&victim).unwrap(), b"precious");
        assert!(link.is_symlink());
    }

    #[test]
    fn no_secret_is_created_through_a_dangling_link() {
        let folder = tempfile::tempdir().unwrap();
        let (target, link) = (folder.path().join("target"), folder.path().join("link"));
        symlink(&target, &link).unwrap();
        read_or_create(&link, || "secret".into()).unwrap_err();
        assert!(!target.exists());
    }

    #[test]
    fn folders_and_devices_are_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        for path in [folder.path(), Path::new("/dev/null")] {
            assert!(replace(path, b"text", Readers::Owner).is_err());
            assert!(vacate(path).is_err());
        }
        assert!(Path::new("/dev/null").exists());
        vacate(&folder.path().join("absent")).unwrap();
    }

    #[test]
    fn a_failed_replacement_leaves_the_earlier_file() {
        let folder = tempfile::tempdir().unwrap();
        let blocked = folder.path().join("file");
        fs::write(&blocked, "").unwrap();
        assert!(read_or_create(&blocked.join("a.pem"), || "x".into()).is_err());
        assert!(replace(&blocked.join("a.pem"), b"x", Readers::Owner).is_err());
    }
}
