//! What the tokens say.

use gantry_contract::access::Actor;
use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};

use crate::TokenError;

/// The issuer and the audience of user tokens.
pub const USERS: &str = "gantry";

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

    pub(crate) fn lifetime(&self) -> Lifetime {
        Lifetime { nbf: self.nbf, exp: self.exp }
    }
}

/// By how many seconds clocks may differ.
const LEEWAY: i64 = 5;

/// When a token is valid, in seconds since 1970.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lifetime {
    nbf: i64,
    exp: i64,
}

impl Lifetime {
    pub(crate) fn check(self, now: OffsetDateTime) -> Result<(), TokenError> {
        let now = now.unix_timestamp();
        if now >= self.exp.saturating_add(LEEWAY) {
            Err(TokenError::Expired)
        } else if now < self.nbf.saturating_sub(LEEWAY) {
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
