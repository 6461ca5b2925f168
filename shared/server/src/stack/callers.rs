//! How often one caller may call, once it is known who calls: by the contract's rate
//! classes, and else by the server's own limits.
//!
//! A user's calls count as the user's, whether they come directly or through a service. An
//! anonymous caller is its address; without a class it has been limited before.

use std::{
    convert::Infallible,
    fmt,
    hash::{BuildHasher, Hash, RandomState},
    net::IpAddr,
    ptr,
    sync::Arc,
    time::Duration,
};

use gantry_contract::{Caller, Contract, Failure, GantryReason, MethodPolicy, RateClass};
use gantry_resilience::limits::{Buckets, InvalidRate, Rate};
use http::Response;
use hyper::service::Service;
use tokio::time::Instant;
use tonic::Code;

use super::verdict::{Verdict, not_for_being_late};
use crate::{
    call::Authenticated,
    settings::{LimitSettings, RateSettings},
    source::{Source, source_of},
    status::come_again,
};

/// The limit that cannot be, and why.
#[derive(Debug)]
pub(crate) struct InvalidClass(pub(crate) String, pub(crate) InvalidRate);

/// Who calls, as it is told apart from others: owned where it is kept, which is never.
#[derive(Hash)]
enum Who<'a> {
    Address(Source),
    User(&'a str),
    Service(&'a str),
}

impl<'a> Who<'a> {
    fn of(caller: &'a Caller, address: IpAddr) -> Self {
        match caller {
            Caller::Anonymous => Self::Address(source_of(address)),
            Caller::User(actor) | Caller::Delegate { actor, .. } => Self::User(&actor.subject),
            Caller::Service { service, .. } => Self::Service(service),
        }
    }
}

/// The buckets of one limit.
struct Limit {
    rate: Rate,
    /// By the hash of the caller under a secret of this process: 64 bits that nobody can
    /// choose, so that two callers who share a bucket are an accident that does not happen.
    buckets: Buckets<u64>,
}

/// The limits of callers.
pub(crate) struct Callers {
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
            let rate = numbers.rate().map_err(|error| InvalidClass(name.to_owned(), error))?;
            Ok(Limit { rate, buckets: Buckets::new(most, now) })
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

    /// # Errors
    /// By which limit the call is refused, and for how long.
    fn admit(
        &self,
        caller: &Caller,
        address: IpAddr,
        method: &MethodPolicy,
        now: Instant,
    ) -> Result<(), (&'static str, Duration)> {
        let who = Who::of(caller, address);
        let class = method.rate_class.and_then(|declared| {
            let (_, limit) = self.classes.iter().find(|(class, _)| ptr::eq(*class, declared))?;
            Some((declared.name, limit))
        });
        let limit = class.or_else(|| match &who {
            Who::Address(_) => None,
            Who::User(_) => Some(("caller", &self.user)),
            Who::Service(_) => Some(("caller", self.service.as_ref()?)),
        });
        let Some((name, Limit { rate, buckets })) = limit else { return Ok(()) };
        let key = self.hasher.hash_one(who);
        buckets.take(&key, *rate, now).map_err(|wait| (name, wait))
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
    S: Service<Authenticated<B>, Response = Response<R>, Error = Infallible>,
    R: Default,
{
    type Response = Response<R>;
    type Error = Infallible;
    type Future = Verdict<S::Future, R>;

    fn call(&self, authenticated: Authenticated<B>) -> Self::Future {
        let Authenticated { call, method, caller, .. } = &authenticated;
        if !method.infrastructure
            && let Err((limit, wait)) = not_for_being_late(call.received, |now| {
                self.callers.admit(caller, call.client, method.policy, now)
            })
        {
            let failure = Failure::new(
                Code::ResourceExhausted,
                GantryReason::RateLimited,
                "this caller calls too often",
            );
            return Verdict::refuse(come_again(failure.metadata("limit", limit), wait));
        }
        Verdict::pass(self.inner.call(authenticated))
    }
}
