//! Exchange of an attempt on its connection: the request, the head of the response, and its body.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use h2::{Reason, RecvStream};
use http::{HeaderMap, Method, Request, Response, Uri, Version};
use http_body::{Body, Frame};
use tonic::{Code, Status};

use crate::{error::chain, payload::RequestBody, pool::Sender, upload::Uploading};

/// Failure of an exchange without a response.
pub(crate) enum Unanswered {
    /// Nothing was written. The body can be sent again.
    NeverSent(RequestBody),
    /// The peer did not process the stream.
    Refused(String),
    /// The request's own body broke off.
    BrokeOff(Status),
    /// Anything else: the call may have been executed.
    Lost(Loss),
}

/// A lost exchange.
pub(crate) struct Loss {
    pub(crate) why: String,
    /// Code for the caller, see [`lost_code`].
    pub(crate) code: Code,
    /// True if the connection broke, and not only the stream.
    pub(crate) connection: bool,
}

/// Returns the head of an attempt's request.
pub(crate) fn request(uri: &Uri, headers: HeaderMap) -> Request<()> {
    let mut request = Request::new(());
    *request.method_mut() = Method::POST;
    *request.uri_mut() = uri.clone();
    *request.version_mut() = Version::HTTP_2;
    *request.headers_mut() = headers;
    request
}

/// Result of an exchange.
pub(crate) type Exchanged = Result<Response<Incoming>, Unanswered>;

/// Opens a stream with the request. The future sends the body and waits for the head of the response.
/// Dropping it before that resets the stream.
///
/// Not an async function: its future would hold the request until the response.
pub(crate) fn exchange(
    mut sender: Sender,
    request: Request<()>,
    body: RequestBody,
) -> impl Future<Output = Exchanged> + Send + use<> {
    let writes = sender.writes();
    let is_whole = body.is_end_stream();
    let opened = sender.open(request, is_whole);
    async move {
        let Ok((response, mut stream)) = opened else { return Err(Unanswered::NeverSent(body)) };
        let (upload, kept) = match body {
            RequestBody::Whole(message) => {
                if !is_whole {
                    // If the stream has failed meanwhile, the response has the reason.
                    let _ = stream.send_data(message.clone(), true);
                }
                drop(stream);
                (None, Some(message))
            }
            RequestBody::Stream(upload) => (Some(upload.begin(stream).await), None),
        };
        let error = match response.await {
            Ok(response) => return Ok(response.map(|stream| Incoming::new(stream, upload))),
            Err(error) => error,
        };
        let broken = upload.and_then(|upload| upload.failure());
        let unwritten = kept.filter(|_| !error.is_reset() && sender.writes() == writes);
        Err(match (broken, unwritten) {
            (Some(status), _) => Unanswered::BrokeOff(status),
            (None, Some(message)) => Unanswered::NeverSent(RequestBody::Whole(message)),
            (None, None) if is_refusal(&error) => Unanswered::Refused(chain(&error)),
            (None, None) => Unanswered::Lost(Loss::new(&error, sender.is_dead())),
        })
    }
}

impl Loss {
    /// Creates the loss from the error of the stream. `is_dead`: the peer did not answer a ping.
    fn new(error: &h2::Error, is_dead: bool) -> Self {
        let why =
            if is_dead { "the endpoint did not answer a ping".to_owned() } else { chain(error) };
        Self { why, code: lost_code(error), connection: !error.is_reset() }
    }
}

/// Returns the code of a call whose stream was reset, or whose connection broke: the table of gRPC's
/// PROTOCOL-HTTP2.md, and UNAVAILABLE of its statuscodes.md. Codes that the table does not have are
/// INTERNAL, as RFC 9113, section 7, takes unknown ones.
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

/// Returns true if the peer did not process the stream, by its own account. A remote GOAWAY reaches
/// the streams above the last one that the peer will process.
pub(crate) fn is_refusal(error: &h2::Error) -> bool {
    error.is_remote()
        && (error.is_go_away()
            || (error.is_reset() && error.reason() == Some(Reason::REFUSED_STREAM)))
}

/// Body of a response. Reading it reopens the peer's window. Dropping it before its end resets the
/// stream, and releases the arrived data.
#[derive(Debug)]
pub(crate) struct Incoming {
    stream: RecvStream,
    /// True if only trailers can follow.
    is_read: bool,
    /// Upload that outlives the start of the response. It ends with the response, or by itself if
    /// the stream fails.
    upload: Option<Uploading>,
}

impl Incoming {
    pub(crate) fn new(stream: RecvStream, upload: Option<Uploading>) -> Self {
        Self { stream, is_read: false, upload }
    }

    /// Returns the failure of the request's own body, if it broke off.
    pub(crate) fn broken_request(&self) -> Option<Status> {
        self.upload.as_ref()?.failure()
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Frame<Bytes>>, h2::Error>> {
        if !self.is_read {
            if let Some(data) = ready!(self.stream.poll_data(cx)).transpose()? {
                // Cannot fail: it returns no more than has arrived.
                let _ = self.stream.flow_control().release_capacity(data.len());
                return Poll::Ready(Ok(Some(Frame::data(data))));
            }
            self.is_read = true;
        }
        self.stream.poll_trailers(cx).map_ok(|trailers| trailers.map(Frame::trailers))
    }
}

impl Body for Incoming {
    type Data = Bytes;
    type Error = h2::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        let this = self.get_mut();
        let next = ready!(this.poll_next(cx));
        if matches!(&next, Ok(None)) || matches!(&next, Ok(Some(frame)) if frame.is_trailers()) {
            this.upload = None;
        }
        Poll::Ready(next.transpose())
    }
}
