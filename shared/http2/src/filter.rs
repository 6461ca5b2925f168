//! Filter for the HTTP/2 frames that a transport delivers.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::{
    frame::{FrameHead, HEAD_LENGTH, MAX_FRAME},
    headers::{self, Block},
};

/// Length of the preface that a client sends before its first frame (RFC 9113, section 3.4).
const PREFACE_LENGTH: usize = 24;

/// Size of a read into the filter's own buffer, in bytes. Used if the reader's buffer has no more
/// room than the bytes that are held.
const OWN_BUFFER: usize = 4096;

/// Decision of a policy about a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The reader gets the frame.
    Pass,
    /// The reader does not get the frame. Drop only frames that change no state. Dropping a frame
    /// that consumes a window or belongs to a header block desynchronizes the two ends.
    Drop,
    /// The reader gets neither this frame nor anything after it. Every later read stays pending.
    /// The policy must signal the owner of the connection, which then closes it.
    Stop,
}

/// Rule for the frames of one connection.
pub trait FramePolicy {
    /// Decides about a frame. Sees only its head: the payload may not have arrived yet.
    fn judge(&mut self, head: &FrameHead) -> Verdict;
}

/// Transport that removes the frames that a policy drops and repairs header blocks. Writes pass
/// through unchanged.
///
/// Reads go straight into the reader's buffer. The filter copies only the bytes of an incomplete
/// head or header block at the end of a read, and the bytes that follow a dropped frame in the
/// buffer.
#[derive(Debug)]
pub struct FrameFilter<T, P> {
    inner: T,
    policy: P,
    /// Bytes of the current frame, or of the preface, before the next head.
    left: usize,
    dropping: bool,
    stopped: bool,
    /// First bytes of an incomplete head or header block, until the rest arrives.
    held: Vec<u8>,
    /// True if `held` may also contain whole frames. They follow a repaired block, which the reader
    /// gets first.
    sift_held: bool,
    /// Bytes that passed but did not fit into the reader's buffer. The reader already has those
    /// before `handed_out`.
    passed: Vec<u8>,
    handed_out: usize,
}

/// Result of sifting bytes.
struct Sifted {
    /// Bytes at the front that pass.
    passed: usize,
    /// Bytes that were judged. The bytes after them are held.
    read: usize,
    /// Repaired header block. It follows the bytes that pass.
    mended: Vec<u8>,
}

enum Read {
    Some,
    End,
}

impl<T, P> FrameFilter<T, P> {
    /// Filter for a client: reads the frames of a server.
    pub fn for_client(inner: T, policy: P) -> Self {
        Self::new(inner, policy, 0)
    }

    /// Filter for a server: reads the preface and then the frames of a client.
    pub fn for_server(inner: T, policy: P) -> Self {
        Self::new(inner, policy, PREFACE_LENGTH)
    }

    fn new(inner: T, policy: P, left: usize) -> Self {
        let (held, passed) = (Vec::new(), Vec::new());
        let (dropping, stopped, sift_held, handed_out) = (false, false, false, 0);
        Self { inner, policy, left, dropping, stopped, held, sift_held, passed, handed_out }
    }

    fn hand_out_later(&mut self, bytes: Vec<u8>) {
        (self.passed, self.handed_out) = (bytes, 0);
    }

    fn hand_out(&mut self, buf: &mut ReadBuf<'_>) -> bool {
        let rest = &self.passed[self.handed_out..];
        let part = &rest[..rest.len().min(buf.remaining())];
        buf.put_slice(part);
        self.handed_out += part.len();
        !part.is_empty()
    }
}

impl<T, P: FramePolicy> FrameFilter<T, P> {
    /// Moves the frames that pass to the front of `bytes` and holds the bytes that cannot be judged
    /// yet. Returns the number of bytes that pass and the repaired block that follows them.
    fn sift(&mut self, bytes: &mut [u8]) -> (usize, Vec<u8>) {
        let Sifted { passed, read, mended } = self.sift_frames(bytes);
        self.held.clear();
        self.held.extend_from_slice(&bytes[read..]);
        self.sift_held = !mended.is_empty();
        (passed, mended)
    }

    fn sift_frames(&mut self, bytes: &mut [u8]) -> Sifted {
        let (mut passed, mut read) = (0, 0);
        loop {
            let end = read + self.left.min(bytes.len() - read);
            self.left -= end - read;
            if !self.dropping {
                if passed < read {
                    bytes.copy_within(read..end, passed);
                }
                passed += end - read;
            }
            read = end;
            let sifted = |read, mended| Sifted { passed, read, mended };
            let rest = &bytes[read..];
            let Some(head) = rest.first_chunk().map(FrameHead::parse) else {
                if is_too_long(rest) {
                    self.left = usize::MAX;
                    self.dropping = false;
                    continue;
                }
                return sifted(read, Vec::new());
            };
            let block = if head.kind == FrameHead::HEADERS {
                headers::inspect(&bytes[read..], &head)
            } else {
                Block::Fine
            };
            // Return before `judge`: a policy must see each frame only once.
            if matches!(block, Block::Incomplete) {
                return sifted(read, Vec::new());
            }
            match (self.policy.judge(&head), block) {
                (Verdict::Stop, _) => {
                    self.stopped = true;
                    return sifted(bytes.len(), Vec::new());
                }
                (Verdict::Pass, Block::Mended { length, frames }) => {
                    return sifted(read + length, frames);
                }
                (verdict, _) => self.dropping = verdict == Verdict::Drop,
            }
            self.left = HEAD_LENGTH + head.length as usize;
        }
    }
}

/// Returns `true` if a head begins with a length above the maximum frame size. The peer speaks
/// another protocol or broken HTTP/2. All further bytes pass at once, so that the reader detects
/// the error even if less than a whole head arrives.
fn is_too_long(head: &[u8]) -> bool {
    matches!(head, [l0, l1, l2, ..] if u32::from_be_bytes([0, *l0, *l1, *l2]) > MAX_FRAME)
}

impl<T: AsyncRead + Unpin, P: FramePolicy> FrameFilter<T, P> {
    /// Reads once and appends the bytes that pass to `buf`; there may be none. `buf` must have more
    /// room than the bytes that are held.
    fn poll_fill(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<Read>> {
        let start = buf.filled().len();
        buf.put_slice(&self.held);
        let before = buf.filled().len();
        match Pin::new(&mut self.inner).poll_read(cx, buf) {
            Poll::Ready(Ok(())) => {}
            other => {
                buf.set_filled(start);
                return other.map_ok(|()| Read::Some);
            }
        }
        if buf.filled().len() == before {
            // The reader gets the incomplete head and reports the error.
            self.held.clear();
            return Poll::Ready(Ok(Read::End));
        }
        let (passed, mended) = self.sift(&mut buf.filled_mut()[start..]);
        buf.set_filled(start + passed);
        self.hand_out_later(mended);
        Poll::Ready(Ok(Read::Some))
    }
}

impl<T: AsyncRead + Unpin, P: FramePolicy + Unpin> AsyncRead for FrameFilter<T, P> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let start = buf.filled().len();
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        loop {
            if this.hand_out(buf) {
                return Poll::Ready(Ok(()));
            }
            if this.sift_held {
                let mut bytes = std::mem::take(&mut this.held);
                let (passed, mended) = this.sift(&mut bytes);
                bytes.truncate(passed);
                bytes.extend_from_slice(&mended);
                this.hand_out_later(bytes);
                continue;
            }
            if this.stopped {
                return Poll::Pending;
            }
            let read = if buf.remaining() > this.held.len() {
                ready!(this.poll_fill(cx, buf))?
            } else {
                let mut bytes = vec![0; this.held.len() + OWN_BUFFER];
                let mut own = ReadBuf::new(&mut bytes);
                let read = ready!(this.poll_fill(cx, &mut own))?;
                // A repaired block comes after the bytes that passed before it.
                let passed = [own.filled(), &this.passed[this.handed_out..]].concat();
                this.hand_out_later(passed);
                this.hand_out(buf);
                read
            };
            // An empty read means the end of the stream. If all frames of a read were dropped, read
            // again.
            if buf.filled().len() > start || matches!(read, Read::End) {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<T: AsyncWrite + Unpin, P: Unpin> AsyncWrite for FrameFilter<T, P> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
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
