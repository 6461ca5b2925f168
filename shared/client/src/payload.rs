//! Body of a request: a whole message that can be sent again, or a stream that cannot.

use std::pin::Pin;

use bytes::{Bytes, BytesMut};
use gantry_contract::gzip::{Recoded, Recoder};
use http_body::Body;
use tonic::Status;

use crate::{
    call_state::CallState, call_timer::CallTimer, error::Error, prepare::Encoding, upload::Upload,
};

/// Body of one attempt.
#[derive(Debug)]
pub(crate) enum RequestBody {
    /// Framed message of a unary call.
    Whole(Bytes),
    /// Stream of messages.
    Stream(Upload),
}

impl RequestBody {
    /// Returns true if there is nothing to send.
    pub(crate) fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(message) => message.is_empty(),
            Self::Stream(upload) => upload.is_end_stream(),
        }
    }
}

/// Body of a call, as long as it can be sent.
pub(crate) enum Payload {
    /// Can be sent any number of times.
    Whole(Bytes),
    /// Can be sent once.
    Stream(Upload),
    Gone,
}

impl Payload {
    /// Collects a single-message request. A stream is passed through.
    ///
    /// # Errors
    /// The message is too long, could not be encoded, or does not end in time.
    pub(crate) async fn new(
        body: tonic::body::Body,
        encoding: Encoding,
        call: &CallState,
        timer: &mut CallTimer,
    ) -> Result<Self, Error> {
        if !call.method.whole {
            let body = match encoding.deflate {
                true => tonic::body::Body::new(Recoded::new(body, Recoder::deflating())),
                false => body,
            };
            return Ok(Self::Stream(Upload::new(body, timer.activity())));
        }
        let limit = call.pool.settings.max_request_bytes;
        let collected = tokio::select! {
            biased;
            collected = collect(body, limit) => collected,
            () = timer.over() => {
                return Err(call.about().deadline_exceeded("the request did not come to its end"));
            }
        };
        let message = collected.map_err(|error| match error {
            NotCollected::TooLarge => call.about().too_large(limit),
            NotCollected::Failed(status) => Error::foreign(status),
        })?;
        // Compressed once for all attempts. If compression fails, the message is sent as it is.
        let compressed =
            encoding.deflate.then(|| Recoder::deflating().pass(&message)).and_then(Result::ok);
        Ok(Self::Whole(compressed.unwrap_or(message)))
    }

    /// Returns true if it can be sent again, and has at most this many bytes.
    pub(crate) fn is_replayable(&self, most: usize) -> bool {
        matches!(self, Self::Whole(bytes) if bytes.len() <= most)
    }

    /// Takes the body of an attempt; `None` if it is gone.
    pub(crate) fn take(&mut self) -> Option<RequestBody> {
        if let Self::Whole(bytes) = self {
            return Some(RequestBody::Whole(bytes.clone()));
        }
        match std::mem::replace(self, Self::Gone) {
            Self::Stream(upload) => Some(RequestBody::Stream(upload)),
            Self::Whole(_) | Self::Gone => None,
        }
    }

    /// Puts back a body that was never sent.
    pub(crate) fn put_back(&mut self, body: RequestBody) {
        *self = match body {
            RequestBody::Whole(bytes) => Self::Whole(bytes),
            RequestBody::Stream(upload) => Self::Stream(upload),
        };
    }

    pub(crate) fn is_gone(&self) -> bool {
        matches!(self, Self::Gone)
    }
}

/// Failure to collect a body.
#[derive(Debug)]
enum NotCollected {
    /// The body exceeds the limit.
    TooLarge,
    /// The message could not be encoded.
    Failed(Status),
}

/// Collects the body of a unary request. It usually is one frame, which is not copied.
async fn collect(mut body: tonic::body::Body, limit: usize) -> Result<Bytes, NotCollected> {
    let mut first = Bytes::new();
    let mut more = BytesMut::new();
    while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        // Requests have no trailers.
        let Ok(data) = frame.map_err(NotCollected::Failed)?.into_data() else { continue };
        if first.len() + more.len() + data.len() > limit {
            return Err(NotCollected::TooLarge);
        }
        if first.is_empty() {
            first = data;
        } else {
            more.extend_from_slice(&data);
        }
    }
    if more.is_empty() {
        return Ok(first);
    }
    let mut whole = BytesMut::with_capacity(first.len() + more.len());
    whole.extend_from_slice(&first);
    whole.extend_from_slice(&more);
    Ok(whole.freeze())
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll};

    use http_body::Frame;
    use tonic::body::Body as TonicBody;

    use super::*;

    struct Frames(Vec<Bytes>);

    impl Body for Frames {
        type Data = Bytes;
        type Error = Status;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
            let frames = &mut self.get_mut().0;
            Poll::Ready((!frames.is_empty()).then(|| Ok(Frame::data(frames.remove(0)))))
        }
    }

    fn body(parts: &[&'static str]) -> TonicBody {
        TonicBody::new(Frames(
            parts.iter().map(|part| Bytes::from_static(part.as_bytes())).collect(),
        ))
    }

    #[tokio::test]
    async fn a_body_is_collected_in_order_up_to_the_limit() {
        assert_eq!(collect(body(&[]), 10).await.unwrap(), "");
        assert_eq!(collect(body(&["one"]), 3).await.unwrap(), "one");
        assert_eq!(collect(body(&["one", "two", "three"]), 11).await.unwrap(), "onetwothree");
        assert!(matches!(collect(body(&["one", "two"]), 5).await, Err(NotCollected::TooLarge)));
    }
}
