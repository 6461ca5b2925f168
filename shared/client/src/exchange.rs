//! The exchange of an attempt on its connection: the request, the head of the response, and its body
//! as it arrives.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use h2::{Reason, RecvStream};
use http::{HeaderMap, Method, Request, Response, Uri, Version};
use http_body::{Body, Frame};
use tonic::{Code, Status};

use crate::{error::chain, payload::RequestBody, pool::Sender, upload::Uploading};

/// Failure of an exchange without an answer.
pub(crate) enum Unanswered {
    /// Nothing was written; here is the body again.
    NeverSent(RequestBody),
    /// The peer says that it did not process the stream.
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

/// Sends the request and waits for the head of the response. Dropped before that, it resets the
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
                // If the stream has failed meanwhile, the response says how.
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
            let (code, connection) = (lost_code(&error), !error.is_reset());
            Err(Unanswered::Lost(Loss { why, code, connection }))
        }
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

/// Returns true if the peer itself said that it did not process the stream. A remote GOAWAY reaches
/// the streams above the last one that the peer will process.
pub(crate) fn is_refusal(error: &h2::Error) -> bool {
    error.is_remote()
        && (error.is_go_away()
            || (error.is_reset() && error.reason() == Some(Reason::REFUSED_STREAM)))
}

/// A body on its way. What is read makes room for more; dropped before its end, it resets the
/// stream, and what had arrived makes room for other calls.
#[derive(Debug)]
pub(crate) struct Incoming {
    stream: RecvStream,
    /// Nothing but trailers can follow.
    is_read: bool,
    /// The request may take longer than its response begins. It ends with it, and by itself
    /// if the stream fails.
    upload: Option<Uploading>,
}

impl Incoming {
    pub(crate) fn new(stream: RecvStream, upload: Option<Uploading>) -> Self {
        Self { stream, is_read: false, upload }
    }

    /// Returns why the request's own body broke off, if it did.
    pub(crate) fn broken_request(&self) -> Option<Status> {
        self.upload.as_ref()?.failure()
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Frame<Bytes>>, h2::Error>> {
        if !self.is_read {
            if let Some(data) = ready!(self.stream.poll_data(cx)).transpose()? {
                // Cannot fail: no more is given back than has arrived.
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
