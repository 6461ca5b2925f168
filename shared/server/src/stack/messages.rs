//! Message framing in the data of a request: rejects messages that are too long, missing, too many,
//! truncated or malformed.
//!
//! Tonic checks the length too, but answers OUT_OF_RANGE. It reports a truncated message and a
//! stream that its caller broke as a server error, and ignores a second message in a unary request.
//! A compressed message is checked here in its compressed form, and again after decompression: see
//! [`gzip`].
//!
//! [`Scan`] follows the messages; [`Whole`] keeps the message of a unary request.

use bytes::Bytes;
use gantry_contract::{
    Failure, GantryReason,
    gzip::{self, GZIP},
};
use http::HeaderMap;
use tonic::{Code, Status};

use crate::status::ENCODING;

/// Length of the prefix: one byte for the compression flag and four for the length.
const PREFIX: usize = 5;

/// Position in the message sequence after the data received so far.
#[derive(Debug)]
pub(super) struct Scan {
    limit: u32,
    gzip: bool,
    expected: Expected,
    prefix: [u8; PREFIX],
    /// Number of bytes of the prefix received.
    read: usize,
    /// Number of bytes of the message still to come.
    left: usize,
    /// Number of bytes of the message received, including its prefix.
    partial: usize,
    /// Number of complete messages.
    messages: u64,
}

/// Messages that may still begin.
#[derive(Clone, Copy, Debug)]
enum Expected {
    Any,
    One,
    None,
}

impl Scan {
    /// Accepts messages of up to `limit` bytes. `one` requires exactly one message; `gzip` permits
    /// compressed ones.
    pub(super) fn new(limit: u32, one: bool, gzip: bool) -> Self {
        let expected = if one { Expected::One } else { Expected::Any };
        Self {
            limit,
            gzip,
            expected,
            prefix: [0; PREFIX],
            read: 0,
            left: 0,
            partial: 0,
            messages: 0,
        }
    }

    /// Returns the number of bytes received of an incomplete message.
    pub(super) fn partial(&self) -> usize {
        self.partial
    }

    /// Returns the number of bytes of that message still to come, as far as known.
    pub(super) fn left(&self) -> usize {
        self.left
    }

    /// Returns the number of complete messages.
    pub(super) fn messages(&self) -> u64 {
        self.messages
    }

    /// Follows more data.
    ///
    /// # Errors
    /// The refusal of data that is not a valid message.
    pub(super) fn data(&mut self, mut data: &[u8]) -> Result<(), Failure> {
        while !data.is_empty() {
            let (missing, within) = match self.left {
                0 => (PREFIX - self.read, false),
                left => (left, true),
            };
            let (step, rest) = data.split_at(missing.min(data.len()));
            data = rest;
            self.partial += step.len();
            if within {
                self.left -= step.len();
                if self.left == 0 {
                    self.complete();
                }
                continue;
            }
            self.prefix[self.read..self.read + step.len()].copy_from_slice(step);
            self.read += step.len();
            if self.read == PREFIX {
                self.start()?;
            }
        }
        Ok(())
    }

    fn complete(&mut self) {
        self.partial = 0;
        self.messages += 1;
    }

    fn start(&mut self) -> Result<(), Failure> {
        let [compressed, a, b, c, d] = self.prefix;
        let limit = match (compressed, self.gzip) {
            (0, _) => self.limit,
            (1, true) => gzip::max_compressed(self.limit),
            // gRPC's compression.md requires INTERNAL here.
            (1, false) => {
                return Err(Failure::new(
                    Code::Internal,
                    GantryReason::MalformedMessage,
                    "a message is flagged as compressed, but the request has no grpc-encoding",
                ));
            }
            _ => return Err(malformed("the request does not begin with a message")),
        };
        let length = u32::from_be_bytes([a, b, c, d]);
        if length > limit {
            return Err(Failure::new(
                Code::ResourceExhausted,
                GantryReason::MessageTooLarge,
                format!(
                    "the message has {length} bytes, more than the limit of this method: {}",
                    self.limit
                ),
            )
            .metadata("limit_bytes", self.limit.to_string()));
        }
        self.expected = match self.expected {
            Expected::Any => Expected::Any,
            Expected::One => Expected::None,
            Expected::None => return Err(not_one("the request has more than one message")),
        };
        // At most 4 GiB, and usize has at least 32 bits on every supported platform.
        self.left = length as usize;
        self.read = 0;
        if self.left == 0 {
            self.complete();
        }
        Ok(())
    }

    /// Checks that the request may end here.
    ///
    /// # Errors
    /// The refusal of a truncated or missing message.
    pub(super) fn end(&self) -> Result<(), Failure> {
        if self.partial > 0 {
            Err(malformed("the request ends within a message"))
        } else if let Expected::One = self.expected {
            Err(not_one("the request has no message"))
        } else {
            Ok(())
        }
    }
}

fn malformed(what: &str) -> Failure {
    Failure::new(Code::InvalidArgument, GantryReason::MalformedMessage, what)
}

/// Returns the refusal of a wrong number of messages (gRPC's statuscodes.md).
fn not_one(what: &str) -> Failure {
    Failure::new(Code::Unimplemented, GantryReason::MalformedMessage, what)
}

/// Returns true if messages may be compressed. Unknown encodings were refused before.
pub(super) fn is_gzip(headers: &HeaderMap) -> bool {
    headers.get(ENCODING).is_some_and(|encoding| encoding == GZIP)
}

/// Bytes of a unary request's message. Data that arrives in one piece is not copied.
#[derive(Debug, Default)]
pub(super) struct Whole {
    first: Bytes,
    /// All data, once more than one piece arrived.
    parts: Vec<u8>,
}

impl Whole {
    /// Adds data, after which `left` bytes are still to come.
    pub(super) fn push(&mut self, data: Bytes, left: usize) {
        /// Initial capacity. It doubles as needed, up to the length of the message.
        const STEP: usize = 16 * 1024;
        if self.first.is_empty() && self.parts.is_empty() {
            self.first = data;
            return;
        }
        self.compact();
        if self.parts.capacity() - self.parts.len() < data.len() {
            let more = left.min(self.parts.len().max(STEP));
            self.parts.reserve_exact(data.len() + more);
        }
        self.parts.extend_from_slice(&data);
    }

    /// Copies the data of an incomplete message, because a small piece may keep a large buffer
    /// alive. Returns the number of bytes of memory held.
    pub(super) fn compact(&mut self) -> usize {
        let first = std::mem::take(&mut self.first);
        if !first.is_empty() {
            self.parts.reserve_exact(first.len());
            self.parts.extend_from_slice(&first);
        }
        self.parts.capacity()
    }

    /// Returns the message, including its prefix.
    pub(super) fn into_bytes(self) -> Bytes {
        if self.parts.is_empty() { self.first } else { self.parts.into() }
    }
}

/// Returns the status of a request stream that the caller or the network interrupted, by a reset or
/// a wrong content-length. The caller does not receive it, but the log and the metrics must not
/// report a server error. The code is not CANCELLED: tonic treats that as the end of the stream,
/// and a handler would take a part of the stream for the whole.
pub(super) fn broken(error: impl Into<tonic::codegen::StdError>) -> Status {
    let error = error.into();
    match error.downcast::<Status>() {
        Ok(status) => *status,
        Err(error) => {
            let mut status = Status::aborted("the request stream was interrupted");
            status.set_source(error.into());
            status
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(one: bool, chunks: &[&[u8]]) -> Result<(), Code> {
        scan_gzip(one, false, chunks)
    }

    fn scan_gzip(one: bool, gzip: bool, chunks: &[&[u8]]) -> Result<(), Code> {
        let mut scan = Scan::new(4, one, gzip);
        chunks.iter().try_for_each(|chunk| scan.data(chunk)).map_err(|failure| failure.code())?;
        scan.end().map_err(|failure| failure.code())
    }

    const FULL: &[u8] = &[0, 0, 0, 0, 4, 1, 2, 3, 4];
    const EMPTY: &[u8] = &[0, 0, 0, 0, 0];
    const LONG: &[u8] = &[0, 0, 0, 0, 5, 1, 2, 3, 4, 5];

    #[test]
    fn messages_up_to_the_limit_pass_in_any_chunks() {
        let two = [FULL, FULL].concat();
        for size in 1..=two.len() {
            let chunks: Vec<_> = two.chunks(size).collect();
            assert_eq!(scan(false, &chunks), Ok(()), "{size}");
        }
        assert_eq!(scan(true, &[EMPTY]), Ok(()));
        assert_eq!(scan(false, &[]), Ok(()));
    }

    #[test]
    fn a_longer_message_is_refused_at_its_prefix() {
        assert_eq!(scan(true, &[&LONG[..5]]), Err(Code::ResourceExhausted));
        let chunks: Vec<_> = LONG.chunks(1).collect();
        assert_eq!(scan(true, &chunks), Err(Code::ResourceExhausted));
        assert_eq!(scan(false, &[FULL, LONG]), Err(Code::ResourceExhausted));
        assert_eq!(scan(true, &[&[0, 255, 255, 255, 255]]), Err(Code::ResourceExhausted));
    }

    #[test]
    fn a_truncated_or_empty_request_is_malformed() {
        for end in 1..FULL.len() {
            assert_eq!(scan(true, &[&FULL[..end]]), Err(Code::InvalidArgument), "{end}");
        }
        assert_eq!(scan(true, &[]), Err(Code::Unimplemented));
    }

    #[test]
    fn a_second_message_of_a_unary_request_is_malformed() {
        assert_eq!(scan(true, &[FULL]), Ok(()));
        assert_eq!(scan(true, &[FULL, EMPTY]), Err(Code::Unimplemented));
        assert_eq!(scan(true, &[&[EMPTY, EMPTY].concat()]), Err(Code::Unimplemented));
    }

    #[test]
    fn a_stream_interrupted_by_its_caller_is_no_server_error() {
        let reset = h2::Error::from(h2::Reason::PROTOCOL_ERROR);
        assert_eq!(broken(reset).code(), Code::Aborted);
        assert_eq!(broken(Status::unavailable("draining")).code(), Code::Unavailable);
    }

    #[test]
    fn a_flag_needs_its_encoding() {
        let flagged = |flag| [flag, 0, 0, 0, 0];
        assert_eq!(scan(true, &[&flagged(1)]), Err(Code::Internal));
        assert_eq!(scan(false, &[FULL, &flagged(1)]), Err(Code::Internal));
        assert_eq!(scan(false, &[FULL, &flagged(10)]), Err(Code::InvalidArgument));
        assert_eq!(scan_gzip(true, true, &[&flagged(1)]), Ok(()));
        assert_eq!(scan_gzip(true, true, &[&flagged(2)]), Err(Code::InvalidArgument));
    }

    #[test]
    fn a_compressed_message_may_be_a_little_longer_than_its_limit() {
        let of = |flag: u8, length: u32| [&[flag][..], &length.to_be_bytes()].concat();
        let start = |flag, length| {
            let mut scan = Scan::new(1_000_000, true, true);
            scan.data(&of(flag, length)).map_err(|failure| failure.code())
        };
        assert_eq!(start(1, 1_001_000), Ok(()));
        assert_eq!(start(1, 1_003_000), Err(Code::ResourceExhausted));
        assert_eq!(start(0, 1_000_001), Err(Code::ResourceExhausted));
    }

    #[test]
    fn the_bytes_of_a_partial_message_are_counted() {
        let mut scan = Scan::new(4, false, false);
        for (data, partial, left, messages) in [
            (&FULL[..3], 3, 0, 0),
            (&FULL[3..7], 7, 2, 0),
            (&FULL[7..], 0, 0, 1),
            (EMPTY, 0, 0, 2),
            (&FULL[..5], 5, 4, 2),
        ] {
            scan.data(data).unwrap();
            assert_eq!((scan.partial(), scan.left(), scan.messages()), (partial, left, messages));
        }
    }

    #[test]
    fn a_message_is_whole_from_any_chunks() {
        let message: Vec<u8> = (0..100_000_u32).map(|n| n as u8).collect();
        for size in [1, 7, 4096, 16_384, 99_999, 100_000] {
            for settles in [false, true] {
                let mut whole = Whole::default();
                let mut left = message.len();
                for part in message.chunks(size) {
                    left -= part.len();
                    whole.push(Bytes::copy_from_slice(part), left);
                    if settles {
                        let held = whole.compact();
                        assert!(held <= message.len(), "{held} bytes for parts of {size}");
                    }
                }
                assert_eq!(whole.into_bytes(), message, "{size}");
            }
        }
    }
}
