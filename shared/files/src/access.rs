//! Opening files and checking their owner and mode.

use std::{
    fs::{File, OpenOptions},
    io,
    path::Path,
};

/// Permission bits that let the group or everybody else write.
pub(crate) const OTHERS_WRITE: u32 = 0o022;
/// Permission bits that let everybody else do anything.
const EVERYBODY: u32 = 0o007;
/// Permission bits of anybody but the owner.
const NOT_OWNER: u32 = 0o077;

/// Opens a file of this process's user for another library to write to. Creates it with mode 0600
/// if it is missing.
///
/// # Errors
/// The path is a symbolic link or not a regular file, the file belongs to another user, or the
/// system refuses.
pub fn open_own(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    let file = system::open(&mut options, Links::Refused, path)?;
    regular(&file)?;
    owned(&file)?;
    tighten(&file, path)?;
    Ok(file)
}

/// Checks a file against the rules for a supplied secret: see the crate's table.
///
/// # Errors
/// Others can write to the file, it is not a regular file, or the system refuses.
pub fn inspect_secret(path: &Path) -> io::Result<()> {
    supplied(&open_to_read(Links::Followed, path)?, path)
}

/// Treatment of a symbolic link as the last part of a path.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Links {
    Followed,
    Refused,
}

/// Opens a regular file to read it. Fails at once for a pipe, which would wait for a writer.
pub(crate) fn open_to_read(links: Links, path: &Path) -> io::Result<File> {
    let file = system::open(OpenOptions::new().read(true), links, path)?;
    regular(&file)?;
    Ok(file)
}

/// Opens a new file that only its owner can read.
pub(crate) fn create_new(path: &Path) -> io::Result<File> {
    system::open(OpenOptions::new().write(true).create_new(true), Links::Refused, path)
}

pub(crate) fn regular(file: &File) -> io::Result<()> {
    let kind = file.metadata()?.file_type();
    if kind.is_file() {
        Ok(())
    } else if kind.is_dir() {
        Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a folder, not a file"))
    } else {
        Err(io::Error::other("it is a device or a pipe, not a file"))
    }
}

/// Checks that the file belongs to the user of this process.
pub(crate) fn owned(file: &File) -> io::Result<()> {
    owned_by(system::user(), file)
}

fn owned_by(user: u32, file: &File) -> io::Result<()> {
    let owner = system::owner(file)?;
    if owner == user {
        return Ok(());
    }
    Err(io::Error::other(format!(
        "it belongs to user {owner}, but this process runs as user {user}"
    )))
}

pub(crate) fn not_writable_by_others(file: &File) -> io::Result<()> {
    let mode = system::mode(file)?;
    if mode & OTHERS_WRITE == 0 {
        return Ok(());
    }
    Err(io::Error::other(format!("others can write to it (mode {mode:03o}, expected 600)")))
}

/// Returns the owner of the file, its mode and the user of this process.
pub(crate) fn rights(file: &File) -> io::Result<(u32, u32, u32)> {
    Ok((system::owner(file)?, system::mode(file)?, system::user()))
}

/// Checks a secret that an operator supplies.
pub(crate) fn supplied(file: &File, path: &Path) -> io::Result<()> {
    not_writable_by_others(file)?;
    warn_of_owner(file, path)?;
    let mode = system::mode(file)?;
    if mode & EVERYBODY != 0 {
        let mode = format!("{mode:03o}");
        tracing::warn!(path = %path.display(), mode, "others can read this secret");
    }
    Ok(())
}

/// Checks a secret that [`read_or_create`](crate::read_or_create) creates.
pub(crate) fn made(file: &File, path: &Path) -> io::Result<()> {
    if system::owner(file)? != system::user() || system::mode(file)? & EVERYBODY == 0 {
        return supplied(file, path);
    }
    not_writable_by_others(file)?;
    tighten(file, path)
}

fn warn_of_owner(file: &File, path: &Path) -> io::Result<()> {
    const ROOT: u32 = 0;
    let owner = system::owner(file)?;
    if owner != system::user() && owner != ROOT {
        tracing::warn!(path = %path.display(), owner, "this secret belongs to another user");
    }
    Ok(())
}

/// Sets the mode to 0600. Logs a warning if the file system cannot change it.
fn tighten(file: &File, path: &Path) -> io::Result<()> {
    let mode = system::mode(file)?;
    if mode & NOT_OWNER == 0 {
        return Ok(());
    }
    let (path, mode) = (path.display(), format!("{mode:03o}"));
    match system::set_mode(file, 0o600) {
        Ok(()) => tracing::warn!(%path, mode, "others had access to this file, mode set to 600"),
        Err(error) => tracing::warn!(%path, mode, %error, "others have access to this file"),
    }
    Ok(())
}

/// Lets everybody read the file.
pub(crate) fn widen(file: &File) -> io::Result<()> {
    system::set_mode(file, 0o644)
}

#[cfg(unix)]
mod system {
    use std::{
        fs::{File, OpenOptions, Permissions},
        io,
        os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt},
        path::Path,
    };

    use rustix::fs::OFlags;

    use super::Links;

    pub(super) fn open(options: &mut OpenOptions, links: Links, path: &Path) -> io::Result<File> {
        // Opening a pipe without a writer would block.
        let mut flags = OFlags::NONBLOCK;
        if links == Links::Refused {
            flags |= OFlags::NOFOLLOW;
        }
        options.mode(0o600).custom_flags(flags.bits().cast_signed()).open(path).map_err(|error| {
            let is_link = path.symlink_metadata().is_ok_and(|found| found.is_symlink());
            match links {
                Links::Refused if is_link => io::Error::other("it is a symbolic link, not a file"),
                _ => error,
            }
        })
    }

    pub(super) fn user() -> u32 {
        rustix::process::geteuid().as_raw()
    }

    pub(super) fn owner(file: &File) -> io::Result<u32> {
        Ok(file.metadata()?.uid())
    }

    pub(super) fn mode(file: &File) -> io::Result<u32> {
        Ok(file.metadata()?.permissions().mode() & 0o777)
    }

    pub(super) fn set_mode(file: &File, mode: u32) -> io::Result<()> {
        file.set_permissions(Permissions::from_mode(mode))
    }
}

/// Fallback for systems without owners and modes: every file belongs to this user alone.
#[cfg(not(unix))]
mod system {
    use std::{
        fs::{File, OpenOptions},
        io,
        path::Path,
    };

    use super::Links;

    pub(super) fn open(options: &mut OpenOptions, links: Links, path: &Path) -> io::Result<File> {
        if links == Links::Refused && path.symlink_metadata().is_ok_and(|found| found.is_symlink())
        {
            return Err(io::Error::other("it is a symbolic link, not a file"));
        }
        options.open(path)
    }

    pub(super) fn user() -> u32 {
        0
    }

    pub(super) fn owner(_: &File) -> io::Result<u32> {
        Ok(0)
    }

    pub(super) fn mode(_: &File) -> io::Result<u32> {
        Ok(0o600)
    }

    pub(super) fn set_mode(_: &File, _: u32) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::{PermissionsExt, symlink},
    };

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn an_own_file_gets_mode_600_when_created_and_when_opened() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("user.db");
        open_own(&path).unwrap();
        assert_eq!(mode(&path), 0o600);
        for loose in [0o644, 0o666, 0o640, 0o777] {
            fs::set_permissions(&path, fs::Permissions::from_mode(loose)).unwrap();
            open_own(&path).unwrap();
            assert_eq!(mode(&path), 0o600, "was {loose:o}");
        }
    }

    #[test]
    fn an_own_file_is_not_a_link_a_folder_or_a_device() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("target");
        let link = folder.path().join("link");
        symlink(&target, &link).unwrap();
        let error = open_own(&link).unwrap_err().to_string();
        assert_eq!(error, "it is a symbolic link, not a file");
        assert!(!target.exists(), "created through a dangling link");
        fs::write(&target, "").unwrap();
        assert!(open_own(&link).is_err());
        assert!(open_own(folder.path()).is_err());
        assert!(open_own(Path::new("/dev/null")).unwrap_err().to_string().contains("device"));
    }

    #[test]
    fn another_users_file_is_not_owned() {
        let folder = tempfile::tempdir().unwrap();
        let file = open_own(&folder.path().join("a")).unwrap();
        let error = owned_by(system::user() + 1, &file).unwrap_err();
        assert!(error.to_string().contains("belongs to user"), "{error}");
    }

    #[test]
    fn a_secret_that_others_can_write_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        fs::write(&path, "x").unwrap();
        for (set, is_refused) in
            [(0o600, false), (0o640, false), (0o644, false), (0o620, true), (0o602, true)]
        {
            fs::set_permissions(&path, fs::Permissions::from_mode(set)).unwrap();
            assert_eq!(inspect_secret(&path).is_err(), is_refused, "{set:o}");
            assert_eq!(mode(&path), set, "a supplied secret keeps its mode");
        }
    }
}
