//! Learns who calls, from the token the call brings.
//!
//! Where the method needs credentials, they must hold. Where it is public they
//! are welcome: a token that holds names the caller, one that does not is as good
//! as none, so that a login works while an old token is still being sent along.
//! Health and reflection never look.

use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
};

use gantry_contract::{Access, Caller, Failure, GantryReason};
use gantry_identity::{TokenError, Verifier};
use http::{HeaderMap, Response, header::AUTHORIZATION};
use tonic::Code;
use tower::Service;

use super::verdict::Verdict;
use crate::call::{Authenticated, Routed};

#[derive(Clone, Debug)]
pub(crate) struct Authenticate<S> {
    inner: S,
    verifier: Option<Arc<Verifier>>,
}

impl<S> Authenticate<S> {
    /// Without a verifier every caller is anonymous.
    pub(crate) fn new(inner: S, verifier: Option<Arc<Verifier>>) -> Self {
        Self { inner, verifier }
    }
}

impl<S, B, R> Service<Routed<B>> for Authenticate<S>
where
    S: Service<Authenticated<B>, Response = Response<R>, Error = Infallible>,
    R: Default,
{
    type Response = Response<R>;
    type Error = Infallible;
    type Future = Verdict<S::Future, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, Routed { call, method, http }: Routed<B>) -> Self::Future {
        let verified = match &self.verifier {
            Some(verifier) if !method.infrastructure => verify(verifier, http.headers()),
            _ => Ok(Caller::Anonymous),
        };
        let caller = match verified {
            Ok(caller) => caller,
            Err(_) if method.policy.access == Access::Public => Caller::Anonymous,
            Err(unproven) => return Verdict::refuse(unproven),
        };
        // This layer is the only one that sets it, once per call.
        let _ = call.caller.set(describe(&caller));
        Verdict::pass(self.inner.call(Authenticated { call, method, caller, http }))
    }
}

/// Why credentials prove nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Unproven {
    #[error("there must be one authorization, of the form 'Bearer TOKEN'")]
    NoBearer,
    #[error(transparent)]
    Token(#[from] TokenError),
}

impl From<Unproven> for tonic::Status {
    fn from(unproven: Unproven) -> Self {
        let reason = match unproven {
            Unproven::Token(TokenError::Expired) => GantryReason::TokenExpired,
            Unproven::NoBearer | Unproven::Token(_) => GantryReason::TokenInvalid,
        };
        Failure::new(Code::Unauthenticated, reason, unproven.to_string()).into()
    }
}

/// Without credentials a caller is anonymous: whether that is enough is for
/// authorization to say.
fn verify(verifier: &Verifier, headers: &HeaderMap) -> Result<Caller, Unproven> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(Caller::Anonymous),
        (Some(value), None) => {
            let token = value.to_str().ok().and_then(bearer).ok_or(Unproven::NoBearer)?;
            Ok(verifier.verify(token)?)
        }
        (Some(_), Some(_)) => Err(Unproven::NoBearer),
    }
}

fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// The caller as the log names it.
fn describe(caller: &Caller) -> String {
    match caller {
        Caller::Delegate { service, actor } => format!("{} via {service}", actor.subject),
        Caller::Anonymous | Caller::User(_) | Caller::Service { .. } => caller.subject(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_bearer_token_is_read() {
        assert_eq!(bearer("Bearer abc"), Some("abc"));
        assert_eq!(bearer("bearer  abc "), Some("abc"));
        for value in ["", "abc", "Bearer", "Bearer ", "Basic abc", "Bearerabc"] {
            assert_eq!(bearer(value), None, "{value}");
        }
    }
}
