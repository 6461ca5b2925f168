//! Watches the messages of a request go by: none may be longer than the server
//! takes, and none may be missing, too many, break off or begin with what is no
//! message.
//!
//! tonic checks the length as well, but answers OUT_OF_RANGE, takes a broken message
//! and a stream that its caller broke for a fault of ours, and of two messages where
//! one is meant it leaves out the second. A compressed message is checked here as it
//! is on the wire, and once more when it is decompressed: see [`gzip`].

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use gantry_contract::{Failure, GantryReason, gzip};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tonic::{Code, Status};

/// A byte that would say that the message is compressed, and four of its length.
const PREFIX: usize = 5;

pin_project! {
    /// The body of a request.
    pub(crate) struct Messages<B> {
        #[pin]
        inner: B,
        scan: Scan,
    }
}

impl<B> Messages<B> {
    /// Lets messages of up to `limit` bytes through; with `one`, exactly one has to
    /// come; with `gzip`, they may be compressed.
    pub(crate) fn new(inner: B, limit: u32, one: bool, gzip: bool) -> Self {
        let expected = if one { Expected::One } else { Expected::Any };
        let scan = Scan { limit, gzip, expected, prefix: [0; PREFIX], read: 0, left: 0 };
        Self { inner, scan }
    }
}

impl<B> Body for Messages<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<tonic::codegen::StdError>,
{
    type Data = Bytes;
    type Error = tonic::codegen::StdError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.project();
        let frame = ready!(this.inner.poll_frame(cx)).transpose().map_err(broken)?;
        match frame.as_ref().and_then(Frame::data_ref) {
            Some(data) => this.scan.data(data).map_err(Status::from)?,
            None => this.scan.end().map_err(Status::from)?,
        }
        Poll::Ready(frame.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        // The end is checked in `poll_frame`: it has to be polled.
        false
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// Where in the sequence of messages the data so far ends.
#[derive(Debug)]
struct Scan {
    limit: u32,
    gzip: bool,
    expected: Expected,
    prefix: [u8; PREFIX],
    /// How much of the prefix has been read.
    read: usize,
    /// How much of the message is still to come.
    left: usize,
}

/// How many messages may begin from here on.
#[derive(Clone, Copy, Debug)]
enum Expected {
    Any,
    One,
    None,
}

impl Scan {
    fn data(&mut self, mut data: &[u8]) -> Result<(), Failure> {
        while !data.is_empty() {
            if self.left > 0 {
                let step = self.left.min(data.len());
                self.left -= step;
                data = &data[step..];
                continue;
            }
            let step = (PREFIX - self.read).min(data.len());
            self.prefix[self.read..self.read + step].copy_from_slice(&data[..step]);
            self.read += step;
            data = &data[step..];
            if self.read == PREFIX {
                self.start()?;
            }
        }
        Ok(())
    }

    fn start(&mut self) -> Result<(), Failure> {
        let [compressed, a, b, c, d] = self.prefix;
        let limit = match (compressed, self.gzip) {
            (0, _) => self.limit,
            (1, true) => gzip::max_compressed(self.limit),
            // gRPC's compression.md asks for this code.
            (1, false) => {
                return Err(Failure::new(
                    Code::Internal,
                    GantryReason::MalformedMessage,
                    "a message says that it is compressed, and the call names no grpc-encoding",
                ));
            }
            _ => return Err(malformed("the request begins with what is no message")),
        };
        let length = u32::from_be_bytes([a, b, c, d]);
        if length > limit {
            return Err(Failure::new(
                Code::ResourceExhausted,
                GantryReason::MessageTooLarge,
                format!(
                    "the message has {length} bytes and this method takes at most {}",
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
        // Of 4 GiB at most, and usize has at least 32 bits where this runs.
        self.left = length as usize;
        self.read = 0;
        Ok(())
    }

    fn end(&self) -> Result<(), Failure> {
        if self.read > 0 || self.left > 0 {
            Err(malformed("the request breaks off within a message"))
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

/// A violation of the request's cardinality (gRPC's statuscodes.md).
fn not_one(what: &str) -> Failure {
    Failure::new(Code::Unimplemented, GantryReason::MalformedMessage, what)
}

/// A stream that did not come whole was broken by the caller or the wire, whatever the
/// reason that HTTP/2 has for it: by a reset, or by a content-length that is not kept.
/// Nobody is there to hear; the log and the metrics are not to say that we failed. And not
/// CANCELLED: tonic takes that for the end of the stream, and a handler would take a part of
/// it for the whole.
fn broken(error: impl Into<tonic::codegen::StdError>) -> tonic::codegen::StdError {
    let error = error.into();
    if error.is::<Status>() {
        return error;
    }
    let mut status = Status::aborted("the request broke off");
    status.set_source(error.into());
    status.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(one: bool, chunks: &[&[u8]]) -> Result<(), Code> {
        scan_gzip(one, false, chunks)
    }

    fn scan_gzip(one: bool, gzip: bool, chunks: &[&[u8]]) -> Result<(), Code> {
        let mut scan = Messages::new((), 4, one, gzip).scan;
        chunks.iter().try_for_each(|chunk| scan.data(chunk)).map_err(|failure| failure.code())?;
        scan.end().map_err(|failure| failure.code())
    }

    const FULL: &[u8] = &[0, 0, 0, 0, 4, 1, 2, 3, 4];
    const EMPTY: &[u8] = &[0, 0, 0, 0, 0];
    const LONG: &[u8] = &[0, 0, 0, 0, 5, 1, 2, 3, 4, 5];

    #[test]
    fn messages_up_to_the_limit_pass_however_they_are_cut() {
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
    fn a_request_that_breaks_off_or_is_empty_is_malformed() {
        for end in 1..FULL.len() {
            assert_eq!(scan(true, &[&FULL[..end]]), Err(Code::InvalidArgument), "{end}");
        }
        assert_eq!(scan(true, &[]), Err(Code::Unimplemented));
    }

    #[test]
    fn where_one_message_is_meant_a_second_is_not_left_out() {
        assert_eq!(scan(true, &[FULL]), Ok(()));
        assert_eq!(scan(true, &[FULL, EMPTY]), Err(Code::Unimplemented));
        assert_eq!(scan(true, &[&[EMPTY, EMPTY].concat()]), Err(Code::Unimplemented));
    }

    #[test]
    fn what_the_callers_end_broke_is_not_our_fault() {
        let code = |error: tonic::codegen::StdError| {
            broken(error).downcast_ref::<Status>().map(Status::code)
        };
        let reset = h2::Error::from(h2::Reason::PROTOCOL_ERROR);
        assert_eq!(code(reset.into()), Some(Code::Aborted));
        assert_eq!(code(Status::unavailable("draining").into()), Some(Code::Unavailable));
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
            let mut scan = Messages::new((), 1_000_000, true, true).scan;
            scan.data(&of(flag, length)).map_err(|failure| failure.code())
        };
        assert_eq!(start(1, 1_001_000), Ok(()));
        assert_eq!(start(1, 1_003_000), Err(Code::ResourceExhausted));
        assert_eq!(start(0, 1_000_001), Err(Code::ResourceExhausted));
    }
}
