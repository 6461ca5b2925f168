//! Reading small text files.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use crate::access::{self, Links};

/// Maximum length of a text, in bytes: 1 MiB, far more than settings, keys and certificate bundles
/// need.
pub const TEXT_LIMIT: u64 = 1 << 20;

/// Reads a small text file. A leading UTF-8 byte order mark is removed.
///
/// # Errors
/// The path is not a regular file, the text is longer than [`TEXT_LIMIT`] or not UTF-8, or the
/// system refuses.
pub fn read_text(path: &Path) -> io::Result<String> {
    bounded(access::open_to_read(Links::Followed, path)?, TEXT_LIMIT)
}

/// Reads a secret that an operator supplies: see the crate's table.
///
/// # Errors
/// Those of [`read_text`]; or others can write to the file.
pub fn read_secret(path: &Path) -> io::Result<String> {
    let file = access::open_to_read(Links::Followed, path)?;
    access::supplied(&file, path)?;
    bounded(file, TEXT_LIMIT)
}

/// Reads a text of at most `limit` bytes that only this process's user can have written.
///
/// # Errors
/// Those of [`read_text`]; or the path is a symbolic link, the file belongs to another user, or
/// others can write to it.
pub fn read_own(path: &Path, limit: u64) -> io::Result<String> {
    let file = access::open_to_read(Links::Refused, path)?;
    access::owned(&file)?;
    access::not_writable_by_others(&file)?;
    bounded(file, limit)
}

/// Returns the value in a text of one line, such as a password or a token, without line ends.
///
/// # Errors
/// The text is empty, has a second line, has white space around the value, or the value has a
/// control character.
pub fn value(text: &str) -> io::Result<&str> {
    let value = text.trim_end_matches(['\r', '\n']);
    let refuse = |why| Err(io::Error::new(io::ErrorKind::InvalidData, why));
    if value.trim().is_empty() {
        refuse("it is empty")
    } else if value.contains(['\r', '\n']) {
        refuse("it has more than one line")
    } else if value.trim() != value {
        refuse("it has white space around its value")
    } else if value.chars().any(char::is_control) {
        refuse("it has a control character in its value")
    } else {
        Ok(value)
    }
}

pub(crate) fn bounded(file: File, limit: u64) -> io::Result<String> {
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(io::Error::other(format!("it is longer than {limit} bytes")));
    }
    decode(bytes)
}

/// Decodes UTF-8 text without NUL. Removes a leading byte order mark.
///
/// # Errors
/// The bytes are not such text. The error names UTF-16 if they look like it.
pub fn decode(mut bytes: Vec<u8>) -> io::Result<String> {
    const BOM: &[u8] = b"\xef\xbb\xbf";
    let refuse = |why| Err(io::Error::new(io::ErrorKind::InvalidData, why));
    if bytes.starts_with(BOM) {
        bytes.drain(..BOM.len());
    }
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return refuse("it is UTF-16 text, expected UTF-8");
    }
    match String::from_utf8(bytes) {
        Ok(text) if text.contains('\0') => refuse("it has a NUL byte, expected UTF-8 text"),
        Ok(text) => Ok(text),
        Err(_) => refuse("it is not UTF-8 text"),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn read(content: &[u8]) -> Result<String, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, content).unwrap();
        read_text(&path).map_err(|error| error.to_string())
    }

    #[test]
    fn a_leading_byte_order_mark_is_removed() {
        assert_eq!(read(b"\xef\xbb\xbfa\r\n").unwrap(), "a\r\n");
        assert_eq!(read(b"\xef\xbb\xbf").unwrap(), "");
        // Only one is removed, and only in front.
        assert_eq!(read("\u{feff}\u{feff}a".as_bytes()).unwrap(), "\u{feff}a");
    }

    #[test]
    fn other_encodings_are_named() {
        assert!(read(b"\xff\xfea\0").unwrap_err().contains("UTF-16"));
        assert!(read(b"\xfe\xff\0a").unwrap_err().contains("UTF-16"));
        assert!(read(b"a\0b\0").unwrap_err().contains("NUL"));
        assert!(read(b"caf\xe9").unwrap_err().contains("not UTF-8"));
    }

    #[test]
    fn a_text_is_bounded() {
        let limit = usize::try_from(TEXT_LIMIT).unwrap();
        assert!(read(&vec![b'a'; limit]).is_ok());
        assert!(read(&vec![b'a'; limit + 1]).unwrap_err().contains("longer than 1048576 bytes"));
    }

    #[test]
    fn a_folder_a_device_and_a_pipe_are_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        assert!(read_text(folder.path()).unwrap_err().to_string().contains("folder"));
        assert_eq!(
            read_text(&folder.path().join("absent")).unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
        #[cfg(unix)]
        {
            assert!(read_text(Path::new("/dev/zero")).unwrap_err().to_string().contains("device"));
            let pipe = folder.path().join("pipe");
            let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
            assert!(made.success());
            assert!(read_text(&pipe).unwrap_err().to_string().contains("pipe"));
        }
    }

    #[test]
    fn a_value_is_one_line_without_its_end() {
        for text in ["a b", "a b\n", "a b\r\n", "a b\n\n", "a b\r"] {
            assert_eq!(value(text).unwrap(), "a b", "{text:?}");
        }
        for (text, why) in [
            ("", "empty"),
            ("\r\n", "empty"),
            ("  \n", "empty"),
            (" a\n", "white space"),
            ("a \n", "white space"),
            ("\ta", "white space"),
            ("a\u{a0}\n", "white space"),
            ("a\nb\n", "more than one line"),
            ("a\rb", "more than one line"),
            ("a\u{7}b", "control character"),
        ] {
            let error = value(text).unwrap_err().to_string();
            assert!(error.contains(why), "{text:?}: {error}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn own_data_is_refused_if_a_link_or_writable_by_others() {
        use std::os::unix::fs::{PermissionsExt, symlink};

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cache");
        fs::write(&path, "abc").unwrap();
        assert_eq!(read_own(&path, 3).unwrap(), "abc");
        assert!(read_own(&path, 2).unwrap_err().to_string().contains("longer than 2 bytes"));
        let link = folder.path().join("link");
        symlink(&path, &link).unwrap();
        assert!(read_own(&link, 3).unwrap_err().to_string().contains("symbolic link"));
        for mode in [0o620, 0o602] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert!(read_own(&path, 3).unwrap_err().to_string().contains("others can write"));
        }
    }
}
