//! The first bytes of a connection.

use std::{
    future::Future,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What an HTTP/2 connection begins with: RFC 9113, 3.4.
const PREFACE: usize = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".len();

/// A stream that fails to be read where its peer has not said the whole preface of
/// HTTP/2 by a certain moment.
///
/// hyper waits for the preface without end, and does not let go of a connection
/// before: a peer that only connects would hold its place, and up every drain.
pub(crate) struct PrefaceInTime<S> {
    stream: S,
    missing: usize,
    /// Until the preface is there.
    over: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl<S> PrefaceInTime<S> {
    /// Where `over` is done, the time is.
    pub(crate) fn new(stream: S, over: impl Future<Output = ()> + Send + 'static) -> Self {
        Self { stream, missing: PREFACE, over: Some(Box::pin(over)) }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for PrefaceInTime<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let Some(over) = &mut this.over else {
            return Pin::new(&mut this.stream).poll_read(cx, buffer);
        };
        // First, so that single bytes gain no time.
        if over.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(cx, buffer);
        this.missing = this.missing.saturating_sub(buffer.filled().len() - before);
        if this.missing == 0 {
            this.over = None;
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for PrefaceInTime<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt, duplex},
        time::{Instant, sleep},
    };

    use super::*;

    const WHOLE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

    #[tokio::test(start_paused = true)]
    async fn single_bytes_gain_no_time() {
        let (ours, mut theirs) = duplex(64);
        let mut stream = PrefaceInTime::new(ours, sleep(Duration::from_secs(10)));
        let drip = async {
            for byte in WHOLE {
                sleep(Duration::from_secs(1)).await;
                theirs.write_all(&[*byte]).await.unwrap();
            }
        };
        let started = Instant::now();
        let mut read = Vec::new();
        tokio::select! {
            () = drip => panic!("it got all the time it wanted"),
            ended = stream.read_to_end(&mut read) => {
                assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::TimedOut);
            }
        }
        assert_eq!(started.elapsed().as_secs(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn after_the_preface_there_is_no_hurry() {
        let (ours, mut theirs) = duplex(64);
        let mut stream = PrefaceInTime::new(ours, sleep(Duration::from_secs(10)));
        let mut read = [0; PREFACE];
        let (first, last) = WHOLE.split_at(5);
        theirs.write_all(first).await.unwrap();
        stream.read_exact(&mut read[..first.len()]).await.unwrap();
        theirs.write_all(last).await.unwrap();
        stream.read_exact(&mut read[first.len()..]).await.unwrap();
        sleep(Duration::from_secs(60)).await;
        theirs.write_all(b"x").await.unwrap();
        assert_eq!(stream.read_u8().await.unwrap(), b'x');
    }
}
