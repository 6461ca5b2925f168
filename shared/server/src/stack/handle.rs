//! The innermost service: gives a permitted call to its handler, which finds in
//! the request's extensions who calls ([`Authorized`]) and which method this is,
//! and runs within the [`CallContext`] that outbound calls inherit from.

use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use gantry_contract::{Authorized, CallContext};
use http::Response;
use http_body::{Frame, SizeHint};
use pin_project_lite::pin_project;
use tonic::{Status, body::Body, codegen::StdError, service::Routes};
use tower::Service;

use super::messages::Messages;
use crate::call::Permitted;

#[derive(Clone, Debug)]
pub(crate) struct Handle {
    routes: Routes,
    max_message_bytes: u32,
}

impl Handle {
    pub(crate) fn new(routes: Routes, max_message_bytes: u32) -> Self {
        Self { routes, max_message_bytes }
    }
}

impl<B> Service<Permitted<B>> for Handle
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<StdError>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Service::<http::Request<Body>>::poll_ready(&mut self.routes, cx)
    }

    fn call(&mut self, Permitted { call, method, authorized, http }: Permitted<B>) -> Self::Future {
        let limit = self.max_message_bytes;
        let required = method.takes_one_message();
        let mut http = http.map(|body| Messages::new(body, limit, required));
        let context = CallContext {
            deadline: call.deadline.get().copied(),
            request_id: Arc::clone(&call.request_id),
            caller: authorized.caller.clone(),
        };
        http.extensions_mut().insert::<Authorized>(authorized);
        http.extensions_mut().insert(method.policy);
        if method.streams_answers() {
            let handled = context.clone().scope(self.routes.call(http));
            Box::pin(async move {
                let Ok(response) = handled.await;
                Ok(response.map(|inner| Body::new(InContext { inner, context })))
            })
        } else {
            Box::pin(context.scope(self.routes.call(http)))
        }
    }
}

pin_project! {
    /// A stream of answers that is made within the call's context as well: it is
    /// the body that runs a streaming handler, long after its head was sent.
    struct InContext {
        #[pin]
        inner: Body,
        context: CallContext,
    }
}

impl http_body::Body for InContext {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let mut this = self.project();
        let poll_once = poll_fn(|cx| Poll::Ready(this.inner.as_mut().poll_frame(cx)));
        match pin!(this.context.clone().scope(poll_once)).poll(cx) {
            Poll::Ready(polled) => polled,
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
