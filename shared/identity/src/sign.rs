//! Signing of tokens.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use jsonwebtoken::{Algorithm, Header};
use serde::Serialize;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::{
    claims::{Acting, Kind, Registered, SERVICE_TTL, Service, USERS},
    keys::SigningKey,
};

/// Age at which a token is replaced: half of its lifetime. Each call thus starts with a token that
/// is valid for another 30 s.
const RENEW_AFTER: Duration = Duration::seconds(30);

/// Maximum number of cached tokens. Each acting user needs one. A full cache drops its stale
/// tokens, or all tokens if none is stale.
const CACHE_CAPACITY: usize = 4096;

/// Signs the tokens that a service sends to other services.
pub struct ServiceSigner {
    service: String,
    key: SigningKey,
    cache: Mutex<HashMap<Purpose, Signed>>,
}

#[derive(PartialEq, Eq, Hash)]
struct Purpose {
    audience: String,
    acting: Acting,
}

struct Signed {
    token: Arc<str>,
    renew_at: OffsetDateTime,
}

impl ServiceSigner {
    /// Creates a signer for `service`. Callees must trust the key for this issuer.
    pub fn new(service: &str, key: SigningKey) -> Self {
        Self { service: service.to_owned(), key, cache: Mutex::default() }
    }

    /// Returns the name of the service.
    pub fn service(&self) -> &str {
        &self.service
    }

    /// Returns a token for a call to `audience`, valid for at least 30 s.
    pub fn token(&self, audience: &str, acting: Acting) -> Arc<str> {
        self.token_at(audience, acting, OffsetDateTime::now_utc())
    }

    /// Like [`token`](Self::token), at the time `now`.
    pub fn token_at(&self, audience: &str, acting: Acting, now: OffsetDateTime) -> Arc<str> {
        let purpose = Purpose { audience: audience.to_owned(), acting };
        if let Some(signed) = self.cache().get(&purpose)
            && signed.is_fresh(now)
        {
            return Arc::clone(&signed.token);
        }
        // Sign without the lock. Two callers may both sign; both tokens are valid.
        let token: Arc<str> = self.sign(&purpose, now).into();
        let signed = Signed { token: Arc::clone(&token), renew_at: now + RENEW_AFTER };
        let mut cache = self.cache();
        if cache.len() >= CACHE_CAPACITY {
            cache.retain(|_, signed| signed.is_fresh(now));
            if cache.len() >= CACHE_CAPACITY {
                cache.clear();
            }
        }
        cache.insert(purpose, signed);
        token
    }

    fn sign(&self, purpose: &Purpose, now: OffsetDateTime) -> String {
        let (actor, cause) = match &purpose.acting {
            Acting::For(actor) => (Some(actor.into()), None),
            Acting::Itself { cause } => (None, cause.as_ref().map(Into::into)),
        };
        let registered = Registered::new(&self.service, &purpose.audience, now, SERVICE_TTL);
        sign(&self.key, &Kind::SERVICE, &Service { registered, actor, cause })
    }

    fn cache(&self) -> std::sync::MutexGuard<'_, HashMap<Purpose, Signed>> {
        // Nothing panics while the lock is held, and any content of the cache is valid.
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Signed {
    /// Returns true if the token needs no renewal. The lower bound rejects tokens from the future,
    /// which exist after the clock was set back.
    fn is_fresh(&self, now: OffsetDateTime) -> bool {
        now < self.renew_at && now + RENEW_AFTER >= self.renew_at
    }
}

impl fmt::Debug for ServiceSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceSigner")
            .field("service", &self.service)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

/// Claims about a user in a user token. `Debug` omits the e-mail address.
#[derive(Clone, Serialize)]
pub struct UserClaims {
    /// The user's id.
    pub sub: String,
    /// E-mail address, for display by clients.
    pub email: String,
    /// Names of the user's roles. Authorization uses these.
    pub roles: Vec<String>,
    /// Permissions that follow from the roles, for display by clients.
    pub permissions: Vec<String>,
}

impl fmt::Debug for UserClaims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserClaims")
            .field("sub", &self.sub)
            .field("roles", &self.roles)
            .finish_non_exhaustive()
    }
}

/// A signed user token. `Debug` omits it.
#[derive(Clone)]
pub struct AccessToken {
    /// Value to send after `authorization: Bearer `.
    pub token: String,
    /// Lifetime, from the time of signing.
    pub expires_in: std::time::Duration,
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessToken").field("expires_in", &self.expires_in).finish_non_exhaustive()
    }
}

/// Signs the tokens of logged-in users.
#[derive(Debug)]
pub struct UserSigner {
    key: SigningKey,
    ttl: std::time::Duration,
}

#[derive(Serialize)]
struct UserToken<'a> {
    #[serde(flatten)]
    registered: Registered,
    jti: Uuid,
    #[serde(flatten)]
    user: &'a UserClaims,
}

impl UserSigner {
    /// Creates a signer of tokens with the lifetime `ttl`, truncated to whole seconds. Verifiers
    /// reject lifetimes above [`MAX_USER_TTL`](crate::MAX_USER_TTL).
    pub fn new(key: SigningKey, ttl: std::time::Duration) -> Self {
        Self { key, ttl: std::time::Duration::from_secs(ttl.as_secs()) }
    }

    /// Returns a token for the user, valid from `now`.
    pub fn token(&self, user: &UserClaims, now: OffsetDateTime) -> AccessToken {
        // A lifetime beyond the range of i64 seconds counts as endless.
        let ttl = Duration::try_from(self.ttl).unwrap_or(Duration::MAX);
        let registered = Registered::new(USERS, USERS, now, ttl);
        let token =
            sign(&self.key, &Kind::USER, &UserToken { registered, jti: Uuid::now_v7(), user });
        AccessToken { token, expires_in: self.ttl }
    }
}

#[expect(
    clippy::expect_used,
    reason = "claims are strings and numbers, and the key was parsed when it was loaded"
)]
fn sign(key: &SigningKey, kind: &Kind, claims: &impl Serialize) -> String {
    let mut header = Header::new(Algorithm::EdDSA);
    header.typ = Some(kind.typ.to_owned());
    header.kid = Some(key.public().key_id().to_owned());
    jsonwebtoken::encode(&header, claims, &key.encoding).expect("claims and key are well-formed")
}

#[cfg(test)]
mod tests {
    use gantry_contract::access::Actor;
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-01-01 12:00 UTC);

    fn ann() -> Actor {
        Actor { subject: "ann".into(), roles: vec!["user".into()] }
    }

    #[test]
    fn a_token_is_reused_for_half_of_its_lifetime() {
        let signer = ServiceSigner::new("order", SigningKey::generate());
        let token = |audience, acting, seconds| {
            signer.token_at(audience, acting, NOW + Duration::seconds(seconds))
        };
        let first = token("user", Acting::For(ann()), 0);
        assert_eq!(token("user", Acting::For(ann()), 29), first);
        assert_ne!(token("user", Acting::For(ann()), 30), first);
        // Another audience, another actor or another kind of acting needs another token.
        assert_ne!(token("inventory", Acting::For(ann()), 0), first);
        assert_ne!(token("user", Acting::Itself { cause: Some(ann()) }, 0), first);
        assert_ne!(token("user", Acting::Itself { cause: None }, 0), first);
    }

    #[test]
    fn a_clock_set_back_gets_a_new_token() {
        let signer = ServiceSigner::new("order", SigningKey::generate());
        let acting = || Acting::Itself { cause: None };
        let ahead = signer.token_at("user", acting(), NOW + Duration::hours(1));
        assert_ne!(signer.token_at("user", acting(), NOW), ahead);
    }

    #[test]
    fn the_cache_is_bounded() {
        let signer = ServiceSigner::new("order", SigningKey::generate());
        for n in 0..CACHE_CAPACITY + 10 {
            let actor = Actor { subject: n.to_string(), roles: vec![] };
            signer.token_at("user", Acting::For(actor), NOW);
        }
        assert!(signer.cache().len() <= CACHE_CAPACITY);
    }

    #[test]
    fn debug_shows_no_token_and_no_email() {
        let signer = ServiceSigner::new("order", SigningKey::generate());
        let token = signer.token_at("user", Acting::Itself { cause: None }, NOW);
        assert!(!format!("{signer:?}").contains(&*token));
        let users = UserSigner::new(SigningKey::generate(), std::time::Duration::from_secs(900));
        let claims = UserClaims {
            sub: "ann".into(),
            email: "ann@example.org".into(),
            roles: vec![],
            permissions: vec![],
        };
        let access = users.token(&claims, NOW);
        assert!(!format!("{access:?} {users:?}").contains(&access.token));
        assert!(!format!("{claims:?}").contains('@'));
    }
}
