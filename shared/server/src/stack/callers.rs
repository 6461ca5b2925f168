//! Rate limits per caller: the contract's rate classes, otherwise the server's own limits.
//!
//! A user's calls count for the user, whether direct or through a service. An anonymous caller is
//! identified by its source; its calls without a class are already limited per address. A call of a
//! public method with a class always counts for its source as well, so that tokens do not speed up
//! password guessing.

use std::{
    convert::Infallible,
    fmt,
    hash::{BuildHasher, Hash, RandomState},
    ptr,
    sync::Arc,
    time::Duration,
};

use gantry_contract::{Access, Caller, Contract, Failure, GantryReason, MethodPolicy, RateClass};
use gantry_resilience::limits::{Buckets, InvalidRate, Rate};
use http::Response;
use hyper::service::Service;
use tokio::time::Instant;
use tonic::Code;

use super::admission::{Admission, admit_at_arrival};
use crate::{
    call::{Authenticated, CallerHashes, Limited},
    settings::{LimitSettings, RateSettings},
    source::{Source, source_of},
    status::retry_later,
};

/// Name of an invalid limit, and the reason.
#[derive(Debug)]
pub(crate) struct InvalidClass(pub(crate) String, pub(crate) InvalidRate);

/// Identity of a caller for limits.
#[derive(Hash)]
enum CallerKey<'a> {
    Source(Source),
    User(&'a str),
    Service(&'a str),
}

/// Buckets of one limit, keyed by the hashes of callers and sources.
struct Limit {
    rate: Rate,
    /// Rate shared by all networks of an IPv6 site.
    site_rate: Rate,
    buckets: Buckets<u64>,
}

/// Limits of all callers.
pub(crate) struct Callers {
    /// Hasher with a secret of the process. Callers cannot choose their hashes, and an accidental
    /// collision of 64 bits is negligible.
    hasher: RandomState,
    user: Limit,
    service: Option<Limit>,
    classes: Vec<(&'static RateClass, Limit)>,
}

impl Callers {
    pub(crate) fn new(
        contract: &'static Contract,
        settings: &LimitSettings,
    ) -> Result<Self, InvalidClass> {
        let (most, now) = (settings.max_keys as usize, Instant::now());
        let limit = |name: &str, numbers: RateSettings| {
            let invalid = |error| InvalidClass(name.to_owned(), error);
            let rate = numbers.rate().map_err(invalid)?;
            let site_rate = numbers.of_site().rate().map_err(invalid)?;
            Ok(Limit { rate, site_rate, buckets: Buckets::new(most, now) })
        };
        let class = |class: &'static RateClass| {
            let RateClass { name, per_second, burst } = *class;
            let declared = RateSettings { per_second, burst };
            let numbers = settings.classes.get(name).copied().unwrap_or(declared);
            Ok((class, limit(name, numbers)?))
        };
        Ok(Self {
            hasher: RandomState::new(),
            user: limit("per_user", settings.per_user)?,
            service: settings
                .per_service
                .map(|numbers| limit("per_service", numbers))
                .transpose()?,
            classes: contract.rate_classes.iter().map(class).collect::<Result<_, _>>()?,
        })
    }

    /// Returns the hashes of a caller that calls from this source.
    fn key(&self, caller: &Caller, source: Source) -> CallerHashes {
        // The owner of an IPv6 site controls all of its networks.
        let source = self.hash(&CallerKey::Source(source.site().unwrap_or(source)));
        let caller = match caller {
            Caller::Anonymous => source,
            Caller::User(actor) | Caller::Delegate { actor, .. } => {
                self.hash(&CallerKey::User(&actor.subject))
            }
            Caller::Service { service, .. } => self.hash(&CallerKey::Service(service)),
        };
        CallerHashes { caller, source }
    }

    /// # Errors
    /// The exceeded limit and the retry delay.
    fn admit(
        &self,
        caller: &Caller,
        key: CallerHashes,
        source: Source,
        method: &MethodPolicy,
        now: Instant,
    ) -> Result<(), (&'static str, Duration)> {
        let class = method.rate_class.and_then(|declared| {
            let (_, limit) = self.classes.iter().find(|(class, _)| ptr::eq(*class, declared))?;
            Some((declared.name, limit))
        });
        // The class `writes` applies to users only: sources and services have their own limits.
        let named = class.filter(|(name, _)| *name != RateClass::WRITES);
        let anonymous = matches!(caller, Caller::Anonymous);
        if let Some((name, limit)) = named
            && (anonymous || method.access == Access::Public)
        {
            self.admit_source(limit, source, now).map_err(|wait| (name, wait))?;
        }
        let limit = match caller {
            Caller::Anonymous => return Ok(()),
            Caller::Service { .. } => {
                named.or(self.service.as_ref().map(|limit| ("caller", limit)))
            }
            Caller::User(_) | Caller::Delegate { .. } => class.or(Some(("caller", &self.user))),
        };
        let Some((name, Limit { rate, buckets, .. })) = limit else { return Ok(()) };
        buckets.take(&key.caller, *rate, now).map_err(|wait| (name, wait))
    }

    fn admit_source(&self, limit: &Limit, source: Source, now: Instant) -> Result<(), Duration> {
        let Limit { rate, site_rate, buckets } = limit;
        buckets.take(&self.hash(&CallerKey::Source(source)), *rate, now)?;
        match source.site() {
            Some(site) => buckets.take(&self.hash(&CallerKey::Source(site)), *site_rate, now),
            None => Ok(()),
        }
    }

    fn hash(&self, who: &CallerKey<'_>) -> u64 {
        self.hasher.hash_one(who)
    }
}

impl fmt::Debug for Callers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Callers").finish_non_exhaustive()
    }
}

#[derive(Clone, Debug)]
pub(crate) struct LimitCaller<S> {
    inner: S,
    callers: Arc<Callers>,
}

impl<S> LimitCaller<S> {
    pub(crate) fn new(inner: S, callers: Arc<Callers>) -> Self {
        Self { inner, callers }
    }
}

impl<S, B, R> Service<Authenticated<B>> for LimitCaller<S>
where
    S: Service<Limited<B>, Response = Response<R>, Error = Infallible>,
    R: Default,
{
    type Response = Response<R>;
    type Error = Infallible;
    type Future = Admission<S::Future, R>;

    fn call(&self, authenticated: Authenticated<B>) -> Self::Future {
        let Authenticated { call, method, caller, http } = authenticated;
        let source = source_of(call.client);
        let key = self.callers.key(&caller, source);
        if !method.infrastructure
            && let Err((limit, wait)) = admit_at_arrival(call.received, |now| {
                self.callers.admit(&caller, key, source, method.policy, now)
            })
        {
            let failure = Failure::new(
                Code::ResourceExhausted,
                GantryReason::RateLimited,
                "too many calls of this caller",
            );
            return Admission::refuse(retry_later(failure.metadata("limit", limit), wait));
        }
        Admission::pass(self.inner.call(Limited { call, method, caller, key, http }))
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use gantry_contract::{Actor, Idempotency, MethodKind, Repeats};

    use super::*;

    static CLASS: [RateClass; 2] = [
        RateClass { name: "login", per_second: 0.001, burst: 2 },
        RateClass { name: RateClass::WRITES, per_second: 0.001, burst: 2 },
    ];

    static CONTRACT: Contract = Contract {
        services: &[],
        permissions: &[],
        roles: &[],
        rate_classes: &CLASS,
        descriptor_set: &[],
    };

    fn method(access: Access, class: usize) -> MethodPolicy {
        MethodPolicy {
            path: "/test.v1.Test/Do",
            kind: MethodKind::Unary,
            timeout: Duration::from_secs(1),
            access,
            idempotency: Idempotency::NotIdempotent,
            repeats: Repeats::Never,
            rate_class: Some(&CLASS[class]),
            max_request_bytes: None,
        }
    }

    fn user(subject: &str) -> Caller {
        Caller::User(Actor { subject: subject.into(), roles: vec![] })
    }

    /// Returns the number of calls admitted before one is refused.
    fn admitted(callers: &Callers, caller: &Caller, address: &str, method: &MethodPolicy) -> usize {
        let source = source_of(address.parse::<IpAddr>().unwrap());
        let key = callers.key(caller, source);
        let now = Instant::now();
        (0..1000).take_while(|_| callers.admit(caller, key, source, method, now).is_ok()).count()
    }

    fn callers() -> Callers {
        Callers::new(&CONTRACT, &LimitSettings::default()).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_public_method_counts_for_the_source_and_the_caller() {
        let (callers, login) = (callers(), method(Access::Public, 0));
        assert_eq!(admitted(&callers, &user("ann"), "192.0.2.1", &login), 2);
        // Another token, no token and another address do not help.
        assert_eq!(admitted(&callers, &user("bea"), "192.0.2.1", &login), 0);
        assert_eq!(admitted(&callers, &Caller::Anonymous, "192.0.2.1", &login), 0);
        assert_eq!(admitted(&callers, &user("ann"), "192.0.2.2", &login), 0);
        assert_eq!(admitted(&callers, &user("cat"), "192.0.2.3", &login), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_restricted_method_counts_only_for_the_caller() {
        let (callers, list) = (callers(), method(Access::Permission("lists"), 0));
        for name in ["ann", "bea"] {
            assert_eq!(admitted(&callers, &user(name), "192.0.2.1", &list), 2, "{name}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn ipv6_addresses_count_by_network_and_site() {
        let (callers, login) = (callers(), method(Access::Public, 0));
        let anybody = |address: &str| admitted(&callers, &Caller::Anonymous, address, &login);
        assert_eq!(anybody("2001:db8:1:1::1"), 2);
        assert_eq!(anybody("2001:db8:1:1:ffff::2"), 0);
        let of_site: usize =
            (2..100).map(|network| anybody(&format!("2001:db8:1:{network:x}::1"))).sum();
        assert_eq!(of_site, 2 * 16 - 2);
        assert_eq!(anybody("2001:db8:2:1::1"), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn the_class_writes_applies_to_users_only() {
        let (callers, write) = (callers(), method(Access::Public, 1));
        let service = Caller::Service { service: "order".into(), cause: None };
        assert_eq!(admitted(&callers, &service, "192.0.2.1", &write), 1000);
        assert_eq!(admitted(&callers, &Caller::Anonymous, "192.0.2.1", &write), 1000);
        assert_eq!(admitted(&callers, &user("ann"), "192.0.2.1", &write), 2);
        assert_eq!(admitted(&callers, &user("bea"), "192.0.2.1", &write), 2);
    }
}
