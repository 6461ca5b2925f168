//! Checking tokens.

use gantry_contract::access::{Actor, Caller};
use jsonwebtoken::{Algorithm, Validation, errors::ErrorKind};
use serde::{Deserialize, de::DeserializeOwned};
use time::OffsetDateTime;

use crate::{
    claims::{Registered, Service, USERS, User},
    keys::PublicKey,
};

/// By how many seconds clocks may differ.
const LEEWAY: i64 = 5;

/// What a trusted key may sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
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
    /// No longer valid.
    #[error("the token has expired")]
    Expired,
    /// Not valid before a later time.
    #[error("the token is not valid yet")]
    NotYetValid,
}

/// Checks the tokens that callers of one service bring.
#[derive(Debug)]
pub struct Verifier {
    service: String,
    trusted: Vec<TrustedKey>,
}

impl Verifier {
    /// Checks tokens meant for `service` against the trusted keys.
    pub fn new(service: &str, trusted: Vec<TrustedKey>) -> Self {
        Self { service: service.to_owned(), trusted }
    }

    /// Who brings this token, as of now.
    ///
    /// # Errors
    /// [`TokenError`] where it proves nothing.
    pub fn verify(&self, token: &str) -> Result<Caller, TokenError> {
        self.verify_at(token, OffsetDateTime::now_utc())
    }

    /// As [`verify`](Self::verify), at a given time.
    ///
    /// # Errors
    /// [`TokenError`] where it proves nothing.
    pub fn verify_at(&self, token: &str, now: OffsetDateTime) -> Result<Caller, TokenError> {
        let header = jsonwebtoken::decode_header(token).map_err(|error| reason(error.kind()))?;
        if header.alg != Algorithm::EdDSA {
            return Err(TokenError::WrongAlgorithm);
        }
        // `crit` names extensions that must be understood (RFC 7515), and none is.
        if header.crit.is_some() {
            return Err(TokenError::Malformed);
        }
        let key_id = header.kid.ok_or(TokenError::UnknownKey)?;
        let trusted = self
            .trusted
            .iter()
            .find(|trusted| trusted.key.key_id() == key_id)
            .ok_or(TokenError::UnknownKey)?;
        match trusted.issues {
            Issues::Users => {
                let claims: User = signed_claims(token, &trusted.key)?;
                check(&claims.registered, &trusted.issuer, USERS, now)?;
                Ok(Caller::User(claims.actor.into()))
            }
            Issues::Service => {
                let claims: Service = signed_claims(token, &trusted.key)?;
                check(&claims.registered, &trusted.issuer, &self.service, now)?;
                caller(claims)
            }
        }
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

fn check(
    claims: &Registered,
    issuer: &str,
    audience: &str,
    now: OffsetDateTime,
) -> Result<(), TokenError> {
    let now = now.unix_timestamp();
    if claims.iss != issuer {
        Err(TokenError::WrongIssuer)
    } else if claims.aud != audience {
        Err(TokenError::WrongAudience)
    } else if now >= claims.exp.saturating_add(LEEWAY) {
        Err(TokenError::Expired)
    } else if now < claims.nbf.saturating_sub(LEEWAY) {
        Err(TokenError::NotYetValid)
    } else {
        Ok(())
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
