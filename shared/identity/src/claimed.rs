//! Unverified claims of a token, for the log.

use serde::Deserialize;

/// Maximum length of a claim that is kept, in bytes.
const MAX_CLAIM: usize = 128;

/// Issuer and key id as the token states them. Not verified.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claimed {
    /// The claim `iss`.
    pub issuer: Option<String>,
    /// The header `kid`.
    pub key_id: Option<String>,
}

#[derive(Deserialize)]
struct Issuer {
    iss: Option<String>,
}

impl Claimed {
    /// Reads the claims without verifying them. A malformed token has none.
    pub fn of(token: &str) -> Self {
        let key_id = jsonwebtoken::decode_header(token).ok().and_then(|header| header.kid);
        let claims = jsonwebtoken::dangerous::insecure_decode_claims::<Issuer>(token);
        let issuer = claims.ok().and_then(|claims| claims.iss);
        Self { issuer: issuer.map(cut), key_id: key_id.map(cut) }
    }
}

fn cut(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(MAX_CLAIM));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Acting, ServiceSigner, SigningKey};

    #[test]
    fn a_token_states_its_issuer_and_key() {
        let key = SigningKey::generate();
        let key_id = key.public().key_id().to_owned();
        let token = ServiceSigner::new("order", key).token("user", Acting::Itself { cause: None });
        let claimed = Claimed { issuer: Some("order".to_owned()), key_id: Some(key_id) };
        assert_eq!(Claimed::of(&token), claimed);
        // A damaged signature makes no difference.
        assert_eq!(Claimed::of(&format!("{token}x")), claimed);
    }

    #[test]
    fn a_malformed_token_claims_nothing() {
        for token in
            ["", ".", "..", "a.b.c", "eyJ", "e30.e30.", "e30.eyJpc3MiOjF9.x", "\u{202e}.\0.x"]
        {
            assert_eq!(Claimed::of(token), Claimed::default(), "{token:?}");
        }
    }

    #[test]
    fn a_long_claim_is_truncated() {
        use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

        let claims = format!(r#"{{"iss":"{}"}}"#, "é".repeat(10_000));
        let token = format!("e30.{}.x", URL_SAFE_NO_PAD.encode(claims));
        assert_eq!(Claimed::of(&token).issuer.map(|issuer| issuer.len()), Some(128));
    }
}
