//! Bootstrap admin: created at the first start, with a random password.

use std::{
    io,
    path::{Path, PathBuf},
};

use gantry_user::application::{EnsureAdmin, EnsureAdminError};
use uuid::Uuid;

/// E-mail address of the bootstrap admin.
pub const ADMIN_EMAIL: &str = "admin@gantry.local";

/// Result of the bootstrap, for the banner.
#[derive(Debug)]
pub(super) struct Bootstrap {
    /// The admin's e-mail address.
    pub(super) email: &'static str,
    /// File with the password; its owner may delete it.
    pub(super) password_file: PathBuf,
    /// Password, if this start created the admin.
    pub(super) created_password: Option<String>,
}

/// Error of the bootstrap.
#[derive(Debug, thiserror::Error)]
pub enum BootstrapError {
    /// The password file cannot be read or created.
    #[error("cannot use the admin's password file {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
    /// The password in the file breaks a rule.
    #[error("cannot use the admin's password file {}: {source}", path.display())]
    Password {
        /// The file.
        path: PathBuf,
        /// Broken rule.
        source: EnsureAdminError,
    },
    /// The user service rejected the admin.
    #[error("cannot create the bootstrap admin: {0}")]
    Refused(#[from] EnsureAdminError),
}

/// Checks the password in the file before anything is written. Without effect if the database exists: only
/// a first start reads the password.
///
/// # Errors
/// [`BootstrapError`]
pub(super) fn check(database: &Path, password_file: &Path) -> Result<(), BootstrapError> {
    if database.exists() {
        return Ok(());
    }
    let failed = |source| BootstrapError::File { path: password_file.to_owned(), source };
    let Some(password) = read(password_file).map_err(failed)? else { return Ok(()) };
    gantry_user::domain::Password::try_new(&password).map(drop).map_err(|invalid| {
        BootstrapError::Password { path: password_file.to_owned(), source: invalid.into() }
    })
}

/// Creates the admin unless one exists.
///
/// # Errors
/// [`BootstrapError`]
pub(super) async fn bootstrap(
    admins: &EnsureAdmin,
    password_file: PathBuf,
) -> Result<Bootstrap, BootstrapError> {
    let mut created_password = None;
    if !admins.exists(ADMIN_EMAIL).await? {
        let password = read_or_make(&password_file)
            .map_err(|source| BootstrapError::File { path: password_file.clone(), source })?;
        admins.run(ADMIN_EMAIL, &password).await.map_err(|error| match error {
            source @ EnsureAdminError::Invalid(_) => {
                BootstrapError::Password { path: password_file.clone(), source }
            }
            other => other.into(),
        })?;
        created_password = Some(password);
    }
    Ok(Bootstrap { email: ADMIN_EMAIL, password_file, created_password })
}

/// Returns the password in the file, if there is one.
fn read(path: &Path) -> io::Result<Option<String>> {
    match gantry_files::read_secret(path) {
        Ok(text) => Ok(Some(gantry_files::value(&text)?.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Returns the password in the file. Without a file, writes a new password, readable by its owner only.
fn read_or_make(path: &Path) -> io::Result<String> {
    // 122 random bits from the operating system.
    let text = gantry_files::read_or_create(path, || Uuid::new_v4().simple().to_string())?;
    Ok(gantry_files::value(&text)?.to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs;

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
    fn a_supplied_password_is_its_line_or_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("given");
        let read = |text: &str| {
            fs::write(&path, text).unwrap();
            read_or_make(&path).map_err(|error| error.to_string())
        };
        for text in ["correct horse\n", "\u{feff}correct horse\r\n", "correct horse"] {
            assert_eq!(read(text).unwrap(), "correct horse", "{text:?}");
        }
        for text in ["", "\n", " correct horse\n", "correct\nhorse", "correct\0horse"] {
            let error = read(text).unwrap_err();
            assert!(!error.contains("horse"), "{error}");
        }
    }
}
