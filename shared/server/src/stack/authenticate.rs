//! Authenticates the caller by the token of the call.
//!
//! A call waits only if the key of its token is unknown and may have been published since the last
//! fetch.
//!
//! A method that needs credentials rejects invalid ones. For a public method credentials are
//! optional: a valid token identifies the caller and an invalid one is ignored, so that a login
//! works while the client still sends an expired token. Health and reflection ignore credentials.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use gantry_contract::{Caller, Failure, GantryReason};
use gantry_identity::{TokenError, Verifier};
use http::{HeaderMap, Response, header::AUTHORIZATION};
use hyper::service::Service;
use pin_project_lite::pin_project;
use tonic::Code;

use super::{addresses::Addresses, admission::Admission, bearer::bearer};
use crate::{
    call::{Authenticated, Routed},
    source::source_of,
};

#[derive(Clone, Debug)]
pub(crate) struct Authenticate<S> {
    inner: S,
    verifier: Option<Arc<Verifier>>,
    addresses: Arc<Addresses>,
}

impl<S> Authenticate<S> {
    /// Creates the layer. Without a verifier every caller is anonymous.
    pub(crate) fn new(
        inner: S,
        verifier: Option<Arc<Verifier>>,
        addresses: Arc<Addresses>,
    ) -> Self {
        Self { inner, verifier, addresses }
    }
}

impl<S, B, R> Service<Routed<B>> for Authenticate<S>
where
    S: Service<Authenticated<B>, Response = Response<R>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send,
    B: Send + 'static,
    R: Default + Send,
{
    type Response = Response<R>;
    type Error = Infallible;
    type Future = Authenticating<S::Future, R>;

    fn call(&self, routed: Routed<B>) -> Self::Future {
        let verifier = self.verifier.as_ref().filter(|_| !routed.method.infrastructure);
        let Some(verifier) = verifier else {
            return self.decide(routed, Ok(Caller::Anonymous)).into();
        };
        if let Some(credentials) = routed.http.headers().get(AUTHORIZATION) {
            let mut credentials = credentials.clone();
            credentials.set_sensitive(true);
            let _ = routed.call.credentials.set(credentials);
        }
        let token = match token(routed.http.headers()) {
            Ok(token) => token,
            Err(unproven) => return self.decide(routed, Err(unproven)).into(),
        };
        // Without credentials the caller is anonymous; authorization decides whether that suffices.
        let verified = token.map_or(Ok(Caller::Anonymous), |token| verifier.verify(token));
        if let (Err(TokenError::UnknownKey), Some(token)) = (&verified, token)
            && verifier.may_learn()
            && !routed.method.is_public()
        {
            let (layer, verifier, token) = (self.clone(), Arc::clone(verifier), token.to_owned());
            return Authenticating::Learning {
                future: Box::pin(async move {
                    let verified = verifier.verify_or_learn(&token).await;
                    layer.decide(routed, verified.map_err(Unproven::from)).await
                }),
            };
        }
        self.decide(routed, verified.map_err(Unproven::from)).into()
    }
}

impl<S> Authenticate<S> {
    /// Passes the call on if its caller is verified or the method is public.
    fn decide<B, R>(
        &self,
        Routed { call, method, http }: Routed<B>,
        verified: Result<Caller, Unproven>,
    ) -> Admission<S::Future, R>
    where
        S: Service<Authenticated<B>, Response = Response<R>, Error = Infallible>,
        R: Default,
    {
        let verified = verified
            .and_then(|caller| certified(caller, call.connection.certified_names.as_deref()));
        if verified.is_err() {
            self.addresses.failed(source_of(call.client), call.received);
            call.connection.invalid_credentials();
        }
        let caller = match verified {
            Ok(caller) => caller,
            Err(_) if method.is_public() => Caller::Anonymous,
            Err(unproven) => return Admission::refuse(unproven),
        };
        if caller != Caller::Anonymous {
            call.connection.standing.authenticated();
        }
        // Cannot fail: only this layer sets it, once per call.
        let _ = call.caller.set(describe(&caller));
        Admission::pass(self.inner.call(Authenticated { call, method, caller, http }))
    }
}

type Answering<R> = Pin<Box<dyn Future<Output = Result<Response<R>, Infallible>> + Send>>;

pin_project! {
    /// Rest of the call, at once or after its key is fetched.
    #[project = AuthenticatingProject]
    pub(crate) enum Authenticating<F, R> {
        Decided { #[pin] admission: Admission<F, R> },
        Learning { future: Answering<R> },
    }
}

impl<F, R> From<Admission<F, R>> for Authenticating<F, R> {
    fn from(admission: Admission<F, R>) -> Self {
        Self::Decided { admission }
    }
}

impl<F, R> Future for Authenticating<F, R>
where
    F: Future<Output = Result<Response<R>, Infallible>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            AuthenticatingProject::Decided { admission } => admission.poll(cx),
            AuthenticatingProject::Learning { future } => future.as_mut().poll(cx),
        }
    }
}

/// Reason why credentials are rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Unproven {
    #[error("there must be one authorization, of the form 'Bearer TOKEN'")]
    NoBearer,
    #[error("the token's issuer is not a name of the caller's certificate")]
    OtherCertificate,
    #[error(transparent)]
    Token(#[from] TokenError),
}

impl From<Unproven> for tonic::Status {
    fn from(unproven: Unproven) -> Self {
        let reason = match unproven {
            Unproven::Token(TokenError::Expired) => GantryReason::TokenExpired,
            Unproven::NoBearer | Unproven::OtherCertificate | Unproven::Token(_) => {
                GantryReason::TokenInvalid
            }
        };
        Failure::new(Code::Unauthenticated, reason, unproven.to_string()).into()
    }
}

/// Checks the caller against the peer's certificate. If the peer presented a certificate, a
/// service's token is valid only with the certificate of that service, so that a stolen token is
/// worthless to other services. A user has no certificate and may call through any service.
fn certified(caller: Caller, names: Option<&[String]>) -> Result<Caller, Unproven> {
    match (&caller, names) {
        (Caller::Service { service, .. } | Caller::Delegate { service, .. }, Some(names))
            if !names.iter().any(|name| name.eq_ignore_ascii_case(service)) =>
        {
            Err(Unproven::OtherCertificate)
        }
        _ => Ok(caller),
    }
}

/// Returns the token of the call, if it has one.
fn token(headers: &HeaderMap) -> Result<Option<&str>, Unproven> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => {
            value.to_str().ok().and_then(bearer).map(Some).ok_or(Unproven::NoBearer)
        }
        (Some(_), Some(_)) => Err(Unproven::NoBearer),
    }
}

/// Returns the caller in the form used by the log.
fn describe(caller: &Caller) -> String {
    match caller {
        Caller::Delegate { service, actor } => format!("{} via {service}", actor.subject),
        Caller::Anonymous | Caller::User(_) | Caller::Service { .. } => caller.subject(),
    }
}
