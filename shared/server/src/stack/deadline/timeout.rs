//! Request header `grpc-timeout`.

use std::time::Duration;

use gantry_resilience::deadline::{GRPC_TIMEOUT, InvalidTimeout, decode};
use http::HeaderMap;

/// Returns the caller's timeout, if it sent one.
///
/// # Errors
/// [`InvalidTimeout`] if the header is malformed or repeated.
pub(crate) fn read(headers: &HeaderMap) -> Result<Option<Duration>, InvalidTimeout> {
    let mut values = headers.get_all(GRPC_TIMEOUT).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => decode(value).map(Some),
        (Some(_), Some(_)) => Err(InvalidTimeout),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_timeouts_are_no_timeout() {
        let mut headers = HeaderMap::new();
        assert_eq!(read(&headers), Ok(None));
        headers.append("grpc-timeout", "1S".parse().unwrap());
        assert_eq!(read(&headers), Ok(Some(Duration::from_secs(1))));
        headers.append("grpc-timeout", "2S".parse().unwrap());
        assert_eq!(read(&headers), Err(InvalidTimeout));
    }
}
