//! Paths that can hold a database.
//!
//! SQLite and its URLs know names that are no files: an empty one, `:memory:`, `file:...`. Such a
//! database would take writes and lose them when the process ends.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, de::Error};

/// Expected value of the setting, for its errors.
const EXPECTED: &str = "expected the path of a file, such as .gantry/user.db";

/// Checks that a path names a file on the disk.
///
/// # Errors
/// Fault of the path, without the path.
pub(crate) fn check(path: &Path) -> Result<(), &'static str> {
    let text = path.to_string_lossy();
    if text.trim().is_empty() {
        return Err("it is empty");
    }
    if text.contains('\0') || text.chars().any(char::is_control) {
        return Err("it has a NUL or another control character");
    }
    if text.trim() != text {
        return Err("it has white space around it");
    }
    if text.starts_with(':') {
        return Err("it names a database in memory, which would be lost");
    }
    if has_scheme(&text) {
        return Err("it is a URL");
    }
    if text.starts_with("~/") || text == "~" {
        return Err("it begins with ~, which only a shell replaces");
    }
    if text.ends_with(std::path::is_separator) || path.file_name().is_none() {
        return Err("it is a folder");
    }
    // `file_name` passes over a last part that is a dot.
    if text.ends_with("/.") {
        return Err("it is a folder");
    }
    Ok(())
}

/// Reads the setting.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
    let path = PathBuf::deserialize(deserializer)?;
    match check(&path) {
        Ok(()) => Ok(path),
        Err(why) => Err(D::Error::custom(format_args!("{EXPECTED}, and {why}"))),
    }
}

/// `sqlite://`, `file:`, `postgres:`. One letter is a drive of Windows.
fn has_scheme(text: &str) -> bool {
    let Some((scheme, _)) = text.split_once(':') else { return false };
    let mut characters = scheme.chars();
    scheme.len() > 1
        && characters.next().is_some_and(|c| c.is_ascii_alphabetic())
        && characters.all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_hold_a_database() {
        for path in [
            "user.db",
            "./user.db",
            "/var/lib/gantry/user.db",
            "a b/c d.db",
            "ü.db",
            "a:b/user.db",
            "./file:x",
            "../user",
            "~user/user.db",
            "C:/user.db",
            "user.db?mode=memory",
        ] {
            assert_eq!(check(Path::new(path)), Ok(()), "{path}");
        }
        for (path, why) in [
            ("", "empty"),
            ("  ", "empty"),
            (":memory:", "in memory"),
            (":memory:?cache=shared", "in memory"),
            ("file:user.db", "URL"),
            ("file::memory:", "URL"),
            ("FILE:user.db?mode=memory", "URL"),
            ("sqlite:user.db", "URL"),
            ("sqlite::memory:", "URL"),
            ("sqlite:///var/user.db", "URL"),
            ("postgres://localhost/user", "URL"),
            ("data/", "folder"),
            ("/", "folder"),
            (".", "folder"),
            ("..", "folder"),
            ("data/.", "folder"),
            ("data/..", "folder"),
            ("user\0.db", "NUL"),
            ("user.db\n", "control"),
            (" user.db", "white space"),
            ("~/user.db", "~"),
        ] {
            let told = check(Path::new(path)).expect_err(path);
            assert!(told.contains(why), "{path:?}: {told}");
        }
    }
}
