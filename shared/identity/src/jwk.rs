//! Public keys as JSON Web Keys (RFC 7517) of the type OKP with the curve Ed25519 (RFC 8037).

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use serde::{Deserialize, Serialize};

use crate::PublicKey;

/// A public key as a JSON Web Key. The field names are those of the RFCs. Other fields, above all a
/// private part (`d`), are rejected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Jwk {
    /// Key type: `OKP`.
    pub kty: String,
    /// Curve: `Ed25519`.
    pub crv: String,
    /// Public key, base64url without padding.
    pub x: String,
    /// Key id. A token's header names it.
    pub kid: String,
    /// Signature algorithm: `EdDSA`.
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
    /// Returns the key if it is an Ed25519 key. Keys of other types may be in the same set; they
    /// are not an error (RFC 7517, section 5).
    pub fn public_key(&self) -> Option<PublicKey> {
        if (&*self.kty, &*self.crv) != ("OKP", "Ed25519") {
            return None;
        }
        let key = PublicKey::from_raw(&URL_SAFE_NO_PAD.decode(&self.x).ok()?)?;
        // The key id is a hash of the key, so the publisher cannot choose it.
        (key.key_id() == self.kid).then_some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SigningKey;

    #[test]
    fn a_key_round_trips_and_other_kinds_are_skipped() {
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
