//! Claims of the tokens.

use gantry_contract::access::Actor;
use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};

use crate::TokenError;

/// The issuer and the audience of user tokens.
pub const USERS: &str = "gantry";

/// Longest lifetime of a user token that a verifier accepts, whatever its issuer configures.
pub const MAX_USER_TTL: std::time::Duration = std::time::Duration::from_secs(24 * 60 * 60);

/// Lifetime of a service token: long enough for a call and its retries, short enough to need no
/// revocation.
pub(crate) const SERVICE_TTL: Duration = Duration::seconds(60);

/// Properties of a kind of token: its type (`typ`, RFC 8725, section 3.11) and its maximum
/// lifetime.
#[derive(Debug)]
pub(crate) struct Kind {
    pub(crate) typ: &'static str,
    max_ttl: i64,
}

impl Kind {
    /// Type defined by RFC 9068.
    pub(crate) const USER: Self = Self { typ: "at+jwt", max_ttl: MAX_USER_TTL.as_secs() as i64 };
    pub(crate) const SERVICE: Self =
        Self { typ: "gantry-service+jwt", max_ttl: SERVICE_TTL.whole_seconds() + LEEWAY };
}

/// Principal of a service's call: the service or a user.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Acting {
    /// The service itself. Only its grant limits the call.
    Itself {
        /// User that caused the work. Recorded only; grants nothing.
        cause: Option<Actor>,
    },
    /// On behalf of a user. The service's grant and the user's permissions both limit the call.
    For(Actor),
}

/// Registered claims (RFC 7519), present in every token.
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

    /// Returns the period in which the token is valid.
    ///
    /// # Errors
    /// [`TokenError::TooLong`] if the period exceeds the maximum of its kind. Since the issue time
    /// must not be in the future, this also limits how late the token can expire.
    pub(crate) fn lifetime(&self, kind: &Kind) -> Result<Lifetime, TokenError> {
        match self.exp.checked_sub(self.iat) {
            Some(ttl) if ttl <= kind.max_ttl => {
                Ok(Lifetime { begins: self.nbf.max(self.iat), exp: self.exp })
            }
            Some(_) | None => Err(TokenError::TooLong),
        }
    }
}

/// Tolerated clock difference in seconds.
const LEEWAY: i64 = 5;

/// Period in which a token is valid, in seconds since 1970.
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

/// Claims of a user token that are read. The token also lists permissions, but only for clients:
/// authorization uses the roles and the contract.
#[derive(Deserialize)]
pub(crate) struct User {
    #[serde(flatten)]
    pub(crate) registered: Registered,
    #[serde(flatten)]
    pub(crate) actor: ActorClaim,
}

/// Claims of a service token. At most one of `actor` and `cause` is present.
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
