//! Rate limits per address for calls with an unproven caller.
//!
//! - Calls without credentials use the bucket of their source. So do all calls of public methods,
//!   regardless of their credentials.
//! - Unverified credentials cost a signature check. If the source sent invalid ones in the last
//!   minute, they use another bucket. Connections with invalid credentials share one such bucket
//!   and all others a second one, so that a flood of invalid credentials does not affect valid ones
//!   from the same source.
//! - Credentials known to be valid are not limited.
//!
//! A source is an IPv4 address or an IPv6 /64 network; all networks of an IPv6 site share sixteen
//! times the limit.

use std::{convert::Infallible, sync::Arc, time::Duration};

use gantry_contract::{Access, Failure, GantryReason};
use gantry_identity::Verifier;
use gantry_resilience::limits::{Buckets, InvalidRate, Rate};
use http::{Response, header::AUTHORIZATION};
use hyper::service::Service;
use tokio::time::Instant;
use tonic::Code;

use super::{
    admission::{Admission, admit_at_arrival},
    bearer::bearer,
};
use crate::{
    call::Routed,
    settings::{LimitSettings, RateSettings},
    source::{Source, source_of},
    status::retry_later,
};

/// Time in seconds for which a source counts as one that sent invalid credentials.
const LATELY: f64 = 60.0;

/// Rate limits by source.
#[derive(Debug)]
pub(crate) struct Addresses {
    strangers: Limit<Source>,
    /// Keyed by source; true for connections with invalid credentials.
    unproven: Limit<(Source, bool)>,
    lately: Rate,
    /// One token per source. It is missing while the source counts as one that sent invalid
    /// credentials.
    failures: Buckets<Source>,
}

#[derive(Debug)]
struct Limit<K> {
    rate: Rate,
    site_rate: Rate,
    buckets: Buckets<K>,
}

impl Addresses {
    pub(crate) fn new(settings: &LimitSettings) -> Result<Self, InvalidRate> {
        let (most, now) = (settings.max_keys as usize, Instant::now());
        Ok(Self {
            strangers: Limit::new(settings.per_address, most, now)?,
            unproven: Limit::new(settings.per_address_unproven, most, now)?,
            lately: Rate::try_new(1.0 / LATELY, 1)?,
            failures: Buckets::new(most, now),
        })
    }

    /// Records that credentials from this source were invalid.
    pub(super) fn failed(&self, source: Source, now: Instant) {
        let _ = self.failures.take(&source, self.lately, now);
    }

    /// # Errors
    /// The exceeded limit and the retry delay.
    fn admit(&self, of: &Proof<'_>, now: Instant) -> Result<(), (&'static str, Duration)> {
        let source = of.source;
        let (site, claimed) = (source.site(), of.known.is_some());
        if of.public || !claimed {
            self.strangers.take(source, site, now).map_err(|wait| ("address", wait))?;
        }
        let known = of.known.is_none_or(|known| known());
        if known || self.failures.is_full(&source, now) {
            return Ok(());
        }
        let site = site.map(|site| (site, of.invalid_before));
        self.unproven
            .take((source, of.invalid_before), site, now)
            .map_err(|wait| ("credentials", wait))
    }
}

impl<K: Eq + std::hash::Hash + Clone> Limit<K> {
    fn new(settings: RateSettings, most: usize, now: Instant) -> Result<Self, InvalidRate> {
        let (rate, site_rate) = (settings.rate()?, settings.of_site().rate()?);
        Ok(Self { rate, site_rate, buckets: Buckets::new(most, now) })
    }

    fn take(&self, source: K, site: Option<K>, now: Instant) -> Result<(), Duration> {
        self.buckets.take(&source, self.rate, now)?;
        site.map_or(Ok(()), |site| self.buckets.take(&site, self.site_rate, now))
    }
}

/// Facts about a call that determine its bucket.
struct Proof<'a> {
    source: Source,
    /// True if the method is public.
    public: bool,
    /// True if a call of the connection had invalid credentials.
    invalid_before: bool,
    /// Returns true if the credentials are known to be valid. None without credentials.
    known: Option<&'a dyn Fn() -> bool>,
}

#[derive(Clone, Debug)]
pub(crate) struct LimitAddress<S> {
    inner: S,
    addresses: Arc<Addresses>,
    verifier: Option<Arc<Verifier>>,
}

impl<S> LimitAddress<S> {
    pub(crate) fn new(
        inner: S,
        addresses: Arc<Addresses>,
        verifier: Option<Arc<Verifier>>,
    ) -> Self {
        Self { inner, addresses, verifier }
    }

    fn admit(
        &self,
        routed: &Routed<impl Sized>,
        now: Instant,
    ) -> Result<(), (&'static str, Duration)> {
        let Routed { call, method, http } = routed;
        let claim = self.verifier.as_ref().zip(http.headers().get(AUTHORIZATION));
        let known = || {
            claim.is_some_and(|(verifier, value)| {
                let token = value.to_str().ok().and_then(bearer);
                token.is_some_and(|token| verifier.knows(token))
            })
        };
        let proof = Proof {
            source: source_of(call.client),
            public: method.policy.access == Access::Public,
            invalid_before: call.connection.had_invalid_credentials(),
            known: claim.is_some().then_some(&known),
        };
        self.addresses.admit(&proof, now)
    }
}

impl<S, B, R> Service<Routed<B>> for LimitAddress<S>
where
    S: Service<Routed<B>, Response = Response<R>, Error = Infallible>,
    R: Default,
{
    type Response = Response<R>;
    type Error = Infallible;
    type Future = Admission<S::Future, R>;

    fn call(&self, routed: Routed<B>) -> Self::Future {
        if !routed.method.infrastructure
            && let Err((limit, wait)) =
                admit_at_arrival(routed.call.received, |now| self.admit(&routed, now))
        {
            let what = match limit {
                "address" => {
                    "too many calls of this address without valid credentials or of public methods"
                }
                _ => "too many calls of this address with unverified credentials",
            };
            let failure = Failure::new(Code::ResourceExhausted, GantryReason::RateLimited, what);
            return Admission::refuse(retry_later(failure.metadata("limit", limit), wait));
        }
        Admission::pass(self.inner.call(routed))
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn ann() -> Source {
        source_of(IpAddr::from([192, 0, 2, 1]))
    }

    fn addresses() -> (Addresses, Instant) {
        let settings = LimitSettings {
            per_address: RateSettings { per_second: 10.0, burst: 20 },
            per_address_unproven: RateSettings { per_second: 200.0, burst: 400 },
            ..LimitSettings::default()
        };
        (Addresses::new(&settings).unwrap(), Instant::now())
    }

    /// Returns a call of a restricted method.
    fn call(known: Option<&dyn Fn() -> bool>) -> Proof<'_> {
        Proof { source: ann(), public: false, invalid_before: false, known }
    }

    fn stranger() -> Proof<'static> {
        call(None)
    }

    fn unknown() -> Proof<'static> {
        call(Some(&|| false))
    }

    fn known() -> Proof<'static> {
        call(Some(&|| true))
    }

    fn admitted(addresses: &Addresses, of: &Proof<'_>, now: Instant) -> usize {
        (0..1000).take_while(|_| addresses.admit(of, now).is_ok()).count()
    }

    #[tokio::test(start_paused = true)]
    async fn a_delayed_call_is_not_refused_for_a_later_one() {
        let (addresses, received) = addresses();
        let admit = |now| addresses.admit(&stranger(), now);
        tokio::time::advance(Duration::from_secs(3)).await;
        // Another call of the source arrives later and is admitted first.
        admit(Instant::now()).unwrap();
        admit(received).unwrap_err();
        admit_at_arrival(received, admit).unwrap();
        for _ in 2..20 {
            admit_at_arrival(received, admit).unwrap();
        }
        admit_at_arrival(received, admit).unwrap_err();
    }

    #[test]
    fn credentials_are_limited_only_after_an_invalid_one() {
        let (addresses, now) = addresses();
        assert_eq!(admitted(&addresses, &unknown(), now), 1000);
        addresses.failed(ann(), now);
        assert_eq!(admitted(&addresses, &unknown(), now), 400);
        assert_eq!(admitted(&addresses, &known(), now), 1000);
        let forgotten = now + Duration::from_secs(60);
        assert_eq!(admitted(&addresses, &unknown(), forgotten), 1000);
    }

    #[test]
    fn a_public_method_counts_for_the_address_of_any_caller() {
        for proof in [stranger(), unknown(), known()] {
            let (addresses, now) = addresses();
            let public = Proof { public: true, ..proof };
            assert_eq!(admitted(&addresses, &public, now), 20);
            addresses.admit(&stranger(), now).unwrap_err();
            addresses.admit(&known(), now).unwrap();
        }
    }

    #[test]
    fn missing_and_invalid_credentials_have_separate_buckets() {
        let (addresses, now) = addresses();
        addresses.failed(ann(), now);
        assert_eq!(admitted(&addresses, &stranger(), now), 20);
        assert_eq!(admitted(&addresses, &unknown(), now), 400);
        let (limit, _) = addresses.admit(&unknown(), now).unwrap_err();
        assert_eq!(limit, "credentials");
    }

    #[test]
    fn invalid_credentials_do_not_limit_other_connections() {
        let (addresses, now) = addresses();
        addresses.failed(ann(), now);
        let flood = Proof { invalid_before: true, ..unknown() };
        assert_eq!(admitted(&addresses, &flood, now), 400);
        addresses.admit(&unknown(), now).unwrap();
    }

    #[test]
    fn invalid_credentials_are_limited_to_the_rate() {
        let (addresses, start) = addresses();
        let mut admitted = 0;
        for tenth in 0..600 {
            let now = start + tenth * Duration::from_millis(100);
            for _ in 0..100 {
                let invalid_before = Proof { invalid_before: admitted > 0, ..unknown() };
                if addresses.admit(&invalid_before, now).is_ok() {
                    admitted += 1;
                    addresses.failed(ann(), now);
                }
            }
        }
        assert!((12_000..=12_500).contains(&admitted), "{admitted}");
    }

    #[test]
    fn all_networks_of_a_site_share_sixteen_limits() {
        let (addresses, now) = addresses();
        let all: usize = (0..100)
            .map(|network| {
                let source = source_of(format!("2001:db8:1:{network:x}::1").parse().unwrap());
                admitted(&addresses, &Proof { source, ..stranger() }, now)
            })
            .sum();
        assert_eq!(all, 16 * 20);
    }

    #[test]
    fn a_flood_of_addresses_is_bounded_and_resets_no_limit() {
        let settings = LimitSettings { max_keys: 1000, ..LimitSettings::default() };
        let (addresses, now) = (Addresses::new(&settings).unwrap(), Instant::now());
        let mut admitted = 0;
        for n in 0..200_000_u32 {
            let source = source_of(IpAddr::V4((0x0b00_0000 | n).into()));
            addresses.failed(source, now);
            addresses.admit(&Proof { source, ..stranger() }, now).unwrap();
            if n % 50 == 0 {
                admitted += u32::from(addresses.admit(&stranger(), now).is_ok());
            }
        }
        assert_eq!(admitted, 20);
        let strangers = addresses.strangers.buckets.len();
        assert!(strangers <= 1100, "{strangers}");
        assert!(addresses.failures.len() <= 1100, "{}", addresses.failures.len());
    }
}
