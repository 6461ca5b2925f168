//! Socket that is read to its end before a failed write counts.
//!
//! A draining server lists the unprocessed streams in its last GOAWAY, and closes. A write to the
//! closed socket then fails at once, and HTTP/2 fails all streams with that GOAWAY (or even
//! responses) unread: calls that were certainly not executed would look as if they might have been.
//! So writes to a closed socket are discarded here, and the reader soon reaches the end: first the
//! data that arrived before, then the end of the stream or its error.

use std::{
    io::{self, ErrorKind, IoSlice},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Traffic of a socket.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    writes: AtomicUsize,
    read: AtomicBool,
}

impl Traffic {
    /// Returns the number of writes, including those that may have failed.
    pub(super) fn writes(&self) -> usize {
        self.writes.load(Ordering::Relaxed)
    }

    /// Returns true if anything has arrived since the last query.
    pub(super) fn was_read(&self) -> bool {
        self.read.load(Ordering::Relaxed) && self.read.swap(false, Ordering::Relaxed)
    }
}

/// Socket that reads all data of a closed peer to the end.
#[derive(Debug)]
pub(super) struct DrainBeforeClose<T> {
    inner: T,
    traffic: Arc<Traffic>,
    closed: bool,
}

impl<T> DrainBeforeClose<T> {
    pub(super) fn new(inner: T, traffic: Arc<Traffic>) -> Self {
        Self { inner, traffic, closed: false }
    }

    /// Counts a write before it happens.
    fn count(&self) {
        // Opening a stream reads it, and losing the stream reads it after this, under the stream's
        // lock.
        self.traffic.writes.fetch_add(1, Ordering::Relaxed);
    }

    /// Handles the result of a write of `length` bytes.
    fn written(
        &mut self,
        result: Poll<io::Result<usize>>,
        length: usize,
    ) -> Poll<io::Result<usize>> {
        match result {
            Poll::Ready(Err(error)) if is_closed(&error) => {
                self.closed = true;
                Poll::Ready(Ok(length))
            }
            result => result,
        }
    }
}

fn is_closed(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::BrokenPipe | ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted
    )
}

impl<T: AsyncRead + Unpin> AsyncRead for DrainBeforeClose<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let read = Pin::new(&mut this.inner).poll_read(cx, buf);
        if read.is_ready() {
            this.traffic.read.store(true, Ordering::Relaxed);
        }
        read
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for DrainBeforeClose<T> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.closed {
            return Poll::Ready(Ok(buf.len()));
        }
        this.count();
        let result = Pin::new(&mut this.inner).poll_write(cx, buf);
        this.written(result, buf.len())
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let length = bufs.iter().map(|buf| buf.len()).sum();
        if this.closed {
            return Poll::Ready(Ok(length));
        }
        this.count();
        let result = Pin::new(&mut this.inner).poll_write_vectored(cx, bufs);
        this.written(result, length)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.closed {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut this.inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.closed {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut this.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use http::Request;

    use super::*;
    use crate::exchange::is_refusal;

    const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
    /// Last stream 0: none was processed.
    const GOAWAY: &[u8] = &[0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

    /// Returns a socket whose peer closed after a GOAWAY that is read only once a write has failed.
    #[derive(Debug, Default)]
    struct Closing {
        greeted: bool,
        written: usize,
        failed: bool,
        said: bool,
        reader: Option<Waker>,
    }

    impl AsyncRead for Closing {
        fn poll_read(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buf: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            if !std::mem::replace(&mut self.greeted, true) {
                buf.put_slice(SETTINGS);
            } else if !self.failed {
                self.reader = Some(cx.waker().clone());
                return Poll::Pending;
            } else if !std::mem::replace(&mut self.said, true) {
                buf.put_slice(GOAWAY);
            }
            Poll::Ready(Ok(()))
        }
    }

    impl AsyncWrite for Closing {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buf: &[u8],
        ) -> Poll<io::Result<usize>> {
            // The preface, the settings and their acknowledgement get through.
            self.written += buf.len();
            if self.written <= 100 {
                return Poll::Ready(Ok(buf.len()));
            }
            self.failed = true;
            self.reader.take().iter().for_each(Waker::wake_by_ref);
            Poll::Ready(Err(ErrorKind::BrokenPipe.into()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    async fn call_over<T>(io: T) -> h2::Error
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (mut requests, connection) = h2::client::handshake(io).await.unwrap();
        let connection = tokio::spawn(connection);
        let request = Request::post("http://echo/test.Echo/Add").body(()).unwrap();
        let (response, mut stream) = requests.send_request(request, false).unwrap();
        stream.send_data(vec![0; 1000].into(), true).unwrap();
        let error = response.await.unwrap_err();
        let _ = connection.await;
        error
    }

    #[tokio::test]
    async fn a_goaway_before_a_failed_write_is_read() {
        let error = call_over(DrainBeforeClose::new(Closing::default(), Arc::default())).await;
        assert!(is_refusal(&error), "{error:?}");
        // Otherwise the call would look as if it might have been executed.
        let lost = call_over(Closing::default()).await;
        assert!(!is_refusal(&lost), "{lost:?}");
    }
}
