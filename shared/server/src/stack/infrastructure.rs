//! Limits of health and reflection. No other limit applies to them: they are neither shed nor
//! counted for their callers, and their streams last as long as the caller wants.

use std::{convert::Infallible, sync::Arc, time::Duration};

use gantry_contract::{Failure, GantryReason};
use http::Response;
use hyper::service::Service;
use tonic::{Code, Status};

use super::admission::Admission;
use crate::{
    call::Routed, connection::InfrastructureCalls, source::source_of, status::retry_later,
};

/// Retry delay of a refused call, jittered by half.
const AWAY: Duration = Duration::from_secs(1);

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
    type Future = Admission<S::Future, R>;

    fn call(&self, routed: Routed<B>) -> Self::Future {
        let call = &routed.call;
        if routed.method.infrastructure {
            match self.calls.admit(&call.connection, source_of(call.client)) {
                // Cannot fail: each call passes here once.
                Ok(open) => drop(call.infrastructure.set(open)),
                Err(limit) => return Admission::refuse(too_many(limit)),
            }
        }
        Admission::pass(self.inner.call(routed))
    }
}

fn too_many(limit: &'static str) -> Status {
    let what = "too many open calls of health and reflection";
    let failure = Failure::new(Code::ResourceExhausted, GantryReason::Overloaded, what);
    retry_later(failure.metadata("limit", limit), AWAY.mul_f64(0.5 + fastrand::f64()))
}
