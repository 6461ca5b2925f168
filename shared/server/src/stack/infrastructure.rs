//! Limits of health and reflection, which have no other: they are neither shed nor counted
//! by the limits of callers, and a stream of theirs lasts for as long as its caller likes.
//!
//! Open calls are limited per connection, per source and in all. The first one of each
//! connection is always let in: a flood must not silence the probes, and connections have
//! limits of their own.

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use gantry_contract::{Failure, GantryReason};
use http::Response;
use hyper::service::Service;
use tonic::{Code, Status};

use super::verdict::Verdict;
use crate::{
    call::{Connection, Routed},
    settings::InfrastructureSettings,
    source::{Source, source_of},
    status::come_again,
};

/// Time after which a refused call is worth another try, give or take a half.
const AWAY: Duration = Duration::from_secs(1);

/// Open calls of health and reflection.
#[derive(Debug)]
pub(crate) struct InfrastructureCalls {
    settings: InfrastructureSettings,
    open: AtomicU32,
    by_source: Mutex<HashMap<Source, u32>>,
}

/// One open call; it counts until this is dropped, with the call.
#[derive(Debug)]
pub(crate) struct InfrastructureCall {
    calls: Arc<InfrastructureCalls>,
    connection: Arc<Connection>,
    source: Source,
}

impl InfrastructureCalls {
    pub(crate) fn new(settings: &InfrastructureSettings) -> Self {
        let settings = settings.clone();
        Self { settings, open: AtomicU32::new(0), by_source: Mutex::default() }
    }

    /// Lets a call in.
    ///
    /// # Errors
    /// The limit that is reached, as refusals name it.
    fn admit(
        self: &Arc<Self>,
        connection: &Arc<Connection>,
        source: Source,
    ) -> Result<InfrastructureCall, &'static str> {
        let InfrastructureSettings { max_calls, max_per_address, max_per_connection } =
            self.settings;
        let of_connection = connection.standing.begin_infrastructure();
        let all = self.open.fetch_add(1, Ordering::Relaxed);
        let of_source = {
            let mut by_source = self.by_source();
            let count = by_source.entry(source).or_default();
            *count += 1;
            *count - 1
        };
        let call = InfrastructureCall {
            calls: Arc::clone(self),
            connection: Arc::clone(connection),
            source,
        };
        match () {
            () if of_connection == 0 => Ok(call),
            () if of_connection >= max_per_connection => Err("connection"),
            () if of_source >= max_per_address => Err("address"),
            () if all >= max_calls => Err("infrastructure"),
            () => Ok(call),
        }
    }

    fn by_source(&self) -> MutexGuard<'_, HashMap<Source, u32>> {
        self.by_source.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for InfrastructureCall {
    fn drop(&mut self) {
        self.connection.standing.end_infrastructure();
        self.calls.open.fetch_sub(1, Ordering::Relaxed);
        let mut by_source = self.calls.by_source();
        if let Some(count) = by_source.get_mut(&self.source) {
            *count -= 1;
            if *count == 0 {
                by_source.remove(&self.source);
            }
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct LimitInfrastructure<S> {
    inner: S,
    calls: Arc<InfrastructureCalls>,
}

impl<S> LimitInfrastructure<S> {
    pub(crate) fn new(inner: S, calls: Arc<InfrastructureCalls>) -> Self {
        Self { inner, calls }
    }
}

impl<S, B, R> Service<Routed<B>> for LimitInfrastructure<S>
where
    S: Service<Routed<B>, Response = Response<R>, Error = Infallible>,
    R: Default,
{
    type Response = Response<R>;
    type Error = Infallible;
    type Future = Verdict<S::Future, R>;

    fn call(&self, routed: Routed<B>) -> Self::Future {
        let call = &routed.call;
        if routed.method.infrastructure {
            match self.calls.admit(&call.connection, source_of(call.client)) {
                // Each call comes by here once.
                Ok(open) => drop(call.infrastructure.set(open)),
                Err(limit) => return Verdict::refuse(too_many(limit)),
            }
        }
        Verdict::pass(self.inner.call(routed))
    }
}

fn too_many(limit: &'static str) -> Status {
    let what = "there are too many open calls of health and reflection";
    let failure = Failure::new(Code::ResourceExhausted, GantryReason::Overloaded, what);
    come_again(failure.metadata("limit", limit), AWAY.mul_f64(0.5 + fastrand::f64()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calls() -> Arc<InfrastructureCalls> {
        let settings =
            InfrastructureSettings { max_per_connection: 2, max_per_address: 3, max_calls: 4 };
        Arc::new(InfrastructureCalls::new(&settings))
    }

    fn source(host: u8) -> Source {
        source_of(std::net::Ipv4Addr::new(192, 0, 2, host).into())
    }

    #[test]
    fn calls_are_limited_per_connection_address_and_server() {
        let calls = calls();
        let connections: Vec<_> = (0..6).map(|_| Arc::new(Connection::any())).collect();
        let admit = |connection: usize, host| calls.admit(&connections[connection], source(host));
        let mut held = vec![admit(0, 1).unwrap(), admit(0, 1).unwrap()];
        assert_eq!(admit(0, 1).unwrap_err(), "connection");
        held.push(admit(1, 1).unwrap());
        assert_eq!(admit(1, 1).unwrap_err(), "address");
        held.push(admit(2, 2).unwrap());
        assert_eq!(admit(2, 2).unwrap_err(), "infrastructure");
        // Whoever has none yet is let in.
        held.push(admit(3, 1).unwrap());
        held.push(admit(4, 3).unwrap());
        held.clear();
        assert_eq!(calls.open.load(Ordering::Relaxed), 0);
        assert!(calls.by_source().is_empty());
        assert!(admit(0, 1).is_ok());
    }
}
