//! One attempt: a request on a connection, and what becomes of it.

use http::{HeaderMap, Method, Request, Response, Uri, Version};
use hyper::{body::Incoming, client::conn::http2::SendRequest};

use crate::{error::chain, pool::Lease, request_body::RequestBody};

/// An attempt from when it is sent until it has ended.
pub(crate) struct Attempt {
    /// Gives the stream's place back when it is dropped.
    pub(crate) lease: Lease,
    /// Whether it had time enough.
    pub(crate) fair: bool,
}

/// How an attempt ended without an answer.
pub(crate) enum Unanswered {
    /// Nothing was written; here is the body again.
    NeverSent(RequestBody),
    /// The peer says that it did not process the stream.
    Refused(String),
    /// Anything else: it may have been executed.
    Lost(Loss),
}

/// How an attempt was lost.
pub(crate) struct Loss {
    pub(crate) why: String,
    /// Whether its connection broke, and not only its stream.
    pub(crate) connection: bool,
}

/// The request of one attempt.
pub(crate) fn request(uri: &Uri, headers: HeaderMap, body: RequestBody) -> Request<RequestBody> {
    let mut request = Request::new(body);
    *request.method_mut() = Method::POST;
    *request.uri_mut() = uri.clone();
    *request.version_mut() = Version::HTTP_2;
    *request.headers_mut() = headers;
    request
}

/// Sends the request and waits for the head of the response. Dropped before, it resets the
/// stream.
pub(crate) async fn exchange(
    mut sender: SendRequest<RequestBody>,
    request: Request<RequestBody>,
) -> Result<Response<Incoming>, Unanswered> {
    let mut failed = match sender.try_send_request(request).await {
        Ok(response) => return Ok(response),
        Err(failed) => failed,
    };
    if let Some(request) = failed.take_message() {
        return Err(Unanswered::NeverSent(request.into_body()));
    }
    let error = failed.into_error();
    let why = chain(&error);
    if is_refusal(&error) {
        return Err(Unanswered::Refused(why));
    }
    let connection = !http2(&error).is_some_and(h2::Error::is_reset);
    Err(Unanswered::Lost(Loss { why, connection }))
}

/// Whether the peer itself said that it did not process the stream. A remote GOAWAY
/// reaches the streams above the last one that the peer will process, and requests
/// that hyper had begun to write when it came, whose message was not written.
pub(crate) fn is_refusal(error: &hyper::Error) -> bool {
    http2(error).is_some_and(|error| {
        error.is_remote()
            && (error.is_go_away()
                || (error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM)))
    })
}

/// What HTTP/2 says is the cause.
fn http2(error: &hyper::Error) -> Option<&h2::Error> {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref() {
            return Some(error);
        }
        cause = error.source();
    }
    None
}
