//! Ed25519 keys and where they are kept.

use std::{ffi::OsString, fmt, path::Path};

use aws_lc_rs::{
    digest::{SHA256, digest},
    rand::{SecureRandom, SystemRandom},
    signature::{Ed25519KeyPair, KeyPair},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use jsonwebtoken::{DecodingKey, EncodingKey};

use crate::files::{self, KeyError};

const PRIVATE: &str = "an Ed25519 private key (PKCS#8, PEM)";
const PUBLIC: &str = "an Ed25519 public key (SubjectPublicKeyInfo, PEM)";

/// What stands before the 32 bytes of the key in every Ed25519
/// SubjectPublicKeyInfo (RFC 8410): two sequences, the algorithm, a bit string.
const SPKI_PREFIX: [u8; 12] =
    [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// A private key. Its `Debug` names the key and never shows it.
#[derive(Clone)]
pub struct SigningKey {
    pub(crate) encoding: EncodingKey,
    public: PublicKey,
}

impl SigningKey {
    /// A new key from the system's randomness.
    #[expect(
        clippy::expect_used,
        reason = "fails only where the system gives no randomness, and then nothing is secure"
    )]
    pub fn generate() -> Self {
        let pair = Ed25519KeyPair::generate().expect("the system gives randomness");
        let der = pair.to_pkcs8v1().expect("a generated key has an encoding");
        Self::from_pkcs8(der.as_ref()).expect("a generated key parses")
    }

    /// The key in the file: PKCS#8, PEM.
    ///
    /// # Errors
    /// [`KeyError`] where the file is unreadable or holds something else.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        Self::from_pem(&files::read_private(path)?)
            .ok_or_else(|| KeyError::Malformed { path: path.to_owned(), expected: PRIVATE })
    }

    /// The key in the file, made (mode 0600) where there is none. The public key
    /// is published beside it: `keys/user.pem` has `keys/user.pub.pem`.
    ///
    /// # Errors
    /// [`KeyError`] where the file is unreadable, unwritable or holds something else.
    pub fn load_or_create(path: &Path) -> Result<Self, KeyError> {
        let text = files::read_or_create(path, || Self::generate().to_pem())?;
        let key = Self::from_pem(&text)
            .ok_or_else(|| KeyError::Malformed { path: path.to_owned(), expected: PRIVATE })?;
        let mut beside = OsString::from(path.with_extension(""));
        beside.push(".pub.pem");
        files::publish(Path::new(&beside), &key.public.to_pem())?;
        Ok(key)
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        self.public.clone()
    }

    fn from_pem(text: &str) -> Option<Self> {
        let encoding = EncodingKey::from_ed_pem(text.as_bytes()).ok()?;
        Self::from_pkcs8(encoding.as_bytes())
    }

    fn from_pkcs8(der: &[u8]) -> Option<Self> {
        let pair = Ed25519KeyPair::from_pkcs8(der).ok()?;
        let public = PublicKey::from_raw(pair.public_key().as_ref())?;
        Some(Self { encoding: EncodingKey::from_ed_der(der), public })
    }

    fn to_pem(&self) -> String {
        pem("PRIVATE KEY", self.encoding.as_bytes())
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("key_id", &self.public.key_id).finish_non_exhaustive()
    }
}

/// A public key.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    raw: [u8; 32],
    key_id: String,
}

impl PublicKey {
    /// The key in the file: SubjectPublicKeyInfo, PEM.
    ///
    /// # Errors
    /// [`KeyError`] where the file is unreadable or holds something else.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        Self::from_pem(&files::read(path)?)
            .ok_or_else(|| KeyError::Malformed { path: path.to_owned(), expected: PUBLIC })
    }

    /// What a token's `kid` says: the first 16 hexadecimal digits of the SHA-256
    /// of the raw key.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// The key as SubjectPublicKeyInfo, PEM.
    pub fn to_pem(&self) -> String {
        pem("PUBLIC KEY", &[&SPKI_PREFIX[..], &self.raw].concat())
    }

    pub(crate) fn raw(&self) -> &[u8; 32] {
        &self.raw
    }

    pub(crate) fn decoding(&self) -> DecodingKey {
        DecodingKey::from_ed_der(&self.raw)
    }

    fn from_pem(text: &str) -> Option<Self> {
        // A private key has a 32-byte string inside as well: only the label tells.
        if !text.trim_start().starts_with("-----BEGIN PUBLIC KEY-----") {
            return None;
        }
        let key = DecodingKey::from_ed_pem(text.as_bytes()).ok()?;
        Self::from_raw(key.try_get_as_bytes().ok()?)
    }

    pub(crate) fn from_raw(raw: &[u8]) -> Option<Self> {
        let raw: [u8; 32] = raw.try_into().ok()?;
        let digest = digest(&SHA256, &raw);
        let key_id = hex(&digest.as_ref()[..8]);
        Some(Self { raw, key_id })
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PublicKey").field(&self.key_id).finish()
    }
}

/// The 32 secret bytes in the file (64 hexadecimal digits), made (mode 0600)
/// where there are none.
///
/// # Errors
/// [`KeyError`] where the file is unreadable, unwritable or holds something else.
pub fn load_or_create_secret(path: &Path) -> Result<[u8; 32], KeyError> {
    let text = files::read_or_create(path, || {
        let mut secret = [0; 32];
        #[expect(
            clippy::expect_used,
            reason = "fails only where the system gives no randomness, and then nothing is secure"
        )]
        SystemRandom::new().fill(&mut secret).expect("the system gives randomness");
        hex(&secret) + "\n"
    })?;
    unhex(text.trim()).ok_or_else(|| KeyError::Malformed {
        path: path.to_owned(),
        expected: "32 bytes as 64 hexadecimal digits",
    })
}

fn hex(bytes: &[u8]) -> String {
    use fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let digits: Vec<u8> = text
        .chars()
        .map(|digit| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect::<Option<_>>()?;
    let bytes: Vec<u8> =
        digits.chunks(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect();
    (digits.len() == 64).then_some(())?;
    bytes.try_into().ok()
}

fn pem(label: &str, der: &[u8]) -> String {
    // RFC 7468 wants lines of 64.
    let text = STANDARD.encode(der);
    let mut lines = format!("-----BEGIN {label}-----\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(64));
        lines.push_str(line);
        lines.push('\n');
        rest = after;
    }
    lines.push_str(&format!("-----END {label}-----\n"));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 8410, section 10.
    const RFC_PRIVATE: &str = "-----BEGIN PRIVATE KEY-----\n\
        MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
        -----END PRIVATE KEY-----\n";
    const RFC_PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\n\
        MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n\
        -----END PUBLIC KEY-----\n";

    #[test]
    fn keys_of_other_tools_are_read_and_written_alike() {
        let key = SigningKey::from_pem(RFC_PRIVATE).unwrap();
        assert_eq!(key.to_pem(), RFC_PRIVATE);
        assert_eq!(key.public().to_pem(), RFC_PUBLIC);
        assert_eq!(PublicKey::from_pem(RFC_PUBLIC).unwrap(), key.public());
    }

    #[test]
    fn a_key_survives_its_file_and_its_public_half_lies_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("user.pem");
        let made = SigningKey::load_or_create(&path).unwrap();
        assert_eq!(SigningKey::load(&path).unwrap().public(), made.public());
        assert_eq!(SigningKey::load_or_create(&path).unwrap().public(), made.public());
        let public = PublicKey::load(&folder.path().join("user.pub.pem")).unwrap();
        assert_eq!(public, made.public());
    }

    #[test]
    fn a_file_of_another_kind_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("user.pem");
        for text in ["", "nonsense", RFC_PUBLIC, "-----BEGIN PRIVATE KEY-----\n"] {
            std::fs::write(&path, text).unwrap();
            let error = SigningKey::load_or_create(&path).unwrap_err().to_string();
            assert!(error.contains("user.pem does not hold an Ed25519 private key"), "{error}");
        }
        std::fs::write(&path, RFC_PRIVATE).unwrap();
        assert!(matches!(PublicKey::load(&path), Err(KeyError::Malformed { .. })));
        let absent = SigningKey::load(&folder.path().join("absent.pem"));
        assert!(matches!(absent, Err(KeyError::Read { .. })));
    }

    #[test]
    fn a_secret_survives_its_file_and_a_damaged_one_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let made = load_or_create_secret(&path).unwrap();
        assert_ne!(made, [0; 32]);
        assert_eq!(load_or_create_secret(&path).unwrap(), made);
        for text in ["", "00", &"0".repeat(63), &"0".repeat(66), &"é".repeat(32)] {
            std::fs::write(&path, text).unwrap();
            assert!(matches!(load_or_create_secret(&path), Err(KeyError::Malformed { .. })));
        }
    }

    #[test]
    fn debug_names_a_key_and_does_not_show_it() {
        let key = SigningKey::from_pem(RFC_PRIVATE).unwrap();
        let shown = format!("{key:?}");
        assert!(shown.contains(key.public().key_id()) && shown.len() < 60, "{shown}");
        assert_eq!(key.public().key_id().len(), 16);
    }
}
