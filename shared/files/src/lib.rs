//! Small text files, and files that hold secrets or personal data.
//!
//! # Reading
//! - [`read_text`]: certificates. A regular file of at most [`TEXT_LIMIT`] bytes, UTF-8 with or
//!   without a byte order mark.
//! - [`read_secret`]: secrets that an operator supplies.
//! - [`read_trusted`]: settings and public keys.
//! - [`read_own`]: files that only this user can have written.
//!
//! [`value`] returns the single line of such a text; [`pem::blocks`] its keys and certificates.
//!
//! # Writing
//! [`read_or_create`] and [`replace`] write a temporary file with an unpredictable name and mode
//! 0600 beside the target, sync it, move it to the target's name and sync the folder. A reader sees
//! the whole content or none. [`open_own`] prepares a file for another library to write to.
//!
//! # Rules
//! | file | symbolic link | owner | writable by others | readable by others |
//! |---|---|---|---|---|
//! | settings, public keys ([`read_trusted`]) | followed: platforms mount settings as links | this user or root, else refused | refused | allowed |
//! | supplied secret ([`read_secret`]) | followed: platforms mount secrets as links | this user or root, else a warning | refused | a warning: the platform sets the mode |
//! | secret made here ([`read_or_create`]) | followed when read, never written through | this user or root, else a warning | refused | set to 0600 if it is this user's, else a warning |
//! | own data ([`read_own`]) | refused | this user, else refused | refused | allowed |
//! | database ([`open_own`]) | refused | this user, else refused | set to 0600 | set to 0600 |
//!
//! For writing, "others" are the group and everybody else. For reading, they are everybody else: an
//! operator may let a group read. The rules do not apply on systems without owners and modes.
//!
//! An error contains neither the content nor the path of the file: the caller adds the path.

mod access;
pub mod pem;
mod text;
mod trusted;
mod write;

pub use access::{inspect_secret, open_own};
pub use text::{TEXT_LIMIT, decode, read_own, read_secret, read_text, value};
pub use trusted::{read_trusted, shell_word};
pub use write::{Readers, create_private_folders, read_or_create, replace, vacate};
