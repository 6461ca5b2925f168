//! What is sent: a whole message that can be sent again, or a stream that cannot.

use std::pin::Pin;

use bytes::{Bytes, BytesMut};
use http_body::Body;
use tonic::Status;

use crate::upload::Upload;

/// The body of a request.
#[derive(Debug)]
pub(crate) enum RequestBody {
    /// A unary call's message, framed.
    Whole(Bytes),
    /// Anything else, as it comes.
    Stream(Upload),
}

impl RequestBody {
    /// Whether there is nothing to send.
    pub(crate) fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(message) => message.is_empty(),
            Self::Stream(upload) => upload.is_end_stream(),
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
