//! Reading and writing the status of a call where it travels: in headers and trailers.

use http::HeaderMap;
use tonic::{Code, Status};

/// The status as trailers.
pub(crate) fn trailers(status: &Status) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if status.add_header(&mut headers).is_err() {
        // Only metadata that is no header can fail; the code always can be said.
        headers = HeaderMap::new();
        headers.insert("grpc-status", i32::from(status.code()).into());
    }
    headers
}

/// The code that headers or trailers tell, where they do.
///
/// Reads that one header and nothing else: a damaged `grpc-status-details-bin`
/// panics in tonic's own reader.
pub(crate) fn code(headers: &HeaderMap) -> Option<Code> {
    headers.get("grpc-status").map(|value| Code::from_bytes(value.as_bytes()))
}

/// Whether the code says that the server is at fault, as OpenTelemetry judges it.
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
