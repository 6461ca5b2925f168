//! What is sent: a whole message that can be sent again, or a stream that cannot.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use tonic::Status;

use crate::patience::Signs;

/// The body of a request.
#[derive(Debug)]
pub(crate) enum RequestBody {
    /// A unary call's message, framed. Empty once it is sent.
    Whole(Bytes),
    /// Anything else, as it comes. Each message is a sign of life where they count.
    Stream(tonic::body::Body, Option<Arc<Signs>>),
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        match self.get_mut() {
            Self::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Self::Stream(body, signs) => {
                let polled = Pin::new(body).poll_frame(cx);
                if let (Poll::Ready(Some(_)), Some(signs)) = (&polled, signs) {
                    signs.sign();
                }
                polled
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_empty(),
            Self::Stream(body, _) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            // Not exact: gRPC requests carry no content-length.
            Self::Whole(_) => SizeHint::default(),
            Self::Stream(body, _) => body.size_hint(),
        }
    }
}

/// Why a body could not be collected.
#[derive(Debug)]
pub(crate) enum NotCollected {
    /// It is longer than the limit.
    TooLarge,
    /// The message could not be encoded.
    Failed(Status),
}

/// Collects the body of a unary request. It is one frame as a rule: then nothing is
/// copied.
pub(crate) async fn collect(
    mut body: tonic::body::Body,
    limit: usize,
) -> Result<Bytes, NotCollected> {
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
