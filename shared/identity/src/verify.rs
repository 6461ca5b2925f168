//! Checking tokens.

use std::{borrow::Cow, convert::Infallible, future::pending};

use gantry_contract::access::{Actor, Caller};
use jsonwebtoken::{Algorithm, Validation, errors::ErrorKind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use time::OffsetDateTime;

use crate::{
    claims::{Kind, Lifetime, Registered, Service, USERS, User},
    keys::PublicKey,
    known::{Known, Mark, Proven},
    published::{KeysReport, PublishedKeys},
};

/// Tokens of which the signature is not checked again: a few megabytes, and enough
/// for the users and services that call one process within a token's life.
const KNOWN: usize = 8192;

/// What a trusted key may sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Issues {
    /// User tokens.
    Users,
    /// The tokens of the service that is its issuer.
    Service,
}

/// A key that is believed, and what it is believed about. A key has one entry in
/// a list; of several for the same key the first counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedKey {
    /// Whom the key speaks for: a service's name, or [`USERS`] for user tokens.
    pub issuer: String,
    /// What it may sign.
    pub issues: Issues,
    /// The key.
    pub key: PublicKey,
}

/// Why a token is not believed. Says nothing of what the token contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// No JWT, a missing claim, or a claim of another type.
    #[error("the token is malformed")]
    Malformed,
    /// Signed, or said to be, with anything but EdDSA.
    #[error("the token's algorithm is not accepted")]
    WrongAlgorithm,
    /// Of the other kind, or made for something else (`typ`).
    #[error("the token's type is not the one that its key signs")]
    WrongType,
    /// The key it names is not trusted.
    #[error("the token is signed with an unknown key")]
    UnknownKey,
    /// The key it names did not sign it.
    #[error("the token's signature does not match")]
    BadSignature,
    /// Its key may not speak for its issuer.
    #[error("the token's issuer is not the one its key stands for")]
    WrongIssuer,
    /// Meant for another service.
    #[error("the token is meant for another audience")]
    WrongAudience,
    /// Valid for longer than a token of its kind may be.
    #[error("the token is valid for longer than its kind may be")]
    TooLong,
    /// No longer valid.
    #[error("the token has expired")]
    Expired,
    /// Issued, or not valid before, a later time.
    #[error("the token is not valid yet")]
    NotYetValid,
}

/// Checks the tokens that callers of one service bring.
#[derive(Debug)]
pub struct Verifier {
    service: String,
    trusted: Vec<TrustedKey>,
    published: Vec<PublishedKeys>,
    /// Right for as long as the keys are, and forgotten when they change.
    known: Known,
}

impl Verifier {
    /// Checks tokens meant for `service` against the trusted keys.
    pub fn new(service: &str, trusted: Vec<TrustedKey>) -> Self {
        Self::knowing(KNOWN, service, trusted)
    }

    fn knowing(most: usize, service: &str, trusted: Vec<TrustedKey>) -> Self {
        Self {
            service: service.to_owned(),
            trusted,
            published: Vec::new(),
            known: Known::new(most),
        }
    }

    /// Believes these keys as well.
    #[must_use]
    pub fn trusting(mut self, keys: impl IntoIterator<Item = TrustedKey>) -> Self {
        self.trusted.extend(keys);
        self
    }

    /// Believes what somebody publishes as well.
    #[must_use]
    pub fn published(mut self, keys: PublishedKeys) -> Self {
        self.published.push(keys);
        self
    }

    /// Keeps published keys as they are published, for as long as it is polled.
    pub async fn follow(&self) -> Infallible {
        loop {
            self.learn().await;
            match self.published.iter().map(PublishedKeys::rest).min() {
                Some(rest) => tokio::time::sleep(rest).await,
                None => pending().await,
            }
        }
    }

    /// As [`verify`](Self::verify); where the key is not known, asks first who publishes
    /// keys, unless that was done a moment ago.
    ///
    /// # Errors
    /// [`TokenError`] where it proves nothing.
    pub async fn verify_or_learn(&self, token: &str) -> Result<Caller, TokenError> {
        match self.verify(token) {
            Err(TokenError::UnknownKey) if self.may_learn() => {
                self.learn().await;
                self.verify(token)
            }
            verified => verified,
        }
    }

    /// Whether there is somebody to ask for keys.
    pub fn may_learn(&self) -> bool {
        !self.published.is_empty()
    }

    /// What is known of each list of published keys.
    pub fn published_keys(&self) -> Vec<KeysReport> {
        self.published.iter().map(PublishedKeys::report).collect()
    }

    async fn learn(&self) {
        for keys in &self.published {
            // At once: the call that waits for the next of them may be given up.
            if keys.refresh().await {
                self.known.clear();
            }
        }
    }

    /// Who brings this token, as of now.
    ///
    /// # Errors
    /// [`TokenError`] where it proves nothing.
    pub fn verify(&self, token: &str) -> Result<Caller, TokenError> {
        self.verify_at(token, OffsetDateTime::now_utc())
    }

    /// Whether this token has proven itself before, which is cheap to find out. It may have
    /// expired since.
    pub fn knows(&self, token: &str) -> bool {
        self.known.get(&Mark::of(token)).is_some()
    }

    /// As [`verify`](Self::verify), at a given time.
    ///
    /// # Errors
    /// [`TokenError`] where it proves nothing.
    pub fn verify_at(&self, token: &str, now: OffsetDateTime) -> Result<Caller, TokenError> {
        let mark = Mark::of(token);
        if let Some(known) = self.known.get(&mark) {
            if let Err(invalid) = known.lifetime.check(now) {
                self.known.remove(&mark);
                return Err(invalid);
            }
            return Ok(known.caller.clone());
        }
        let proven = self.prove(token, now)?;
        let caller = proven.caller.clone();
        self.known.add(mark, proven);
        Ok(caller)
    }

    fn prove(&self, token: &str, now: OffsetDateTime) -> Result<Proven, TokenError> {
        let header = jsonwebtoken::decode_header(token).map_err(|error| reason(error.kind()))?;
        if header.alg != Algorithm::EdDSA {
            return Err(TokenError::WrongAlgorithm);
        }
        // `crit` names extensions that must be understood (RFC 7515), and none is.
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
        // Last: a token that is not signed is said to be that, whatever it is called.
        let is_of_kind = header.typ.is_some_and(|typ| typ.eq_ignore_ascii_case(claims.kind.typ));
        if !is_of_kind {
            return Err(TokenError::WrongType);
        }
        Ok(Proven { caller, lifetime })
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

/// The claims, once the signature is known to be the key's.
fn signed_claims<C: DeserializeOwned>(token: &str, key: &PublicKey) -> Result<C, TokenError> {
    let mut validation = Validation::new(Algorithm::EdDSA);
    // These are checked in `check`, against a time that is passed in and against
    // the issuer of this very key.
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    jsonwebtoken::decode(token, &key.decoding(), &validation)
        .map(|data| data.claims)
        .map_err(|error| reason(error.kind()))
}

/// What the registered claims are checked against.
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

    /// A verifier that knows at most 64 tokens, and a signer of tokens for a minute.
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
    fn a_known_token_is_not_proven_again_and_names_the_same_caller() {
        let (mut verifier, sign) = pair();
        let (ann, bob) = (sign("ann"), sign("bob"));
        assert_eq!(verifier.verify_at(&ann, NOW), user("ann"));
        // Without the key a signature can no longer be checked.
        verifier.trusted.clear();
        assert_eq!(verifier.verify_at(&ann, NOW), user("ann"));
        assert_eq!(verifier.verify_at(&bob, NOW), Err(TokenError::UnknownKey));
    }

    #[test]
    fn a_known_token_is_refused_and_forgotten_when_its_time_is_over() {
        let (verifier, sign) = pair();
        let token = sign("ann");
        let at = |seconds| verifier.verify_at(&token, NOW + Duration::seconds(seconds));
        assert_eq!((at(0), at(64)), (user("ann"), user("ann")));
        assert_eq!(verifier.known.len(), 1);
        assert_eq!(at(65), Err(TokenError::Expired));
        assert_eq!(verifier.known.len(), 0);
        // Nor does a clock that was set back make it valid too early.
        assert_eq!(at(0), user("ann"));
        assert_eq!(at(-6), Err(TokenError::NotYetValid));
    }

    #[test]
    fn a_token_that_differs_from_a_known_one_in_one_byte_is_not_known() {
        let (verifier, sign) = pair();
        let token = sign("ann");
        verifier.verify_at(&token, NOW).unwrap();
        for at in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(verifier.known.get(&Mark::of(&changed)).is_none());
            assert!(verifier.verify_at(&changed, NOW).is_err(), "byte {at}");
        }
        assert_eq!(verifier.known.len(), 1, "what was refused is not kept");
    }

    #[test]
    fn a_flood_of_tokens_does_not_grow_what_is_known_and_all_hold() {
        let (verifier, sign) = pair();
        for n in 0..1_000 {
            let name = n.to_string();
            assert_eq!(verifier.verify_at(&sign(&name), NOW), user(&name));
            assert!(verifier.known.len() <= 64);
        }
    }

    #[test]
    fn debug_shows_nobody_who_called() {
        let (verifier, sign) = pair();
        verifier.verify_at(&sign("ann"), NOW).unwrap();
        assert!(!format!("{verifier:?}").contains("ann"));
    }
}
