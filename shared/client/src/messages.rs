//! Messages of a response, checked as their bytes pass.
//!
//! Generated clients check them again, but their errors do not name the endpoint. Compressed
//! messages are decompressed here, unnoticed by generated clients.

use bytes::Bytes;
use gantry_contract::gzip::{self, GZIP, InflateError, Recoder};
use http::{HeaderMap, HeaderValue};

/// Length of the prefix of a message: a flag and a length.
const PREFIX: usize = 5;

/// Position of a response within its messages.
#[derive(Debug)]
pub(crate) struct Messages {
    /// True if a message may be compressed.
    compressible: bool,
    /// Decompressor, if messages are decompressed here.
    inflater: Option<Recoder>,
    /// Maximum length of a message, in bytes.
    limit: usize,
    /// True if the response must have exactly one message.
    single: bool,
    prefix: [u8; PREFIX],
    /// Bytes of the prefix that have arrived.
    arrived: usize,
    /// Bytes of the message that are missing.
    missing: usize,
    any: bool,
}

/// Fault of a message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Malformed {
    /// Invalid first byte.
    Flag(u8),
    /// Length above the limit, in bytes.
    TooLong(usize),
    /// More than the one allowed message.
    TooMany,
}

impl Messages {
    /// Creates the state for a response with this head. `single`: it must have exactly one message.
    pub(crate) fn new(head: &HeaderMap, limit: usize, single: bool) -> Self {
        let encoding = head.get("grpc-encoding");
        let compressible = encoding.is_some_and(|encoding| encoding != "identity");
        Self::of(compressible, None, limit, single)
    }

    /// Creates the state for a response in this encoding, with decompression.
    pub(crate) fn inflating(encoding: Option<HeaderValue>, limit: usize, single: bool) -> Self {
        let gzip = encoding.is_some_and(|encoding| encoding == GZIP);
        Self::of(gzip, gzip.then(|| Recoder::inflating(limit)), limit, single)
    }

    fn of(compressible: bool, inflater: Option<Recoder>, limit: usize, single: bool) -> Self {
        let prefix = [0; PREFIX];
        Self { compressible, inflater, limit, single, prefix, arrived: 0, missing: 0, any: false }
    }

    /// Returns checked bytes for the caller, decompressed if necessary.
    ///
    /// # Errors
    /// A message cannot be decompressed.
    pub(crate) fn read(&mut self, data: Bytes) -> Result<Bytes, InflateError> {
        match &mut self.inflater {
            Some(inflater) => inflater.pass(&data),
            None => Ok(data),
        }
    }

    /// Checks further bytes.
    ///
    /// # Errors
    /// [`Malformed`]: the rest cannot be read.
    pub(crate) fn pass(&mut self, mut data: &[u8]) -> Result<(), Malformed> {
        loop {
            let (message, rest) = data.split_at(self.missing.min(data.len()));
            self.missing -= message.len();
            let (head, rest) = rest.split_at((PREFIX - self.arrived).min(rest.len()));
            self.prefix[self.arrived..self.arrived + head.len()].copy_from_slice(head);
            self.arrived += head.len();
            if self.single && self.any && self.arrived > 0 {
                return Err(Malformed::TooMany);
            }
            if self.arrived < PREFIX {
                return Ok(());
            }
            let [flag, length @ ..] = self.prefix;
            if flag > u8::from(self.compressible) {
                return Err(Malformed::Flag(flag));
            }
            let length = u32::from_be_bytes(length) as usize;
            let limit = match (flag, &self.inflater) {
                (1, Some(_)) => {
                    let limit = u32::try_from(self.limit).unwrap_or(u32::MAX);
                    gzip::max_compressed(limit) as usize
                }
                _ => self.limit,
            };
            if length > limit {
                return Err(Malformed::TooLong(length));
            }
            (self.arrived, self.missing, self.any) = (0, length, true);
            data = rest;
        }
    }

    /// Returns true if no message is incomplete.
    pub(crate) fn are_whole(&self) -> bool {
        self.arrived == 0 && self.missing == 0
    }

    /// Returns true if the required message is missing.
    pub(crate) fn are_missing(&self) -> bool {
        self.single && !self.any
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(encoding: Option<&'static str>) -> Messages {
        let encoding = encoding.map(|encoding| {
            let name = http::HeaderName::from_static("grpc-encoding");
            (name, HeaderValue::from_static(encoding))
        });
        Messages::new(&encoding.into_iter().collect(), 100, false)
    }

    #[test]
    fn messages_are_followed_however_their_bytes_are_cut() {
        let bytes = [
            &[0, 0, 0, 0, 3, 1, 2, 3][..],
            &[0, 0, 0, 0, 0],
            &[0, 0, 0, 0, 100],
            &[9; 100],
            &[0, 0, 0, 0, 1, 7],
        ]
        .concat();
        let ends = [8, 13, 118, 124];
        for size in 1..=bytes.len() {
            let (mut messages, mut passed) = (messages(None), 0);
            for part in bytes.chunks(size) {
                messages.pass(part).unwrap();
                passed += part.len();
                assert_eq!(messages.are_whole(), ends.contains(&passed), "{passed} by {size}");
            }
        }
    }

    #[test]
    fn nothing_is_whole_and_no_message() {
        assert!(!messages(None).are_missing(), "a stream may be empty");
        let mut messages = Messages::new(&HeaderMap::new(), 100, true);
        messages.pass(&[]).unwrap();
        assert!(messages.are_whole() && messages.are_missing());
        messages.pass(&[0; 5]).unwrap();
        assert!(messages.are_whole() && !messages.are_missing());
    }

    #[test]
    fn one_byte_of_a_second_message_is_too_much() {
        let mut messages = Messages::new(&HeaderMap::new(), 100, true);
        messages.pass(&[0, 0, 0, 0, 1, 7]).unwrap();
        messages.pass(&[]).unwrap();
        assert_eq!(messages.pass(&[0]), Err(Malformed::TooMany));
    }

    #[test]
    fn a_wrong_flag_and_a_too_great_length_are_errors() {
        for (encoding, flag, result) in [
            (None, 0, Ok(())),
            (None, 1, Err(Malformed::Flag(1))),
            (Some("identity"), 1, Err(Malformed::Flag(1))),
            (Some("gzip"), 1, Ok(())),
            (Some("gzip"), 2, Err(Malformed::Flag(2))),
        ] {
            assert_eq!(messages(encoding).pass(&[flag, 0, 0, 0, 1]), result, "{encoding:?}");
        }
        let too_long = Err(Malformed::TooLong(101));
        assert_eq!(messages(None).pass(&[0, 0, 0, 0, 101]), too_long);
        let too_long = Err(Malformed::TooLong(u32::MAX as usize));
        assert_eq!(messages(None).pass(&[0, 255, 255, 255, 255]), too_long);
    }
}
