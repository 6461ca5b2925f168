//! How often an address may call of which nobody knows who calls.
//!
//! Calls without credentials draw on the bucket of their address. So do calls with
//! credentials that are not known to hold, where others from that address lately did not:
//! each of them would buy a signature check, and credentials made up on the spot would be a
//! way around the limit. Whoever has proven who it is goes past all this.

use std::{convert::Infallible, net::IpAddr, sync::Arc, time::Duration};

use gantry_contract::{Failure, GantryReason};
use gantry_identity::Verifier;
use gantry_resilience::limits::{Buckets, InvalidRate, Rate};
use http::{HeaderMap, Response, header::AUTHORIZATION};
use hyper::service::Service;
use tokio::time::Instant;
use tonic::Code;

use super::{
    authenticate::bearer,
    verdict::{Verdict, not_for_being_late},
};
use crate::{
    call::Routed,
    settings::LimitSettings,
    source::{Source, source_of},
    status::come_again,
};

/// Once in this time an address may be wrong about its credentials for nothing.
const LATELY: f64 = 60.0;

/// What is known of the addresses.
#[derive(Debug)]
pub(crate) struct Addresses {
    rate: Rate,
    calls: Buckets<Source>,
    lately: Rate,
    /// One token each: it is gone where credentials failed lately.
    failures: Buckets<Source>,
}

impl Addresses {
    pub(crate) fn new(settings: &LimitSettings) -> Result<Self, InvalidRate> {
        let (most, now) = (settings.max_keys as usize, Instant::now());
        Ok(Self {
            rate: settings.per_address.rate()?,
            calls: Buckets::new(most, now),
            lately: Rate::try_new(1.0 / LATELY, 1)?,
            failures: Buckets::new(most, now),
        })
    }

    /// Credentials from this address did not hold.
    pub(super) fn failed(&self, address: IpAddr, now: Instant) {
        let source = source_of(address);
        if self.failures.take(&source, self.lately, now).is_ok() {
            // The first one was not paid for: `admit` could not know.
            let _ = self.calls.take(&source, self.rate, now);
        }
    }

    fn admit(&self, address: IpAddr, proven: Proven, now: Instant) -> Result<(), Duration> {
        let source = source_of(address);
        match proven {
            Proven::Claimed(known) if self.failures.is_full(&source, now) || known() => Ok(()),
            Proven::Claimed(_) | Proven::Nothing => self.calls.take(&source, self.rate, now),
        }
    }
}

/// What a call brings to prove who makes it.
enum Proven<'a> {
    Nothing,
    /// Something, and whether it has proven itself before.
    Claimed(&'a dyn Fn() -> bool),
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

    fn admit(&self, address: IpAddr, headers: &HeaderMap, now: Instant) -> Result<(), Duration> {
        match (&self.verifier, headers.get(AUTHORIZATION)) {
            (Some(verifier), Some(value)) => {
                let token = value.to_str().ok().and_then(bearer);
                let known = || token.is_some_and(|token| verifier.knows(token));
                self.addresses.admit(address, Proven::Claimed(&known), now)
            }
            _ => self.addresses.admit(address, Proven::Nothing, now),
        }
    }
}

impl<S, B, R> Service<Routed<B>> for LimitAddress<S>
where
    S: Service<Routed<B>, Response = Response<R>, Error = Infallible>,
    R: Default,
{
    type Response = Response<R>;
    type Error = Infallible;
    type Future = Verdict<S::Future, R>;

    fn call(&self, routed: Routed<B>) -> Self::Future {
        let Routed { call, method, http } = &routed;
        if !method.infrastructure
            && let Err(wait) = not_for_being_late(call.received, |now| {
                self.admit(call.client, http.headers(), now)
            })
        {
            let failure = Failure::new(
                Code::ResourceExhausted,
                GantryReason::RateLimited,
                "this address calls too often without credentials that hold",
            );
            return Verdict::refuse(come_again(failure.metadata("limit", "address"), wait));
        }
        Verdict::pass(self.inner.call(routed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::RateSettings;

    const ANN: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const UNKNOWN: Proven<'_> = Proven::Claimed(&|| false);
    const KNOWN: Proven<'_> = Proven::Claimed(&|| true);

    fn addresses() -> (Addresses, Instant) {
        let per_address = RateSettings { per_second: 10.0, burst: 20 };
        let settings = LimitSettings { per_address, ..LimitSettings::default() };
        (Addresses::new(&settings).unwrap(), Instant::now())
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_was_held_up_is_not_one_too_many() {
        let (addresses, received) = addresses();
        let admit = |now| addresses.admit(ANN, Proven::Nothing, now);
        tokio::time::advance(Duration::from_secs(3)).await;
        // Another from there that came later and was faster.
        admit(Instant::now()).unwrap();
        admit(received).unwrap_err();
        not_for_being_late(received, admit).unwrap();
        for _ in 2..20 {
            not_for_being_late(received, admit).unwrap();
        }
        not_for_being_late(received, admit).unwrap_err();
    }

    #[test]
    fn credentials_cost_nothing_until_some_did_not_hold() {
        let (addresses, now) = addresses();
        for _ in 0..1000 {
            addresses.admit(ANN, UNKNOWN, now).unwrap();
        }
        addresses.failed(ANN, now);
        // That one was paid for afterwards.
        let admitted = (0..100).filter(|_| addresses.admit(ANN, UNKNOWN, now).is_ok()).count();
        assert_eq!(admitted, 19);
        addresses.admit(ANN, Proven::Nothing, now).unwrap_err();
        // Who is known to be who it says is not held responsible for its neighbours.
        addresses.admit(ANN, KNOWN, now).unwrap();
        let forgotten = now + Duration::from_secs(60);
        for _ in 0..1000 {
            addresses.admit(ANN, UNKNOWN, forgotten).unwrap();
        }
    }

    #[test]
    fn bad_credentials_are_no_way_around_the_limit() {
        let (addresses, start) = addresses();
        let mut admitted = 0;
        for tenth in 0..600 {
            let now = start + tenth * Duration::from_millis(100);
            for _ in 0..10 {
                if addresses.admit(ANN, UNKNOWN, now).is_ok() {
                    admitted += 1;
                    addresses.failed(ANN, now);
                }
                admitted += u32::from(addresses.admit(ANN, Proven::Nothing, now).is_ok());
            }
        }
        assert!((600..=621).contains(&admitted), "{admitted}");
    }

    #[test]
    fn a_flood_of_addresses_is_bounded_and_frees_nobody_from_the_limit() {
        let settings = LimitSettings { max_keys: 1000, ..LimitSettings::default() };
        let (addresses, now) = (Addresses::new(&settings).unwrap(), Instant::now());
        let mut admitted = 0;
        for n in 0..200_000_u32 {
            let stranger = IpAddr::V4((0x0b00_0000 | n).into());
            addresses.failed(stranger, now);
            addresses.admit(stranger, Proven::Nothing, now).unwrap();
            if n % 50 == 0 {
                admitted += u32::from(addresses.admit(ANN, Proven::Nothing, now).is_ok());
            }
        }
        assert_eq!(admitted, 20);
        assert!(addresses.calls.len() <= 1100, "{}", addresses.calls.len());
        assert!(addresses.failures.len() <= 1100, "{}", addresses.failures.len());
    }
}
