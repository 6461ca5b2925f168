//! Key files: written once, whole, and never readable by anybody else.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

/// Why a key file could not be used. Never holds what the file contains.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file is missing or unreadable.
    #[error("cannot read the key file {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The file could not be made.
    #[error("cannot write the key file {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The file is there, and is something else.
    #[error("{} does not hold {expected}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What was expected.
        expected: &'static str,
    },
    /// An issuer is to be believed, and no key of its is named.
    #[error("the trusted issuer {issuer} has neither key_file nor jwks")]
    NoKey {
        /// The issuer.
        issuer: String,
    },
    /// Keys are to be fetched from a service that this process cannot fetch them from.
    #[error("the published keys of {service} cannot be fetched from here")]
    NoSource {
        /// The service.
        service: String,
    },
}

impl KeyError {
    fn write(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Write { path, source }
    }
}

/// The text of a private key's file. That others can read it is a warning and no more: what is
/// mounted has the modes that the platform gives it.
pub(crate) fn read_private(path: &Path) -> Result<String, KeyError> {
    let text = read(path)?;
    if let Ok(mode) = File::open(path).and_then(|file| mode_of(&file))
        && mode & 0o007 != 0
    {
        let path = path.display();
        tracing::warn!(%path, mode = format!("{mode:o}"), "others can read this private key");
    }
    Ok(text)
}

/// The text of the file.
pub(crate) fn read(path: &Path) -> Result<String, KeyError> {
    fs::read_to_string(path).map_err(|source| KeyError::Read { path: path.to_owned(), source })
}

/// The text of the file; where there is none, makes it with the text of `make`.
///
/// Of two processes that do this at once, one makes the file and both read it.
pub(crate) fn read_or_create(
    path: &Path,
    make: impl FnOnce() -> String,
) -> Result<String, KeyError> {
    match fs::read_to_string(path) {
        Ok(text) => return Ok(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(source) => return Err(KeyError::Read { path: path.to_owned(), source }),
    }
    create(path, make().as_bytes()).map_err(KeyError::write(path))?;
    read(path)
}

/// Makes a file that only its owner can read, unless it is there already.
///
/// The text goes to a neighbouring file first, which is 0600 from the moment it
/// exists; a hard link then gives it its name, so that the name never stands
/// for half a key, and never replaces a key.
fn create(path: &Path, text: &[u8]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let staged = Staged::new(path, text)?;
    match fs::hard_link(&staged.path, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        done => done,
    }
}

/// Makes or replaces a file that only its owner can read or write.
pub(crate) fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::rename(&Staged::new(path, text)?.path, path)
}

/// The text of a file of this length at most that belongs to whom this process runs as, and
/// that nobody else can write to.
pub(crate) fn read_own(path: &Path, longest: u64) -> io::Result<String> {
    read_of(process_owner(), path, longest)
}

fn read_of(owner: u32, path: &Path, longest: u64) -> io::Result<String> {
    let file = File::open(path)?;
    // In a folder that others can write to, they could have left it for us.
    if owner_of(&file)? != owner {
        return Err(io::Error::other("it belongs to somebody else"));
    }
    if mode_of(&file)? & 0o022 != 0 {
        return Err(io::Error::other("others can write to it"));
    }
    let mut text = String::new();
    file.take(longest + 1).read_to_string(&mut text)?;
    if text.len() as u64 > longest {
        return Err(io::Error::other(format!("it is longer than {longest} bytes")));
    }
    Ok(text)
}

/// Makes or replaces a file that everybody may read.
pub(crate) fn publish(path: &Path, text: &str) -> Result<(), KeyError> {
    if fs::read_to_string(path).is_ok_and(|present| present == text) {
        return Ok(());
    }
    Staged::new(path, text.as_bytes())
        .and_then(|staged| {
            widen(&staged.path)?;
            fs::rename(&staged.path, path)
        })
        .map_err(KeyError::write(path))
}

/// A file under a passing name, removed when dropped (a rename leaves nothing
/// to remove).
struct Staged {
    path: PathBuf,
}

impl Staged {
    fn new(target: &Path, text: &[u8]) -> io::Result<Self> {
        let mut name = OsString::from(target);
        name.push(format!(".{}", uuid::Uuid::now_v7().simple()));
        let staged = Self { path: name.into() };
        let mut file = private(OpenOptions::new().write(true).create_new(true), &staged.path)?;
        file.write_all(text)?;
        file.sync_all()?;
        Ok(staged)
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // Gone already after a rename; otherwise there is nobody left to tell.
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(unix)]
fn private(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    options.mode(0o600).open(path)
}

#[cfg(not(unix))]
fn private(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    options.open(path)
}

/// The file's mode, as far as it is about who may do what.
#[cfg(unix)]
fn mode_of(file: &File) -> io::Result<u32> {
    use std::os::unix::fs::PermissionsExt;
    Ok(file.metadata()?.permissions().mode() & 0o777)
}

#[cfg(not(unix))]
fn mode_of(_: &File) -> io::Result<u32> {
    Ok(0)
}

#[cfg(unix)]
fn process_owner() -> u32 {
    rustix::process::geteuid().as_raw()
}

#[cfg(unix)]
fn owner_of(file: &File) -> io::Result<u32> {
    use std::os::unix::fs::MetadataExt;
    Ok(file.metadata()?.uid())
}

#[cfg(not(unix))]
fn process_owner() -> u32 {
    0
}

#[cfg(not(unix))]
fn owner_of(_: &File) -> io::Result<u32> {
    Ok(0)
}

#[cfg(unix)]
fn widen(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn widen(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_made_file_is_the_owners_alone_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys").join("a.pem");
        assert_eq!(read_or_create(&path, || "one".into()).unwrap(), "one");
        assert_eq!(mode(&path), 0o600);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn an_existing_file_is_read_and_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.pem");
        fs::write(&path, "first").unwrap();
        assert_eq!(read_or_create(&path, || unreachable!()).unwrap(), "first");
        // A racing process that has not seen the file yet changes nothing either.
        create(&path, b"second").unwrap();
        assert_eq!(read(&path).unwrap(), "first");
    }

    #[test]
    fn many_at_once_agree_on_one_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = &folder.path().join("a.pem");
        let texts: Vec<String> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|n| scope.spawn(move || read_or_create(path, || n.to_string()).unwrap()))
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(texts.iter().all(|text| *text == texts[0]), "{texts:?}");
    }

    #[test]
    fn a_published_file_is_readable_and_follows_its_text() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.pub.pem");
        publish(&path, "one").unwrap();
        publish(&path, "two").unwrap();
        assert_eq!(read(&path).unwrap(), "two");
        assert_eq!(mode(&path), 0o644);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_somebody_else_left_is_not_our_own() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jwks");
        fs::write(&path, "one").unwrap();
        assert_eq!(read_own(&path, 3).unwrap(), "one");
        let error = read_of(process_owner() + 1, &path, 3).unwrap_err();
        assert!(error.to_string().contains("somebody else"), "{error}");
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let blocked = folder.path().join("file");
        fs::write(&blocked, "").unwrap();
        let error = read_or_create(&blocked.join("a.pem"), || "x".into()).unwrap_err();
        assert!(error.to_string().contains("file/a.pem"), "{error}");
    }
}
