//! What the tokens say.

use gantry_contract::access::Actor;
use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};

use crate::TokenError;

/// The issuer and the audience of user tokens.
pub const USERS: &str = "gantry";

/// Longest lifetime of a user token that a verifier accepts, whatever its issuer configures.
pub const MAX_USER_TTL: std::time::Duration = std::time::Duration::from_secs(24 * 60 * 60);

/// Lifetime of a service token: long enough for a call and its retries, short enough that nothing
/// needs to be revoked.
pub(crate) const SERVICE_TTL: Duration = Duration::seconds(60);

/// Kind of a token: its type (`typ`, RFC 8725 section 3.11) and the longest lifetime.
#[derive(Debug)]
pub(crate) struct Kind {
    pub(crate) typ: &'static str,
    max_ttl: i64,
}

impl Kind {
    /// RFC 9068 names the type.
    pub(crate) const USER: Self = Self { typ: "at+jwt", max_ttl: MAX_USER_TTL.as_secs() as i64 };
    pub(crate) const SERVICE: Self =
        Self { typ: "gantry-service+jwt", max_ttl: SERVICE_TTL.whole_seconds() + LEEWAY };
}

/// In whose name a service calls.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Acting {
    /// Its own: what it may do is its grant alone.
    Itself {
        /// The user who once caused the work, for the record only.
        cause: Option<Actor>,
    },
    /// A user's: what it may do is bounded by the user's permissions as well.
    For(Actor),
}

/// The registered claims, as every token carries them.
#[derive(Serialize, Deserialize)]
pub(crate) struct Registered {
    pub(crate) iss: String,
    pub(crate) aud: String,
    pub(crate) iat: i64,
    pub(crate) nbf: i64,
    pub(crate) exp: i64,
}

impl Registered {
    pub(crate) fn new(iss: &str, aud: &str, now: OffsetDateTime, ttl: Duration) -> Self {
        let now = now.unix_timestamp();
        Self {
            iss: iss.to_owned(),
            aud: aud.to_owned(),
            iat: now,
            nbf: now,
            exp: now.saturating_add(ttl.whole_seconds()),
        }
    }

    /// When the token is valid.
    ///
    /// # Errors
    /// [`TokenError::TooLong`] if that is longer than its kind may be. Together with an issue time
    /// that is not in the future this bounds how far ahead it can expire.
    pub(crate) fn lifetime(&self, kind: &Kind) -> Result<Lifetime, TokenError> {
        match self.exp.checked_sub(self.iat) {
            Some(ttl) if ttl <= kind.max_ttl => {
                Ok(Lifetime { begins: self.nbf.max(self.iat), exp: self.exp })
            }
            Some(_) | None => Err(TokenError::TooLong),
        }
    }
}

/// By how many seconds clocks may differ.
const LEEWAY: i64 = 5;

/// When a token is valid, in seconds since 1970.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lifetime {
    /// The later of `nbf` and `iat`.
    begins: i64,
    exp: i64,
}

impl Lifetime {
    pub(crate) fn check(self, now: OffsetDateTime) -> Result<(), TokenError> {
        let now = now.unix_timestamp();
        if now >= self.exp.saturating_add(LEEWAY) {
            Err(TokenError::Expired)
        } else if now < self.begins.saturating_sub(LEEWAY) {
            Err(TokenError::NotYetValid)
        } else {
            Ok(())
        }
    }
}

/// What is read of a user token. The permissions it also carries are for
/// clients to look at: what counts is what the contract gives to the roles.
#[derive(Deserialize)]
pub(crate) struct User {
    #[serde(flatten)]
    pub(crate) registered: Registered,
    #[serde(flatten)]
    pub(crate) actor: ActorClaim,
}

/// A service token's claims: at most one of `actor` and `cause`.
#[derive(Serialize, Deserialize)]
pub(crate) struct Service {
    #[serde(flatten)]
    pub(crate) registered: Registered,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) actor: Option<ActorClaim>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cause: Option<ActorClaim>,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct ActorClaim {
    pub(crate) sub: String,
    #[serde(default)]
    pub(crate) roles: Vec<String>,
}

impl From<&Actor> for ActorClaim {
    fn from(actor: &Actor) -> Self {
        Self { sub: actor.subject.clone(), roles: actor.roles.clone() }
    }
}

impl From<ActorClaim> for Actor {
    fn from(claim: ActorClaim) -> Self {
        Self { subject: claim.sub, roles: claim.roles }
    }
}
