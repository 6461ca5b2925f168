//! gzip compression of single messages (gRPC, compression.md).
//!
//! A [`Recoder`] splits the bytes of a body into messages, and compresses or decompresses each of
//! them. [`Recoded`] applies it to a body. The length in a gzip stream is not trusted:
//! decompression stops as soon as a message exceeds its limit.

use std::{
    io::{Read, Write},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use flate2::{Compression, bufread::GzDecoder, write::GzEncoder};
use http_body::{Body, Frame, SizeHint};
use tonic::{Code, Status, codegen::StdError};

use crate::{Failure, GantryReason};

/// Name of the encoding in `grpc-encoding` and `grpc-accept-encoding`.
pub const GZIP: &str = "gzip";

/// Minimum length of a message that is compressed, in bytes.
const MIN_BYTES: usize = 1024;

/// Length of the prefix of a message: a flag and four bytes of length.
const PREFIX: usize = 5;

/// Reason why a compressed message cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InflateError {
    /// The decompressed message exceeds this limit, in bytes.
    #[error("the decompressed message has more than {0} bytes")]
    TooLong(usize),
    /// The message is not gzip, is truncated or damaged, or has trailing bytes.
    #[error("the compressed message is not exactly one gzip stream")]
    Malformed,
}

impl From<InflateError> for Failure {
    /// Uses the codes of gRPC's statuscodes.md.
    fn from(error: InflateError) -> Self {
        let message = error.to_string();
        match error {
            InflateError::TooLong(limit) => {
                Self::new(Code::ResourceExhausted, GantryReason::MessageTooLarge, message)
                    .metadata("limit_bytes", limit.to_string())
            }
            InflateError::Malformed => {
                Self::new(Code::Internal, GantryReason::MalformedMessage, message)
            }
        }
    }
}

/// Returns the maximum compressed length of a message of `limit` bytes. gzip makes an
/// incompressible message slightly longer.
pub fn max_compressed(limit: u32) -> u32 {
    limit.saturating_add(limit / 1024).saturating_add(1024)
}

/// Decompresses one message.
///
/// # Errors
/// [`InflateError`], after decompressing at most `limit` bytes.
pub fn inflate(compressed: &[u8], limit: usize) -> Result<Vec<u8>, InflateError> {
    let mut message = Vec::new();
    let mut decoder = GzDecoder::new(compressed);
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    let read = decoder.by_ref().take(most).read_to_end(&mut message);
    if message.len() > limit {
        return Err(InflateError::TooLong(limit));
    }
    // Reject a second gzip stream in one message: it would cost the server much work for few bytes.
    if read.is_err() || !decoder.get_ref().is_empty() {
        return Err(InflateError::Malformed);
    }
    Ok(message)
}

/// Compresses one message. Returns None if the result would not be shorter.
fn deflate(message: &[u8]) -> Option<Vec<u8>> {
    if message.len() < MIN_BYTES {
        return None;
    }
    // The call waits for the compression, so speed matters more than size.
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(message).ok()?;
    encoder.finish().ok().filter(|compressed| compressed.len() < message.len())
}

/// Compresses or decompresses the messages of a body.
#[derive(Debug)]
pub struct Recoder {
    /// Maximum length of a decompressed message. None: messages are compressed.
    limit: Option<usize>,
    /// Received bytes of the current message, with its prefix.
    arrived: BytesMut,
}

impl Recoder {
    /// Decompresses messages of up to `limit` bytes. Does not limit compressed messages: the caller
    /// must do so before it buffers them.
    pub fn inflating(limit: usize) -> Self {
        Self { limit: Some(limit), arrived: BytesMut::new() }
    }

    /// Compresses messages of 1 KiB or more.
    pub fn deflating() -> Self {
        Self { limit: None, arrived: BytesMut::new() }
    }

    /// Consumes the next bytes of the body. Returns the messages that are complete.
    ///
    /// # Errors
    /// [`InflateError`] if a message cannot be decompressed.
    pub fn pass(&mut self, data: &[u8]) -> Result<Bytes, InflateError> {
        self.arrived.extend_from_slice(data);
        let mut out = BytesMut::new();
        while let Some([flag, length @ ..]) = self.arrived.first_chunk::<PREFIX>().copied() {
            let length = u32::from_be_bytes(length) as usize;
            if self.arrived.len() - PREFIX < length {
                break;
            }
            let message = self.arrived.split_to(PREFIX + length).freeze();
            let recoded = match (self.limit, flag) {
                (Some(limit), 1) => Some(inflate(&message[PREFIX..], limit)?),
                (None, 0) => deflate(&message[PREFIX..]),
                _ => None,
            };
            match recoded {
                Some(recoded) => {
                    out.reserve(PREFIX + recoded.len());
                    out.put_u8(u8::from(self.limit.is_none()));
                    // Fits a u32: not longer than the limit or than the message.
                    out.put_u32(recoded.len() as u32);
                    out.put_slice(&recoded);
                }
                // The usual case of a single message: avoids a copy.
                None if out.is_empty() && !self.arrived.has_remaining() => return Ok(message),
                None => out.put_slice(&message),
            }
        }
        Ok(out.freeze())
    }
}

pin_project_lite::pin_project! {
    /// A body whose messages are compressed or decompressed.
    #[derive(Debug)]
    pub struct Recoded<B> {
        #[pin]
        inner: B,
        recoder: Recoder,
    }
}

impl<B> Recoded<B> {
    /// Applies `recoder` to the messages of `inner`.
    pub fn new(inner: B, recoder: Recoder) -> Self {
        Self { inner, recoder }
    }
}

impl<B> Body for Recoded<B>
where
    B: Body<Data = Bytes, Error: Into<StdError>>,
{
    type Data = Bytes;
    type Error = StdError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StdError>>> {
        let mut this = self.project();
        loop {
            let frame = ready!(this.inner.as_mut().poll_frame(cx)).transpose();
            let frame = match frame.map_err(Into::into)? {
                None => return Poll::Ready(None),
                Some(frame) => frame,
            };
            let Some(data) = frame.data_ref() else { return Poll::Ready(Some(Ok(frame))) };
            let messages = this.recoder.pass(data);
            let messages = messages.map_err(|error| Status::from(Failure::from(error)))?;
            if !messages.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(messages))));
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(flag: u8, message: &[u8]) -> Vec<u8> {
        let mut framed = vec![flag];
        framed.extend((message.len() as u32).to_be_bytes());
        framed.extend(message);
        framed
    }

    fn gzip(message: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(message).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn messages_are_recoded_in_chunks_of_any_size() {
        let long = vec![7; 5000];
        let plain = [framed(0, b"short"), framed(0, &long), framed(0, b"")].concat();
        for size in [1, 4, 5, 6, 1000, plain.len()] {
            let mut deflater = Recoder::deflating();
            let parts = plain.chunks(size).map(|part| deflater.pass(part).unwrap());
            let compressed = parts.collect::<Vec<_>>().concat();
            assert!(compressed.len() < 200 && compressed.starts_with(&framed(0, b"short")));
            let mut inflater = Recoder::inflating(5000);
            let parts = compressed.chunks(size).map(|part| inflater.pass(part).unwrap());
            assert_eq!(parts.collect::<Vec<_>>().concat(), plain, "by {size}");
        }
    }

    #[test]
    fn an_incompressible_message_is_sent_unchanged() {
        let noise: Vec<_> = std::iter::repeat_with({
            let mut state = 1_u64;
            move || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (state >> 56) as u8
            }
        })
        .take(5000)
        .collect();
        let plain = framed(0, &noise);
        assert_eq!(Recoder::deflating().pass(&plain).unwrap(), plain);
        assert!(gzip(&noise).len() <= max_compressed(5000) as usize);
        // A message that is already compressed is passed on.
        let compressed = framed(1, &gzip(&[0; 5000]));
        assert_eq!(Recoder::deflating().pass(&compressed).unwrap(), compressed);
    }

    #[test]
    fn a_decompression_bomb_is_rejected_at_the_limit() {
        let bomb = gzip(&vec![0; 50_000_000]);
        assert!(bomb.len() < 60_000);
        assert_eq!(inflate(&bomb, 1000), Err(InflateError::TooLong(1000)));
        assert_eq!(inflate(&gzip(&[0; 1000]), 1000).unwrap(), [0; 1000]);
        assert_eq!(inflate(&gzip(&[0; 1001]), 1000), Err(InflateError::TooLong(1000)));
        // A nested gzip message is decompressed only once.
        assert_eq!(inflate(&gzip(&bomb), 100_000).unwrap(), bomb);
    }

    #[test]
    fn anything_but_one_gzip_stream_is_malformed() {
        let good = gzip(b"hello");
        let mut damaged = good.clone();
        let last = damaged.len() - 5;
        damaged[last] ^= 1;
        for bytes in [
            &b""[..],
            b"hello",
            &good[..good.len() - 1],
            &good[..12],
            &damaged,
            &[&good[..], b"x"].concat(),
            &[&good[..], &good[..]].concat(),
        ] {
            assert_eq!(inflate(bytes, 1000), Err(InflateError::Malformed), "{bytes:?}");
        }
    }
}
