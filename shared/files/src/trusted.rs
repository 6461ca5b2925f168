//! Settings files: only trusted users may change them.

use std::{io, path::Path};

use crate::{
    access::{self, Links},
    text::{TEXT_LIMIT, bounded},
};

/// Reads a settings file that only root and the user of this process can change. Checks and reads
/// the same descriptor, so the file cannot be exchanged in between.
///
/// # Errors
/// Those of [`read_text`](crate::read_text); or the file belongs to another user, or its group or
/// others can write to it. The error names the command that corrects it.
pub fn read_trusted(path: &Path) -> io::Result<String> {
    let file = access::open_to_read(Links::Followed, path)?;
    let (owner, mode, user) = access::rights(&file)?;
    if let Some(why) = distrust(owner, mode, user, path) {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
    }
    bounded(file, TEXT_LIMIT)
}

/// Returns the reason to distrust a file, with the command that corrects it.
fn distrust(owner: u32, mode: u32, user: u32, path: &Path) -> Option<String> {
    const ROOT: u32 = 0;
    let word = shell_word(path);
    if owner != user && owner != ROOT {
        return Some(format!(
            "it belongs to user {owner}, not to root or user {user}, who runs this process; \
             if its content is right: chown {user} {word}"
        ));
    }
    if mode & access::OTHERS_WRITE != 0 {
        return Some(format!(
            "others can write to it (mode {mode:03o}); if its content is right: chmod go-w {word}"
        ));
    }
    None
}

/// Quotes a path as one shell word, for a command that a user can copy.
pub fn shell_word(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_alphanumeric() || "/._-".contains(c);
    let is_plain = !text.is_empty() && !text.starts_with('-') && text.chars().all(plain);
    if is_plain { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_of_root_and_the_own_user_are_trusted() {
        let of = |owner, mode| distrust(owner, mode, 1000, Path::new("a b"));
        for (owner, mode) in [(0, 0o644), (1000, 0o600), (1000, 0o755), (0, 0o444)] {
            assert_eq!(of(owner, mode), None, "{owner} {mode:o}");
        }
        assert_eq!(
            of(1001, 0o600).unwrap(),
            "it belongs to user 1001, not to root or user 1000, who runs this process; \
             if its content is right: chown 1000 'a b'"
        );
        for mode in [0o664, 0o622, 0o602, 0o777] {
            let why = of(1000, mode).unwrap();
            assert!(why.ends_with("if its content is right: chmod go-w 'a b'"), "{why}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_others_can_write_to_is_not_read() {
        use std::{
            fs::{self, Permissions},
            os::unix::fs::{PermissionsExt, symlink},
        };

        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("settings"), folder.path().join("link"));
        fs::write(&path, "x = 1").unwrap();
        // The rules apply to the target of a link.
        symlink(&path, &link).unwrap();
        for (mode, is_read) in [(0o600, true), (0o644, true), (0o664, false), (0o646, false)] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            assert_eq!(read_trusted(&path).is_ok(), is_read, "{mode:o}");
            assert_eq!(read_trusted(&link).is_ok(), is_read, "{mode:o}");
        }
    }

    #[test]
    fn a_path_is_one_word_of_a_shell() {
        for (path, word) in [
            ("./.gantry/admin-password", "./.gantry/admin-password"),
            ("my data/x", "'my data/x'"),
            ("it's;$(rm)", r"'it'\''s;$(rm)'"),
            ("-rf", "'-rf'"),
            ("", "''"),
        ] {
            assert_eq!(shell_word(Path::new(path)), word);
        }
    }
}
