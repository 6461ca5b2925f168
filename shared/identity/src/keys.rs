//! Ed25519 keys and their files.

use std::{ffi::OsString, fmt, path::Path};

use aws_lc_rs::{
    digest::{SHA256, digest},
    rand::{SecureRandom, SystemRandom},
    signature::{Ed25519KeyPair, KeyPair},
};
use gantry_files::{Readers, pem};
use jsonwebtoken::{DecodingKey, EncodingKey};

use crate::KeyError;

/// Expected content of a key file, and the label of its PEM block (RFC 7468, RFC 8410).
struct Kind {
    expected: &'static str,
    label: &'static str,
}

const PRIVATE: Kind =
    Kind { expected: "an Ed25519 private key (PKCS#8, PEM)", label: "PRIVATE KEY" };
const PUBLIC: Kind =
    Kind { expected: "an Ed25519 public key (SubjectPublicKeyInfo, PEM)", label: "PUBLIC KEY" };

/// Prefix of the 32 key bytes in every Ed25519 SubjectPublicKeyInfo (RFC 8410): two sequences, the
/// algorithm, a bit string.
const SPKI_PREFIX: [u8; 12] =
    [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// A private key. Its `Debug` shows only the key id.
#[derive(Clone)]
pub struct SigningKey {
    pub(crate) encoding: EncodingKey,
    public: PublicKey,
}

impl SigningKey {
    /// Generates a key from the system's random numbers.
    #[expect(
        clippy::expect_used,
        reason = "fails only if the system has no random numbers; nothing is secure then"
    )]
    pub fn generate() -> Self {
        let pair = Ed25519KeyPair::generate().expect("the system has random numbers");
        let der = pair.to_pkcs8v1().expect("a generated key has an encoding");
        Self::from_pkcs8(der.as_ref()).expect("a generated key parses")
    }

    /// Loads the key from a PKCS#8 PEM file, with or without explanatory text.
    ///
    /// # Errors
    /// [`KeyError`] if the file is unreadable, another user can write to it, or it has other
    /// content.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        let text = gantry_files::read_secret(path).map_err(KeyError::read(path))?;
        Self::from_pem(&text).map_err(PRIVATE.malformed(path))
    }

    /// Loads the key from the file. Creates the file (mode 0600) if it does not exist. Also writes
    /// the public key beside it: `keys/user.pem` has `keys/user.pub.pem`.
    ///
    /// # Errors
    /// [`KeyError`] if a file cannot be read or written, or has other content.
    pub fn load_or_create(path: &Path) -> Result<Self, KeyError> {
        let text = read_or_create(path, || Self::generate().to_pem())?;
        let key = Self::from_pem(&text).map_err(PRIVATE.malformed(path))?;
        let mut beside = OsString::from(path.with_extension(""));
        beside.push(".pub.pem");
        let (beside, public) = (Path::new(&beside), key.public.to_pem());
        if gantry_files::read_text(beside).ok().as_ref() != Some(&public) {
            gantry_files::replace(beside, public.as_bytes(), Readers::Everybody)
                .map_err(KeyError::write(beside))?;
        }
        Ok(key)
    }

    /// Returns the public key.
    pub fn public(&self) -> PublicKey {
        self.public.clone()
    }

    fn from_pem(text: &str) -> Result<Self, String> {
        Self::from_pkcs8(&PRIVATE.only_block(text)?).ok_or_else(|| PRIVATE.another_key())
    }

    fn from_pkcs8(der: &[u8]) -> Option<Self> {
        let pair = Ed25519KeyPair::from_pkcs8(der).ok()?;
        let public = PublicKey::from_raw(pair.public_key().as_ref())?;
        Some(Self { encoding: EncodingKey::from_ed_der(der), public })
    }

    fn to_pem(&self) -> String {
        pem::encode(PRIVATE.label, self.encoding.as_bytes())
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
    /// Loads the key from a SubjectPublicKeyInfo PEM file, with or without explanatory text.
    ///
    /// # Errors
    /// [`KeyError`] if the file is unreadable, another user can change it, or it has other content.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        let text = gantry_files::read_trusted(path).map_err(KeyError::read(path))?;
        Self::from_pem(&text).map_err(PUBLIC.malformed(path))
    }

    /// Returns the key id, which a token's header has as `kid`: the first 16 hexadecimal digits of
    /// the SHA-256 of the raw key.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// Returns the key as SubjectPublicKeyInfo, PEM.
    pub fn to_pem(&self) -> String {
        pem::encode(PUBLIC.label, &[&SPKI_PREFIX[..], &self.raw].concat())
    }

    pub(crate) fn raw(&self) -> &[u8; 32] {
        &self.raw
    }

    pub(crate) fn decoding(&self) -> DecodingKey {
        DecodingKey::from_ed_der(&self.raw)
    }

    fn from_pem(text: &str) -> Result<Self, String> {
        let der = PUBLIC.only_block(text)?;
        der.strip_prefix(&SPKI_PREFIX).and_then(Self::from_raw).ok_or_else(|| PUBLIC.another_key())
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

/// Loads 32 secret bytes from the file, written as 64 hexadecimal digits. Creates the file (mode
/// 0600) if it does not exist.
///
/// # Errors
/// [`KeyError`] if the file cannot be read or written, or has other content.
pub fn load_or_create_secret(path: &Path) -> Result<[u8; 32], KeyError> {
    let text = read_or_create(path, || {
        let mut secret = [0; 32];
        #[expect(
            clippy::expect_used,
            reason = "fails only if the system has no random numbers; nothing is secure then"
        )]
        SystemRandom::new().fill(&mut secret).expect("the system has random numbers");
        hex(&secret) + "\n"
    })?;
    unhex(text.trim()).ok_or_else(|| KeyError::Malformed {
        path: path.to_owned(),
        expected: "32 bytes as 64 hexadecimal digits",
        why: format!("it has {} characters", text.trim().chars().count()),
    })
}

fn read_or_create(path: &Path, make: impl FnOnce() -> String) -> Result<String, KeyError> {
    gantry_files::read_or_create(path, make).map_err(|error| match path.exists() {
        true => KeyError::read(path)(error),
        false => KeyError::write(path)(error),
    })
}

impl Kind {
    /// Returns the bytes of the only block of this kind.
    fn only_block(&self, text: &str) -> Result<Vec<u8>, String> {
        let blocks = pem::blocks(text).map_err(|error| error.to_string())?;
        let found = pem::labels(&blocks);
        let mut ours = blocks.into_iter().filter(|block| block.label == self.label);
        match (ours.next(), ours.next()) {
            (Some(block), None) => Ok(block.der),
            (Some(_), Some(_)) => Err("it holds more than one".to_owned()),
            (None, _) => Err(format!("found {found}")),
        }
    }

    fn another_key(&self) -> String {
        format!("its {} is of another kind", self.label)
    }

    fn malformed(&self, path: &Path) -> impl FnOnce(String) -> KeyError {
        let (path, expected) = (path.to_owned(), self.expected);
        move |why| KeyError::Malformed { path, expected, why }
    }
}

fn hex(bytes: &[u8]) -> String {
    use fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
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
    fn pem_files_are_the_same_as_those_of_rfc_8410() {
        let key = SigningKey::from_pem(RFC_PRIVATE).unwrap();
        assert_eq!(key.to_pem(), RFC_PRIVATE);
        assert_eq!(key.public().to_pem(), RFC_PUBLIC);
        assert_eq!(PublicKey::from_pem(RFC_PUBLIC).unwrap(), key.public());
    }

    #[test]
    fn keys_are_read_with_text_around_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.pem");
        let both = |text: fn(&str) -> String| {
            std::fs::write(&path, text(RFC_PRIVATE)).unwrap();
            let private = SigningKey::load(&path).map(|key| key.public());
            std::fs::write(&path, text(RFC_PUBLIC)).unwrap();
            [private, PublicKey::load(&path)].map(|read| read.map_err(|error| error.to_string()))
        };
        let key = PublicKey::from_pem(RFC_PUBLIC).unwrap();
        let forms: [fn(&str) -> String; 7] = [
            str::to_owned,
            |pem| format!("Bag Attributes\n    friendlyName: x\n{pem}"),
            |pem| format!("{pem}\nmade in 2026\n"),
            |pem| format!("\u{feff}{pem}"),
            |pem| pem.replace('\n', "\r\n"),
            |pem| format!("\n\n  {}  ", pem.replace('\n', "  \n ")),
            |pem| format!("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n{pem}"),
        ];
        for (number, form) in forms.into_iter().enumerate() {
            assert_eq!(both(form), [Ok(key.clone()), Ok(key.clone())], "form {number}");
        }
        type Form = (fn(&str) -> String, &'static str);
        let forms: [Form; 6] = [
            (|pem| format!("{pem}{pem}"), "it holds more than one"),
            (|pem| pem.replace("KEY", "OAR"), "found P"),
            (|pem| pem.replace("-----BEGIN", "----BEGIN"), "line 3: an END line"),
            (|pem| pem.replace("MC", "!!"), "line 2: not base64"),
            (|pem| pem.replace("K2V", "K2X"), "is of another kind"),
            (|_| String::new(), "found no PEM block"),
        ];
        for (form, why) in forms {
            for refused in both(form) {
                let error = refused.unwrap_err();
                assert!(error.contains(why) && !error.contains("BCIE"), "{error}");
            }
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_private_key_that_others_can_write_is_refused() {
        use std::os::unix::fs::PermissionsExt;

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("user.pem");
        SigningKey::load_or_create(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).unwrap();
        for refused in [SigningKey::load(&path), SigningKey::load_or_create(&path)] {
            assert!(refused.unwrap_err().to_string().contains("others can write"));
        }
    }

    #[test]
    fn a_key_round_trips_with_its_public_half_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("user.pem");
        let made = SigningKey::load_or_create(&path).unwrap();
        assert_eq!(SigningKey::load(&path).unwrap().public(), made.public());
        assert_eq!(SigningKey::load_or_create(&path).unwrap().public(), made.public());
        let public = PublicKey::load(&folder.path().join("user.pub.pem")).unwrap();
        assert_eq!(public, made.public());
    }

    #[test]
    fn an_error_names_the_file_and_the_expected_content() {
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
    fn a_secret_round_trips_and_a_damaged_one_is_rejected() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let made = load_or_create_secret(&path).unwrap();
        assert_ne!(made, [0; 32]);
        assert_eq!(load_or_create_secret(&path).unwrap(), made);
        let text = std::fs::read_to_string(&path).unwrap();
        for form in [format!("\u{feff}{text}"), format!(" {}\r\n", text.trim().to_uppercase())] {
            std::fs::write(&path, form).unwrap();
            assert_eq!(load_or_create_secret(&path).unwrap(), made);
        }
        for text in ["", "00", &"0".repeat(63), &"0".repeat(66), &"é".repeat(32)] {
            std::fs::write(&path, text).unwrap();
            assert!(matches!(load_or_create_secret(&path), Err(KeyError::Malformed { .. })));
        }
    }

    #[test]
    fn debug_shows_the_key_id_only() {
        let key = SigningKey::from_pem(RFC_PRIVATE).unwrap();
        let shown = format!("{key:?}");
        assert!(shown.contains(key.public().key_id()) && shown.len() < 60, "{shown}");
        assert_eq!(key.public().key_id().len(), 16);
    }
}
