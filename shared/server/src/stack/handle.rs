//! Innermost service: calls the handler. The request's extensions hold the caller ([`Authorized`])
//! and the method. The handler runs within the [`CallContext`], which passes the deadline and the
//! caller to outbound calls.

use std::{
    convert::Infallible,
    fmt,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use gantry_contract::{
    Authorized, CallContext,
    gzip::{GZIP, Recoded, Recoder},
};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::{Frame, SizeHint};
use http_body_util::Full;
use hyper::service::Service;
use pin_project_lite::pin_project;
use tonic::{Status, body::Body, codegen::StdError};
use tower::ServiceExt;

use super::{messages::is_gzip, peer_status};
use crate::{
    call::{Complete, Message},
    status::{ACCEPT_ENCODING, ENCODING, code},
};

pub(crate) type Answering =
    Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

/// Handlers of one service.
pub(crate) trait Handlers: Send + Sync {
    /// Calls the handler of the method in the path, within the context of the call.
    fn answer(&self, http: Request<Body>, context: CallContext, streams: bool) -> Answering;
}

impl fmt::Debug for dyn Handlers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handlers").finish_non_exhaustive()
    }
}

/// Server that tonic generated around the handlers.
pub(crate) struct Generated<S>(pub(crate) S);

impl<S, B> Handlers for Generated<S>
where
    S: tower::Service<Request<Body>, Response = Response<B>, Error = Infallible, Future: Send>
        + Clone
        + Send
        + Sync
        + 'static,
    B: http_body::Body<Data = Bytes, Error: Into<StdError>> + Send + 'static,
{
    fn answer(&self, http: Request<Body>, context: CallContext, streams: bool) -> Answering {
        let answer = self.0.clone().oneshot(http);
        if streams {
            let context_of_body = context.clone();
            Box::pin(async move {
                let answer = context.scope(answered(answer)).await;
                Ok(answer.map(|inner| Body::new(InContext { inner, context: context_of_body })))
            })
        } else {
            Box::pin(async move { Ok(context.scope(answered(answer)).await) })
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Handle {
    services: Arc<[Box<dyn Handlers>]>,
    max_message_bytes: u32,
    compression: bool,
}

impl Handle {
    /// Creates the service from the handlers, in the order of the services' indices. With
    /// `compression`, responses are compressed for callers that accept it.
    pub(crate) fn new(
        services: Arc<[Box<dyn Handlers>]>,
        max_message_bytes: u32,
        compression: bool,
    ) -> Self {
        Self { services, max_message_bytes, compression }
    }
}

impl<B> Service<Complete<Message<B>>> for Handle
where
    B: http_body::Body<Data = Bytes, Error: Into<StdError>> + Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answering;

    fn call(&self, complete: Complete<Message<B>>) -> Answering {
        let Complete { call, method, authorized, mut http, .. } = complete;
        let compress = self.compression && accepts_gzip(http.headers());
        // Decompress here: tonic does not apply the method's limit and returns other codes.
        let gzip = is_gzip(http.headers());
        http.headers_mut().remove(ENCODING);
        let mut http = http.map(|message| match message {
            Message::One(message) => Body::new(Full::new(message)),
            Message::Stream(messages) => Body::new(messages),
        });
        if gzip {
            let limit = method.max_request_bytes(self.max_message_bytes);
            http =
                http.map(|body| Body::new(Recoded::new(body, Recoder::inflating(limit as usize))));
        }
        let context = CallContext {
            deadline: call.deadline.get().copied(),
            request_id: Arc::clone(&call.request_id),
            caller: authorized.caller.clone(),
        };
        http.extensions_mut().insert::<Authorized>(authorized);
        http.extensions_mut().insert(method.policy);
        let answer = self.services[method.service].answer(http, context, method.streams_answers());
        if compress { Box::pin(async { answer.await.map(compressed) }) } else { answer }
    }
}

/// Returns true if the list in `grpc-accept-encoding` contains gzip.
fn accepts_gzip(headers: &HeaderMap) -> bool {
    let lists = headers.get_all(ACCEPT_ENCODING).into_iter();
    let mut encodings = lists.flat_map(|list| list.as_bytes().split(|byte| *byte == b','));
    encodings.any(|encoding| encoding.trim_ascii() == GZIP.as_bytes())
}

/// Compresses the messages of a response that are large enough.
fn compressed(mut answer: Response<Body>) -> Response<Body> {
    // A response with its status in the headers has no message.
    if code(answer.headers()).is_some() {
        return answer;
    }
    answer.headers_mut().insert(ENCODING, HeaderValue::from_static(GZIP));
    answer.map(|body| Body::new(Recoded::new(body, Recoder::deflating())))
}

/// Returns the response of a handler, without the statuses of outbound calls.
async fn answered<B>(
    answer: impl Future<Output = Result<Response<B>, Infallible>>,
) -> Response<Body>
where
    B: http_body::Body<Data = Bytes, Error: Into<StdError>> + Send + 'static,
{
    let Ok(answer) = answer.await;
    peer_status::head(answer.map(Body::new))
}

pin_project! {
    /// Response body that is polled within the call's context, because a streaming handler works
    /// after the head was sent.
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
        let poll_once = poll_fn(|cx| {
            let polled = this.inner.as_mut().poll_frame(cx);
            Poll::Ready(polled.map_ok(|frame| match frame.into_trailers() {
                Ok(trailers) => Frame::trailers(peer_status::end(trailers)),
                Err(frame) => frame,
            }))
        });
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_encodings_is_read_whole() {
        for (list, accepts) in [
            ("gzip", true),
            ("identity,deflate,gzip", true),
            ("identity, gzip ,zstd", true),
            ("", false),
            ("identity", false),
            ("gzipped,x-gzip", false),
        ] {
            let headers = HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static(list))]);
            assert_eq!(accepts_gzip(&headers), accepts, "{list}");
        }
        assert!(!accepts_gzip(&HeaderMap::new()));
    }
}
