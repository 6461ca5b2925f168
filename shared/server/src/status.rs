//! Encoding and decoding of a status in headers and trailers.

use std::{fmt, time::Duration};

use gantry_contract::Failure;
use http::{HeaderMap, HeaderName};
use tonic::{Code, Status, metadata::MetadataMap};

/// Parsed once instead of per call, like the other header names used by every call.
const STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// Encoding of the messages, and the encodings that a caller accepts.
pub(crate) const ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
pub(crate) const ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");

/// Retry delay in milliseconds (gRFC A6).
const PUSHBACK: &str = "grpc-retry-pushback-ms";

/// Returns the status as trailers.
pub(crate) fn trailers(status: &Status) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if status.add_header(&mut headers).is_err() {
        // Fails only for invalid metadata: fall back to the code alone.
        headers = HeaderMap::new();
        headers.insert(STATUS, i32::from(status.code()).into());
    }
    headers
}

/// Returns a refusal with a retry delay: in the header of gRFC A6, in the details, and in the
/// message.
pub(crate) fn retry_later(failure: Failure, after: Duration) -> Status {
    // Round up, so that no retry comes too early.
    let millis = after.as_nanos().div_ceil(1_000_000);
    // i32::MAX milliseconds are 24 days.
    let millis = i32::try_from(millis).unwrap_or(i32::MAX);
    let hint = format!("try again in {}", Words(millis));
    let mut status = Status::from(failure.retry_after(after).hint(hint));
    status.metadata_mut().insert(PUSHBACK, millis.into());
    status
}

/// Milliseconds in readable form: at least two digits, rounded up.
struct Words(i32);

impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let up = |unit: i32| self.0.div_euclid(unit) + i32::from(self.0 % unit > 0);
        match self.0 {
            0..1_000 => write!(f, "{} ms", self.0),
            1_000..10_000 => write!(f, "{}.{} s", up(100) / 10, up(100) % 10),
            10_000..600_000 => write!(f, "{} s", up(1_000)),
            _ => write!(f, "{} min", up(60_000)),
        }
    }
}

/// Returns the status code in headers or trailers, if there is one.
///
/// Reads only that header, because tonic's own reader panics on a malformed
/// `grpc-status-details-bin`.
pub(crate) fn code(headers: &HeaderMap) -> Option<Code> {
    headers.get(STATUS).map(|value| Code::from_bytes(value.as_bytes()))
}

/// Returns the whole status in headers or trailers, if there is one. Ignores details that are not
/// base64, on which tonic's own reader panics.
pub(crate) fn read(headers: &HeaderMap) -> Option<Status> {
    const DETAILS: &str = "grpc-status-details-bin";
    let metadata = MetadataMap::from_headers(headers.clone());
    let details = metadata.get_bin(DETAILS).and_then(|details| details.to_bytes().ok());
    let mut others = metadata.into_headers();
    others.remove(DETAILS);
    let status = Status::from_header_map(&others)?;
    Some(Status::with_details(status.code(), status.message(), details.unwrap_or_default()))
}

/// Returns true if the code is a server error as OpenTelemetry defines it.
pub(crate) fn is_server_error(code: Code) -> bool {
    matches!(
        code,
        Code::Unknown
            | Code::DeadlineExceeded
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
    )
}

#[cfg(test)]
mod tests {
    use gantry_contract::GantryReason;
    use gantry_resilience::retry::Pushback;

    use super::*;

    #[test]
    fn a_status_is_read_without_malformed_details() {
        let failure = Failure::new(Code::NotFound, GantryReason::MethodUnknown, "no \u{e4}");
        let mut headers = trailers(&failure.into());
        let status = read(&headers).unwrap();
        assert_eq!((status.code(), status.message()), (Code::NotFound, "no \u{e4}"));
        assert_eq!(Failure::reason_of(&status).as_deref(), Some("METHOD_UNKNOWN"));
        headers.insert("grpc-status-details-bin", http::HeaderValue::from_static("no base64!"));
        let status = read(&headers).unwrap();
        assert_eq!((status.code(), Failure::reason_of(&status)), (Code::NotFound, None));
        assert!(read(&HeaderMap::new()).is_none());
    }

    #[test]
    fn the_retry_delay_is_never_rounded_down() {
        for (nanos, millis) in [(0, 0), (1, 1), (1_000_000, 1), (1_500_000, 2)] {
            let failure = Failure::new(Code::ResourceExhausted, GantryReason::Overloaded, "");
            let headers = trailers(&retry_later(failure, Duration::from_nanos(nanos)));
            let expected = Pushback::After(Duration::from_millis(millis));
            assert_eq!(Pushback::of_grpc(&headers), Some(expected), "{nanos} ns");
        }
    }

    #[test]
    fn the_message_has_the_retry_delay() {
        for (millis, says) in [
            (0, "0 ms"),
            (999, "999 ms"),
            (1_000, "1.0 s"),
            (1_201, "1.3 s"),
            (10_000, "10 s"),
            (59_001, "60 s"),
            (600_000, "10 min"),
            (u64::MAX, "35792 min"),
        ] {
            let failure = Failure::new(Code::ResourceExhausted, GantryReason::RateLimited, "often");
            let status = retry_later(failure, Duration::from_millis(millis));
            assert_eq!(status.message(), format!("often; try again in {says}"));
        }
    }
}
