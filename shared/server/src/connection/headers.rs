//! Limits and storage of request headers.
//!
//! HPACK lets a peer repeat a header in one byte, and a header takes about a hundred bytes in
//! memory. So the number of headers is limited as well as their size. Long lists are copied into
//! buffers of the right size. A call of health or reflection keeps only the headers that the server
//! reads, because its caller can keep it open without a limit.

use std::mem::take;

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{AUTHORIZATION, CONTENT_TYPE, FORWARDED, TE, USER_AGENT},
};

use crate::settings::ConnectionSettings;

/// Overhead per header in the size as HTTP/2 counts it (RFC 9113, 6.5.2).
const OVERHEAD: usize = 32;

/// Number and bytes of headers up to which a request is kept unchanged. Nearly all requests are
/// shorter.
const SHORT: (usize, usize) = (24, 4096);

/// Headers that the server itself reads, for any method.
const READ: [HeaderName; 13] = [
    CONTENT_TYPE,
    TE,
    AUTHORIZATION,
    USER_AGENT,
    FORWARDED,
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("tracestate"),
    HeaderName::from_static("grpc-timeout"),
    HeaderName::from_static("grpc-encoding"),
    HeaderName::from_static("grpc-accept-encoding"),
    HeaderName::from_static("grpc-previous-rpc-attempts"),
];

/// Error of a request with too many headers or too many bytes of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HeadersTooLarge {
    #[error("the request has {count} headers and this server takes at most {max}")]
    Count { count: usize, max: usize },
    #[error("the request has {bytes} bytes of headers and this server takes at most {max}")]
    Bytes { bytes: usize, max: usize },
}

/// Limits of request headers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeaderLimits {
    count: usize,
    bytes: usize,
}

impl HeaderLimits {
    pub(crate) fn new(settings: &ConnectionSettings) -> Self {
        Self { count: settings.max_headers as usize, bytes: settings.max_header_bytes as usize }
    }

    /// Reduces the headers to those that are kept. Keeps all of them if `all` is true, otherwise
    /// those that the server itself reads.
    ///
    /// # Errors
    /// [`HeadersTooLarge`]; the headers are then reduced to those needed to refuse the request.
    pub(crate) fn keep(self, headers: &mut HeaderMap, all: bool) -> Result<(), HeadersTooLarge> {
        let (count, bytes) = (headers.len(), bytes(headers));
        let result = if count > self.count {
            Err(HeadersTooLarge::Count { count, max: self.count })
        } else if bytes > self.bytes {
            Err(HeadersTooLarge::Bytes { bytes, max: self.bytes })
        } else {
            Ok(())
        };
        if result.is_err() || !all {
            *headers = read_by_the_server(headers);
        } else if count > SHORT.0 || bytes > SHORT.1 {
            let whole = take(headers);
            headers.reserve(count);
            headers.extend(whole.iter().map(|(name, value)| (name.clone(), copy(value))));
        }
        result
    }
}

/// Returns the size of the headers in bytes, as HTTP/2 counts it.
fn bytes(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + OVERHEAD).sum()
}

fn read_by_the_server(headers: &HeaderMap) -> HeaderMap {
    let mut kept = HeaderMap::new();
    for name in READ {
        let values = headers.get_all(&name);
        // Two values suffice to detect a duplicate. Of the addresses in a proxy's list, the last
        // ones are those that trusted proxies appended.
        let skipped = values.iter().count().saturating_sub(2);
        for value in values.iter().skip(skipped) {
            kept.append(name.clone(), copy(value));
        }
    }
    kept
}

/// Copies a value. A value decoded by h2 points into its read buffer and keeps all of it alive.
fn copy(value: &HeaderValue) -> HeaderValue {
    let mut copied = HeaderValue::from_bytes(value.as_bytes()).unwrap_or_else(|_| value.clone());
    copied.set_sensitive(value.is_sensitive());
    copied
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: HeaderLimits = HeaderLimits { count: 100, bytes: 16 * 1024 };

    fn headers(count: usize, length: usize) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        for n in 1..count {
            let name = HeaderName::from_bytes(format!("x-{n:03}").as_bytes()).unwrap();
            headers.append(name, "v".repeat(length).parse().unwrap());
        }
        headers
    }

    #[test]
    fn headers_within_the_limits_are_kept_for_the_handler() {
        for (count, length) in [(1, 0), (10, 10), (100, 1), (100, 100), (2, 16_000)] {
            let sent = headers(count, length);
            let mut kept = sent.clone();
            assert_eq!(LIMITS.keep(&mut kept, true), Ok(()));
            assert_eq!(kept, sent);
        }
    }

    #[test]
    fn too_many_headers_or_bytes_of_them_are_refused() {
        let kept = |mut headers: HeaderMap| {
            let result = LIMITS.keep(&mut headers, true);
            assert_eq!(
                headers.len(),
                1,
                "the content type remains, so the refusal is a gRPC status"
            );
            result
        };
        assert_eq!(kept(headers(101, 1)), Err(HeadersTooLarge::Count { count: 101, max: 100 }));
        let mut same = headers(1, 0);
        for _ in 0..100 {
            same.append("x", HeaderValue::from_static(""));
        }
        assert_eq!(kept(same), Err(HeadersTooLarge::Count { count: 101, max: 100 }));
        let bytes = (CONTENT_TYPE.as_str().len() + 16 + 32) + (5 + 16_400 + 32);
        let long = kept(headers(2, 16_400));
        assert_eq!(long, Err(HeadersTooLarge::Bytes { bytes, max: 16 * 1024 }));
    }

    #[test]
    fn a_long_call_keeps_only_headers_that_the_server_reads() {
        let mut sent = headers(100, 100);
        for value in ["1", "2", "3"] {
            sent.append(AUTHORIZATION, HeaderValue::from_static(value));
        }
        let limits = HeaderLimits { count: 200, ..LIMITS };
        limits.keep(&mut sent, false).unwrap();
        assert_eq!(sent.get_all(AUTHORIZATION).iter().count(), 2);
        assert_eq!(sent.len(), 3);
        assert!(sent.capacity() < 20, "{}", sent.capacity());
    }
}
