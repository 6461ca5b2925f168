//! The body of a request, read as fast as it is asked for.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use h2::RecvStream;
use http_body::{Body, Frame};

use crate::call::Connection;

/// What a peer sends of one call. Its window opens again by what was read.
#[derive(Debug)]
pub(crate) struct RequestBody {
    stream: RecvStream,
    connection: Arc<Connection>,
}

impl RequestBody {
    pub(super) fn new(stream: RecvStream, connection: Arc<Connection>) -> Self {
        Self { stream, connection }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = h2::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        let frame = match ready!(self.stream.poll_data(cx)) {
            Some(data) => {
                self.connection.heard();
                let data = data?;
                self.stream.flow_control().release_capacity(data.len())?;
                Some(Frame::data(data))
            }
            None => ready!(self.stream.poll_trailers(cx))?.map(Frame::trailers),
        };
        Poll::Ready(frame.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.stream.is_end_stream()
    }
}
