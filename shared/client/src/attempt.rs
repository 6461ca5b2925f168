//! One attempt: a request on a connection, and what becomes of it.

use h2::Reason;
use http::{HeaderMap, Method, Request, Response, Uri, Version};
use tonic::{Code, Status};

use crate::{
    error::chain,
    incoming::Incoming,
    pool::{Lease, Sender},
    request_body::RequestBody,
};

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
    /// The request's own body broke off.
    BrokeOff(Status),
    /// Anything else: it may have been executed.
    Lost(Loss),
}

/// How an attempt was lost.
pub(crate) struct Loss {
    pub(crate) why: String,
    /// Code for the caller, see [`lost_code`].
    pub(crate) code: Code,
    /// Whether its connection broke, and not only its stream.
    pub(crate) connection: bool,
    /// Whether the peer cancelled its stream.
    pub(crate) cancelled: bool,
}

/// The head of an attempt's request.
pub(crate) fn request(uri: &Uri, headers: HeaderMap) -> Request<()> {
    let mut request = Request::new(());
    *request.method_mut() = Method::POST;
    *request.uri_mut() = uri.clone();
    *request.version_mut() = Version::HTTP_2;
    *request.headers_mut() = headers;
    request
}

/// Sends the request and waits for the head of the response. Dropped before, it resets the
/// stream.
pub(crate) async fn exchange(
    mut sender: Sender,
    request: Request<()>,
    body: RequestBody,
) -> Result<Response<Incoming>, Unanswered> {
    let writes = sender.writes();
    let is_whole = body.is_end_stream();
    let Ok((response, mut stream)) = sender.open(request, is_whole) else {
        return Err(Unanswered::NeverSent(body));
    };
    let (upload, kept) = match body {
        RequestBody::Whole(message) => {
            if !is_whole {
                // Where the stream has failed meanwhile the response says how.
                let _ = stream.send_data(message.clone(), true);
            }
            drop(stream);
            (None, Some(RequestBody::Whole(message)))
        }
        RequestBody::Stream(upload) => (Some(upload.begin(stream).await), None),
    };
    let error = match response.await {
        Ok(response) => return Ok(response.map(|stream| Incoming::new(stream, upload))),
        Err(error) => error,
    };
    if let Some(status) = upload.and_then(|upload| upload.failure()) {
        return Err(Unanswered::BrokeOff(status));
    }
    match kept {
        Some(body) if !error.is_reset() && sender.writes() == writes => {
            Err(Unanswered::NeverSent(body))
        }
        _ if is_refusal(&error) => Err(Unanswered::Refused(chain(&error))),
        _ => {
            let why = if sender.is_dead() {
                "the endpoint did not answer a ping".to_owned()
            } else {
                chain(&error)
            };
            let cancelled = error.reason() == Some(Reason::CANCEL);
            let (code, connection) = (lost_code(&error), !error.is_reset());
            Err(Unanswered::Lost(Loss { why, code, connection, cancelled }))
        }
    }
}

/// Code of a call whose stream was reset, or whose connection broke: the table of gRPC's
/// PROTOCOL-HTTP2.md, and UNAVAILABLE of its statuscodes.md. Codes that the table has no row
/// for are INTERNAL, as RFC 9113, section 7, takes unknown ones.
pub(crate) fn lost_code(error: &h2::Error) -> Code {
    if !error.is_reset() {
        return Code::Unavailable;
    }
    match error.reason() {
        Some(Reason::REFUSED_STREAM) => Code::Unavailable,
        Some(Reason::CANCEL) => Code::Cancelled,
        Some(Reason::ENHANCE_YOUR_CALM) => Code::ResourceExhausted,
        Some(Reason::INADEQUATE_SECURITY) => Code::PermissionDenied,
        _ => Code::Internal,
    }
}

/// Whether the peer itself said that it did not process the stream. A remote GOAWAY
/// reaches the streams above the last one that the peer will process.
pub(crate) fn is_refusal(error: &h2::Error) -> bool {
    error.is_remote()
        && (error.is_go_away()
            || (error.is_reset() && error.reason() == Some(Reason::REFUSED_STREAM)))
}
