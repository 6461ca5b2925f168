//! Request body with backpressure: the window reopens as the handler reads.
//!
//! h2 keeps unread data frame by frame, with an overhead of some 300 bytes each. Many small
//! messages within a window would occupy many times its size. h2 limits such frames: it ends the
//! connection with all of its calls. To avoid that, the task of the call takes unread frames from
//! h2 and joins small ones. The peer's window reopens only for data that the handler reads.

use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker, ready},
};

use bytes::{Bytes, BytesMut};
use h2::RecvStream;
use http::HeaderMap;
use http_body::{Body, Frame};
use pin_project_lite::pin_project;

use crate::connection::Connection;

/// Length in bytes below which frames are joined.
const SMALL: usize = 256;

/// Request body of one call, for its handler.
#[derive(Debug)]
pub(crate) struct RequestBody {
    shared: Shared,
    connection: Arc<Connection>,
}

#[derive(Clone, Debug)]
struct Shared(Arc<Mutex<Inflow>>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inflow> {
        // No code panics while it is locked, and a panic would leave the data intact.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Received data of a request.
#[derive(Debug)]
struct Inflow {
    /// `None` once the body is closed.
    stream: Option<RecvStream>,
    /// Data taken from h2 and not read by the handler, without the small frames at its end.
    taken: VecDeque<Bytes>,
    /// Small frames at the end, joined.
    small: BytesMut,
    end: End,
    /// Waker of the handler, if it waits.
    reader: Option<Waker>,
    /// Waker of the call's task, which h2 wakes.
    keeper: Option<Waker>,
}

#[derive(Debug)]
enum End {
    /// The end was not taken from h2 yet.
    Ahead,
    /// The end was taken from h2 and not read yet.
    Taken(Result<Option<HeaderMap>, h2::Error>),
    Read,
}

type Next = Option<Result<Frame<Bytes>, h2::Error>>;

impl Inflow {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        if let Some(data) = self.pop() {
            return Poll::Ready(self.release(data).map(Ok));
        }
        if let End::Taken(_) = self.end {
            let End::Taken(end) = std::mem::replace(&mut self.end, End::Read) else {
                return Poll::Ready(None);
            };
            return Poll::Ready(end.map(|trailers| trailers.map(Frame::trailers)).transpose());
        }
        let Some(stream) = &mut self.stream else { return Poll::Ready(None) };
        let keeper = self.keeper.clone();
        let mut keeping = Context::from_waker(keeper.as_ref().unwrap_or(cx.waker()));
        match poll_stream(stream, &mut keeping) {
            Poll::Pending => {
                self.reader = Some(cx.waker().clone());
                Poll::Pending
            }
            Poll::Ready(Ok(data)) => Poll::Ready(self.release(data).map(Ok)),
            Poll::Ready(Err(end)) => {
                self.end = End::Read;
                Poll::Ready(end.map(|trailers| trailers.map(Frame::trailers)).transpose())
            }
        }
    }

    /// Takes the frames that the handler left in h2. Returns `true` if there were any.
    fn take(&mut self, cx: &mut Context<'_>) -> bool {
        let (Some(stream), End::Ahead) = (&mut self.stream, &self.end) else { return false };
        if self.keeper.as_ref().is_none_or(|keeper| !keeper.will_wake(cx.waker())) {
            self.keeper = Some(cx.waker().clone());
        }
        let mut any = false;
        while let Poll::Ready(next) = poll_stream(stream, cx) {
            any = true;
            match next {
                Ok(data) if data.len() < SMALL => self.small.extend_from_slice(&data),
                Ok(data) => {
                    if !self.small.is_empty() {
                        self.taken.push_back(self.small.split().freeze());
                    }
                    self.taken.push_back(data);
                }
                Err(end) => {
                    self.end = End::Taken(end);
                    break;
                }
            }
        }
        if any && let Some(reader) = self.reader.take() {
            reader.wake();
        }
        any
    }

    fn pop(&mut self) -> Option<Bytes> {
        self.taken
            .pop_front()
            .or_else(|| (!self.small.is_empty()).then(|| self.small.split().freeze()))
    }

    /// Reopens the window for data that is read.
    fn release(&mut self, data: Bytes) -> Option<Frame<Bytes>> {
        if let Some(stream) = &mut self.stream {
            // Cannot fail: it releases no more than has arrived.
            let _ = stream.flow_control().release_capacity(data.len());
        }
        Some(Frame::data(data))
    }

    /// Closes the stream: h2 discards all further data.
    fn close(&mut self) {
        while let Some(data) = self.pop() {
            self.release(data);
        }
        self.stream = None;
    }

    fn is_end_stream(&self) -> bool {
        let is_end = match &self.end {
            End::Ahead => self.stream.as_ref().is_none_or(RecvStream::is_end_stream),
            End::Taken(end) => matches!(end, Ok(None)),
            End::Read => true,
        };
        is_end && self.taken.is_empty() && self.small.is_empty()
    }
}

/// Polls a stream for its next data or its end.
fn poll_stream(
    stream: &mut RecvStream,
    cx: &mut Context<'_>,
) -> Poll<Result<Bytes, Result<Option<HeaderMap>, h2::Error>>> {
    Poll::Ready(match ready!(stream.poll_data(cx)) {
        Some(Ok(data)) => Ok(data),
        Some(Err(error)) => Err(Err(error)),
        None => Err(ready!(stream.poll_trailers(cx))),
    })
}

impl RequestBody {
    pub(super) fn new(stream: RecvStream, connection: Arc<Connection>) -> Self {
        let inflow = Inflow {
            stream: Some(stream),
            taken: VecDeque::new(),
            small: BytesMut::new(),
            end: End::Ahead,
            reader: None,
            keeper: None,
        };
        Self { shared: Shared(Arc::new(Mutex::new(inflow))), connection }
    }

    /// Returns a handle for the call's task, which takes unread frames from h2.
    pub(super) fn keeper(&self) -> Keeper {
        Keeper { shared: self.shared.clone(), connection: Arc::clone(&self.connection) }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = h2::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Next> {
        let frame = ready!(self.shared.lock().poll_frame(cx));
        if matches!(&frame, Some(Ok(frame)) if frame.is_data()) {
            self.connection.data_received();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.shared.lock().is_end_stream()
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        self.shared.lock().close();
    }
}

/// Handle of the call's task, see [`RequestBody::keeper`].
pub(super) struct Keeper {
    shared: Shared,
    connection: Arc<Connection>,
}

impl Keeper {
    /// Drives the call. After each poll, takes the frames that its handler left.
    pub(super) fn drive<F>(self, call: F) -> Keeping<F> {
        Keeping { call, keeper: self }
    }
}

pin_project! {
    /// Driven call, see [`Keeper::drive`].
    pub(super) struct Keeping<F> {
        #[pin]
        call: F,
        keeper: Keeper,
    }
}

impl<F: Future> Future for Keeping<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        // Poll the handler first: data that it reads need not be stored.
        if let Poll::Ready(output) = this.call.poll(cx) {
            return Poll::Ready(output);
        }
        let Keeper { shared, connection } = this.keeper;
        if shared.lock().take(cx) {
            connection.data_received();
        }
        Poll::Pending
    }
}
