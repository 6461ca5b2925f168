//! Verification of tokens.

use std::{borrow::Cow, convert::Infallible, future::pending};

use gantry_contract::access::{Actor, Caller};
use jsonwebtoken::{Algorithm, Validation, errors::ErrorKind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use time::OffsetDateTime;

use crate::{
    claims::{Kind, Lifetime, Registered, Service, USERS, User},
    keys::PublicKey,
    published::{KeysReport, PublishedKeys},
    verified_tokens::{TokenHash, Verified, VerifiedTokens},
};

/// Maximum number of cached tokens. Takes a few megabytes; enough for the users and services that
/// call one process within the lifetime of a token.
const CACHE_CAPACITY: usize = 8192;

/// Kind of token that a trusted key may sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Issues {
    /// User tokens.
    Users,
    /// Tokens of the service that is the key's issuer.
    Service,
}

/// Trusted key and its scope. A list must have one entry per key; if there are several, the first
/// one applies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedKey {
    /// Issuer that the key signs for: a service's name, or [`USERS`] for user tokens.
    pub issuer: String,
    /// Kind of token that the key may sign.
    pub issues: Issues,
    /// The key.
    pub key: PublicKey,
}

/// Reason why a token is rejected. Contains nothing from the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not a JWT, or a claim is missing or has the wrong type.
    #[error("the token is malformed")]
    Malformed,
    /// The algorithm is not EdDSA.
    #[error("the token's algorithm is not accepted")]
    WrongAlgorithm,
    /// The type (`typ`) is not that of the tokens that the key signs.
    #[error("the token's type is not the one that its key signs")]
    WrongType,
    /// The named key is not trusted.
    #[error("the token is signed with an unknown key")]
    UnknownKey,
    /// The named key did not sign the token.
    #[error("the token's signature does not match")]
    BadSignature,
    /// The key does not sign for this issuer.
    #[error("the token's issuer is not the one its key stands for")]
    WrongIssuer,
    /// The token is for another service.
    #[error("the token is meant for another audience")]
    WrongAudience,
    /// The lifetime exceeds the maximum for the token's kind.
    #[error("the token is valid for longer than its kind may be")]
    TooLong,
    /// The token has expired.
    #[error("the token has expired")]
    Expired,
    /// The issue time or the start of validity is in the future.
    #[error("the token is not valid yet")]
    NotYetValid,
}

/// Verifies the tokens of the callers of one service.
#[derive(Debug)]
pub struct Verifier {
    service: String,
    trusted: Vec<TrustedKey>,
    published: Vec<PublishedKeys>,
    /// Verified tokens. Valid only for the current keys: cleared when they change.
    verified: VerifiedTokens,
}

impl Verifier {
    /// Creates a verifier for `service` with trusted keys.
    pub fn new(service: &str, trusted: Vec<TrustedKey>) -> Self {
        Self::knowing(CACHE_CAPACITY, service, trusted)
    }

    fn knowing(most: usize, service: &str, trusted: Vec<TrustedKey>) -> Self {
        Self {
            service: service.to_owned(),
            trusted,
            published: Vec::new(),
            verified: VerifiedTokens::new(most),
        }
    }

    /// Adds trusted keys.
    #[must_use]
    pub fn trusting(mut self, keys: impl IntoIterator<Item = TrustedKey>) -> Self {
        self.trusted.extend(keys);
        self
    }

    /// Adds the keys of a publisher.
    #[must_use]
    pub fn published(mut self, keys: PublishedKeys) -> Self {
        self.published.push(keys);
        self
    }

    /// Refreshes published keys while it is polled. Never completes.
    pub async fn follow(&self) -> Infallible {
        loop {
            self.learn().await;
            match self.published.iter().map(PublishedKeys::refresh_delay).min() {
                Some(delay) => tokio::time::sleep(delay).await,
                None => pending().await,
            }
        }
    }

    /// Like [`verify`](Self::verify), but fetches the published keys if the key is unknown. Does
    /// not fetch again within the minimum interval.
    ///
    /// # Errors
    /// [`TokenError`] if the token is rejected.
    pub async fn verify_or_learn(&self, token: &str) -> Result<Caller, TokenError> {
        match self.verify(token) {
            Err(TokenError::UnknownKey) if self.may_learn() => {
                self.learn().await;
                self.verify(token)
            }
            verified => verified,
        }
    }

    /// Returns true if there is a publisher to fetch keys from.
    pub fn may_learn(&self) -> bool {
        !self.published.is_empty()
    }

    /// Returns the state of the keys of each publisher.
    pub fn published_keys(&self) -> Vec<KeysReport> {
        self.published.iter().map(PublishedKeys::report).collect()
    }

    async fn learn(&self) {
        for keys in &self.published {
            // Clear before the next fetch, because the caller may be cancelled during it.
            if keys.refresh().await {
                self.verified.clear();
            }
        }
    }

    /// Verifies the token at the current time and returns the caller.
    ///
    /// # Errors
    /// [`TokenError`] if the token is rejected.
    pub fn verify(&self, token: &str) -> Result<Caller, TokenError> {
        self.verify_at(token, OffsetDateTime::now_utc())
    }

    /// Returns true if the token was verified before. It may have expired since. Cheap: computes
    /// one hash.
    pub fn knows(&self, token: &str) -> bool {
        self.verified.get(&TokenHash::of(token)).is_some()
    }

    /// Like [`verify`](Self::verify), at the time `now`.
    ///
    /// # Errors
    /// [`TokenError`] if the token is rejected.
    pub fn verify_at(&self, token: &str, now: OffsetDateTime) -> Result<Caller, TokenError> {
        let hash = TokenHash::of(token);
        if let Some(verified) = self.verified.get(&hash) {
            if let Err(invalid) = verified.lifetime.check(now) {
                self.verified.remove(&hash);
                return Err(invalid);
            }
            return Ok(verified.caller.clone());
        }
        let verified = self.prove(token, now)?;
        let caller = verified.caller.clone();
        self.verified.add(hash, verified);
        Ok(caller)
    }

    fn prove(&self, token: &str, now: OffsetDateTime) -> Result<Verified, TokenError> {
        let header = jsonwebtoken::decode_header(token).map_err(|error| reason(error.kind()))?;
        if header.alg != Algorithm::EdDSA {
            return Err(TokenError::WrongAlgorithm);
        }
        // `crit` lists extensions that the verifier must understand (RFC 7515). It understands
        // none.
        if header.crit.is_some() {
            return Err(TokenError::Malformed);
        }
        let key_id = header.kid.ok_or(TokenError::UnknownKey)?;
        let trusted = self.trusts(&key_id).ok_or(TokenError::UnknownKey)?;
        let kind = match trusted.issues {
            Issues::Users => Kind::USER,
            Issues::Service => Kind::SERVICE,
        };
        let claims = Claims { trusted: &trusted, kind, now };
        let (caller, lifetime) = match trusted.issues {
            Issues::Users => {
                let user: User = signed_claims(token, &trusted.key)?;
                let lifetime = claims.check(&user.registered, USERS)?;
                (Caller::User(user.actor.into()), lifetime)
            }
            Issues::Service => {
                let service: Service = signed_claims(token, &trusted.key)?;
                let lifetime = claims.check(&service.registered, &self.service)?;
                (caller(service)?, lifetime)
            }
        };
        // Checked last, so that a forged token is reported as forged, regardless of its type.
        let is_of_kind = header.typ.is_some_and(|typ| typ.eq_ignore_ascii_case(claims.kind.typ));
        if !is_of_kind {
            return Err(TokenError::WrongType);
        }
        Ok(Verified { caller, lifetime })
    }
}

impl Verifier {
    fn trusts(&self, key_id: &str) -> Option<Cow<'_, TrustedKey>> {
        let listed = self.trusted.iter().find(|trusted| trusted.key.key_id() == key_id);
        listed.map(Cow::Borrowed).or_else(|| {
            self.published.iter().find_map(|published| {
                let key = published.find(key_id)?;
                let PublishedKeys { issuer, issues, .. } = published;
                Some(Cow::Owned(TrustedKey { issuer: issuer.clone(), issues: *issues, key }))
            })
        })
    }
}

/// Verifies the signature and returns the claims.
fn signed_claims<C: DeserializeOwned>(token: &str, key: &PublicKey) -> Result<C, TokenError> {
    let mut validation = Validation::new(Algorithm::EdDSA);
    // `Claims::check` checks these, against `now` and against the issuer of this key.
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    jsonwebtoken::decode(token, &key.decoding(), &validation)
        .map(|data| data.claims)
        .map_err(|error| reason(error.kind()))
}

/// Expected values of the registered claims.
struct Claims<'t> {
    trusted: &'t TrustedKey,
    kind: Kind,
    now: OffsetDateTime,
}

impl Claims<'_> {
    fn check(&self, claims: &Registered, audience: &str) -> Result<Lifetime, TokenError> {
        if claims.iss != self.trusted.issuer {
            return Err(TokenError::WrongIssuer);
        }
        if claims.aud != audience {
            return Err(TokenError::WrongAudience);
        }
        let lifetime = claims.lifetime(&self.kind)?;
        lifetime.check(self.now).map(|()| lifetime)
    }
}

fn caller(claims: Service) -> Result<Caller, TokenError> {
    let service = claims.registered.iss;
    match (claims.actor, claims.cause.map(Actor::from)) {
        (Some(actor), None) => Ok(Caller::Delegate { service, actor: actor.into() }),
        (None, cause) => Ok(Caller::Service { service, cause }),
        (Some(_), Some(_)) => Err(TokenError::Malformed),
    }
}

fn reason(error: &ErrorKind) -> TokenError {
    match error {
        ErrorKind::InvalidSignature => TokenError::BadSignature,
        ErrorKind::InvalidAlgorithm
        | ErrorKind::InvalidAlgorithmName
        | ErrorKind::UnsupportedAlgorithm => TokenError::WrongAlgorithm,
        _ => TokenError::Malformed,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration as StdDuration;

    use time::{Duration, macros::datetime};

    use super::*;
    use crate::{SigningKey, UserClaims, UserSigner};

    const NOW: OffsetDateTime = datetime!(2026-01-01 12:00 UTC);

    /// Returns a verifier that caches up to 64 tokens, and a signer of tokens that live for a
    /// minute.
    fn pair() -> (Verifier, impl Fn(&str) -> String) {
        let key = SigningKey::generate();
        let trusted = TrustedKey { issuer: USERS.into(), issues: Issues::Users, key: key.public() };
        let signer = UserSigner::new(key, StdDuration::from_secs(60));
        let sign = move |user: &str| {
            let claims = UserClaims {
                sub: user.into(),
                email: String::new(),
                roles: vec![],
                permissions: vec![],
            };
            signer.token(&claims, NOW).token
        };
        (Verifier::knowing(64, "inventory", vec![trusted]), sign)
    }

    fn user(name: &str) -> Result<Caller, TokenError> {
        Ok(Caller::User(Actor { subject: name.into(), roles: vec![] }))
    }

    #[test]
    fn a_cached_token_needs_no_second_verification() {
        let (mut verifier, sign) = pair();
        let (ann, bob) = (sign("ann"), sign("bob"));
        assert_eq!(verifier.verify_at(&ann, NOW), user("ann"));
        // Without the key, no signature can be verified.
        verifier.trusted.clear();
        assert_eq!(verifier.verify_at(&ann, NOW), user("ann"));
        assert_eq!(verifier.verify_at(&bob, NOW), Err(TokenError::UnknownKey));
    }

    #[test]
    fn an_expired_token_leaves_the_cache() {
        let (verifier, sign) = pair();
        let token = sign("ann");
        let at = |seconds| verifier.verify_at(&token, NOW + Duration::seconds(seconds));
        assert_eq!((at(0), at(64)), (user("ann"), user("ann")));
        assert_eq!(verifier.verified.len(), 1);
        assert_eq!(at(65), Err(TokenError::Expired));
        assert_eq!(verifier.verified.len(), 0);
        // A clock that was set back does not make the token valid too early.
        assert_eq!(at(0), user("ann"));
        assert_eq!(at(-6), Err(TokenError::NotYetValid));
    }

    #[test]
    fn a_token_with_one_changed_byte_is_not_cached() {
        let (verifier, sign) = pair();
        let token = sign("ann");
        verifier.verify_at(&token, NOW).unwrap();
        for at in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(verifier.verified.get(&TokenHash::of(&changed)).is_none());
            assert!(verifier.verify_at(&changed, NOW).is_err(), "byte {at}");
        }
        assert_eq!(verifier.verified.len(), 1, "a rejected token is not cached");
    }

    #[test]
    fn the_cache_is_bounded_for_many_tokens() {
        let (verifier, sign) = pair();
        for n in 0..1_000 {
            let name = n.to_string();
            assert_eq!(verifier.verify_at(&sign(&name), NOW), user(&name));
            assert!(verifier.verified.len() <= 64);
        }
    }

    #[test]
    fn debug_shows_no_caller() {
        let (verifier, sign) = pair();
        verifier.verify_at(&sign("ann"), NOW).unwrap();
        assert!(!format!("{verifier:?}").contains("ann"));
    }
}
