//! Debug data in the GOAWAY for a flood. h2 cannot set it.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use h2::Reason;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::connection::FloodWatch;

/// Length of a GOAWAY without debug data, as h2 writes it: head, last stream, reason (RFC 9113,
/// 6.8).
const GOAWAY: usize = 9 + 4 + 4;

/// Transport that adds debug data to the last GOAWAY of a connection with a flood.
///
/// Reads and all other writes pass through.
#[derive(Debug)]
pub(crate) struct GoawayDebugData<T> {
    inner: T,
    watch: Arc<FloodWatch>,
    /// GOAWAY with debug data when it is due, and the number of bytes written.
    goaway: Option<(Vec<u8>, usize)>,
}

impl<T> GoawayDebugData<T> {
    pub(crate) fn new(inner: T, watch: Arc<FloodWatch>) -> Self {
        Self { inner, watch, goaway: None }
    }

    /// Returns the position of the GOAWAY at the end of the data to write.
    fn find(&self, buf: &[u8]) -> Option<usize> {
        // Fast path: there is no flood.
        self.watch.found()?;
        let start = buf.len().checked_sub(GOAWAY)?;
        let frame = &buf[start..];
        let is_goaway = frame.starts_with(&[0, 0, 8, 7, 0, 0, 0, 0, 0])
            && frame.ends_with(&u32::from(Reason::ENHANCE_YOUR_CALM).to_be_bytes());
        is_goaway.then_some(start)
    }

    fn with_debug_data(&self, goaway: &[u8]) -> Vec<u8> {
        let data = self.watch.found().map_or("", |flood| flood.debug_data());
        let mut frame = goaway.to_vec();
        // Cannot overflow: the data is far below 256 bytes.
        frame[2] += data.len() as u8;
        frame.extend(data.as_bytes());
        frame
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for GoawayDebugData<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_read(cx, buf)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for GoawayDebugData<T> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        match this.find(buf) {
            None => return Pin::new(&mut this.inner).poll_write(cx, buf),
            // Write the preceding data first, on its own.
            Some(start) if start > 0 => {
                return Pin::new(&mut this.inner).poll_write(cx, &buf[..start]);
            }
            Some(_) if this.goaway.is_none() => {
                this.goaway = Some((this.with_debug_data(buf), 0));
            }
            Some(_) => {}
        }
        let Some((frame, written)) = &mut this.goaway else { return Poll::Ready(Ok(0)) };
        while *written < frame.len() {
            let n = ready!(Pin::new(&mut this.inner).poll_write(cx, &frame[*written..]))?;
            if n == 0 {
                return Poll::Ready(Ok(0));
            }
            *written += n;
        }
        this.goaway = None;
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.watch.found().is_some() {
            // Write one buffer at a time, so that the GOAWAY is detected. A partial write is
            // permitted.
            let first = bufs.iter().find(|buf| !buf.is_empty());
            return first.map_or(Poll::Ready(Ok(0)), |buf| self.poll_write(cx, buf));
        }
        Pin::new(&mut self.get_mut().inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use gantry_http2::{FrameHead, FramePolicy, Verdict};
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;
    use crate::connection::ClientFrames;

    const LAST: [u8; GOAWAY] = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 11];

    #[tokio::test]
    async fn the_goaway_of_a_flood_names_its_kind() {
        let watch = Arc::<FloodWatch>::default();
        // A buffer of one byte makes every write partial.
        let (mut peer, ours) = duplex(1);
        let mut writer = GoawayDebugData::new(ours, Arc::clone(&watch));
        let write = async {
            writer.write_all(&LAST).await.unwrap();
            let mut frames = ClientFrames::new(watch);
            let ping = FrameHead { length: 8, kind: FrameHead::PING, flags: 0, stream: 0 };
            while frames.judge(&ping) == Verdict::Pass {}
            writer.write_all(&[b"before", &LAST[..]].concat()).await.unwrap();
            drop(writer);
        };
        let mut read = Vec::new();
        let ((), _) = tokio::join!(write, peer.read_to_end(&mut read));
        let mut goaway = LAST.to_vec();
        goaway[2] += 14;
        let expected = [&LAST[..], b"before", &goaway, b"too_many_pings"].concat();
        assert_eq!(read, expected);
    }
}
