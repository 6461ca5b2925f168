//! Public keys as others publish and read them: JSON Web Keys (RFC 7517) of the kind OKP,
//! Ed25519 (RFC 8037).

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use serde::{Deserialize, Serialize};

use crate::PublicKey;

/// A public key as a JSON Web Key; the names are the RFC's. Anything else that a key may
/// have, a private part (`d`) above all, is not read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Jwk {
    /// The kind of key: `OKP`.
    pub kty: String,
    /// The curve: `Ed25519`.
    pub crv: String,
    /// The key itself, base64url.
    pub x: String,
    /// What a token's header says of it.
    pub kid: String,
    /// What it signs with: `EdDSA`.
    pub alg: String,
}

impl From<&PublicKey> for Jwk {
    fn from(key: &PublicKey) -> Self {
        Self {
            kty: "OKP".to_owned(),
            crv: "Ed25519".to_owned(),
            x: URL_SAFE_NO_PAD.encode(key.raw()),
            kid: key.key_id().to_owned(),
            alg: "EdDSA".to_owned(),
        }
    }
}

impl Jwk {
    /// The key, where it is one that we could check a token with. Other kinds may stand
    /// beside it in a set, and are no mistake (RFC 7517, section 5).
    pub fn public_key(&self) -> Option<PublicKey> {
        if (&*self.kty, &*self.crv) != ("OKP", "Ed25519") {
            return None;
        }
        let key = PublicKey::from_raw(&URL_SAFE_NO_PAD.decode(&self.x).ok()?)?;
        // Its name follows from the key, and is not for the publisher to choose.
        (key.key_id() == self.kid).then_some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SigningKey;

    #[test]
    fn a_key_survives_the_way_and_others_are_passed_over() {
        let key = SigningKey::generate().public();
        let jwk = Jwk::from(&key);
        assert_eq!(jwk.public_key(), Some(key));
        for change in [
            |jwk: &mut Jwk| jwk.kty = "RSA".into(),
            |jwk: &mut Jwk| jwk.crv = "X25519".into(),
            |jwk: &mut Jwk| jwk.x = "AAAA".into(),
            |jwk: &mut Jwk| jwk.x.push('='),
            |jwk: &mut Jwk| jwk.kid = "another".into(),
        ] {
            let mut changed = jwk.clone();
            change(&mut changed);
            assert_eq!(changed.public_key(), None, "{changed:?}");
        }
    }
}
