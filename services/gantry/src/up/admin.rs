//! The bootstrap admin: made at the first start, with a password nobody else knows.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

use gantry_user::EnsureAdminError;
use uuid::Uuid;

/// The e-mail address of the admin that the first start makes.
pub const ADMIN_EMAIL: &str = "admin@gantry.local";

/// How the admin came to be, for the banner.
#[derive(Debug)]
pub(super) struct Bootstrap {
    /// The admin's e-mail address.
    pub(super) email: &'static str,
    /// Where the password is kept until its owner deletes it.
    pub(super) password_file: PathBuf,
    /// The password, where this start made the admin.
    pub(super) created_password: Option<String>,
}

/// Why there is no admin.
#[derive(Debug, thiserror::Error)]
pub enum BootstrapError {
    /// The password file is unreadable or cannot be made.
    #[error("the admin's password file {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The password in the file breaks a rule.
    #[error("the admin's password file {}: {source}", path.display())]
    Password {
        /// The file.
        path: PathBuf,
        /// Which rule.
        source: EnsureAdminError,
    },
    /// The user service refused the admin.
    #[error("cannot make the bootstrap admin: {0}")]
    Refused(#[from] EnsureAdminError),
}

/// Makes the admin unless there is one.
///
/// # Errors
/// [`BootstrapError`]
pub(super) async fn bootstrap(
    users: &gantry_user::Service,
    password_file: PathBuf,
) -> Result<Bootstrap, BootstrapError> {
    let mut created_password = None;
    if !users.user_exists(ADMIN_EMAIL).await? {
        let password = read_or_make(&password_file)
            .map_err(|source| BootstrapError::File { path: password_file.clone(), source })?;
        users.ensure_admin(ADMIN_EMAIL, &password).await.map_err(|error| match error {
            source @ EnsureAdminError::Invalid(_) => {
                BootstrapError::Password { path: password_file.clone(), source }
            }
            other => other.into(),
        })?;
        created_password = Some(password);
    }
    Ok(Bootstrap { email: ADMIN_EMAIL, password_file, created_password })
}

/// The password in the file; where there is none, a new one, written for its owner only.
fn read_or_make(path: &Path) -> io::Result<String> {
    match fs::read_to_string(path) {
        Ok(text) => return Ok(text.trim().to_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    // 122 random bits from the operating system.
    let password = Uuid::new_v4().simple().to_string();
    // Under another name until it is whole: an empty file would refuse every later start. A name
    // that no start had before: one that was killed here may have left its own.
    let mut partial = path.as_os_str().to_owned();
    partial.push(format!(".{}", Uuid::new_v4().simple()));
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&partial)?;
    file.write_all(password.as_bytes())?;
    file.sync_all()?;
    fs::rename(&partial, path)?;
    Ok(password)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_made_once_and_for_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin-password");
        let made = read_or_make(&path).unwrap();
        assert_eq!(made.len(), 32);
        assert_eq!(read_or_make(&path).unwrap(), made);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn what_a_start_that_was_killed_left_is_in_nobodys_way() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin-password");
        // In a container every start has the same process id.
        fs::write(folder.path().join(format!("admin-password.{}", std::process::id())), "")
            .unwrap();
        assert_eq!(read_or_make(&path).unwrap().len(), 32);
    }

    #[test]
    fn a_password_that_is_there_is_taken_without_its_line_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("given");
        fs::write(&path, "correct horse\n").unwrap();
        assert_eq!(read_or_make(&path).unwrap(), "correct horse");
    }
}
