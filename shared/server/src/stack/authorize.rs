//! Authorizes the caller for the method, by the contract alone.

use std::{convert::Infallible, sync::Arc};

use gantry_contract::{
    Authorized, Caller, Contract, Denied, Failure, GantryReason, access::Grants, called::LACKS,
};
use http::Response;
use hyper::service::Service;
use tonic::Code;

use super::admission::Admission;
use crate::call::{Limited, Permitted};

#[derive(Clone, Debug)]
pub(crate) struct Authorize<S> {
    inner: S,
    contract: &'static Contract,
    grants: Arc<Grants>,
}

impl<S> Authorize<S> {
    pub(crate) fn new(inner: S, contract: &'static Contract, grants: Arc<Grants>) -> Self {
        Self { inner, contract, grants }
    }
}

impl<S, B, R> Service<Limited<B>> for Authorize<S>
where
    S: Service<Permitted<B>, Response = Response<R>, Error = Infallible>,
    R: Default,
{
    type Response = Response<R>;
    type Error = Infallible;
    type Future = Admission<S::Future, R>;

    fn call(&self, limited: Limited<B>) -> Self::Future {
        let Limited { call, method, caller, key, http } = limited;
        if caller == Caller::Anonymous && !method.is_public() {
            return Admission::refuse(refusal(Denied::Unauthenticated));
        }
        match self.contract.authorize(method.policy, &caller, &self.grants) {
            Ok(scope) => {
                let authorized = Authorized { caller, scope };
                Admission::pass(self.inner.call(Permitted { call, method, key, authorized, http }))
            }
            Err(denied) => Admission::refuse(refusal(denied)),
        }
    }
}

fn refusal(denied: Denied) -> Failure {
    let missing = |permission, lacks| {
        let reason = GantryReason::PermissionMissing;
        Failure::new(Code::PermissionDenied, reason, denied.to_string())
            .metadata("permission", permission)
            .metadata(LACKS, lacks)
    };
    match denied {
        Denied::Unauthenticated => {
            Failure::new(Code::Unauthenticated, GantryReason::TokenMissing, denied.to_string())
        }
        Denied::PermissionMissing(permission) => missing(permission, "user"),
        Denied::NotGranted(permission) => missing(permission, "service"),
    }
}
