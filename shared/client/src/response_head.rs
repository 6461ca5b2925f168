//! Head or trailers of a response: read, and repaired for tonic.

use std::borrow::Cow;

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use gantry_contract::{GantryReason, Reason};
use gantry_resilience::retry::Pushback;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode, utf8_percent_encode};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::verdict::{Answer, Kind, PeerReason};

/// Longest part of a peer's message in an error, in characters.
const MESSAGE_CHARS: usize = 120;

/// Same decoder settings as tonic's.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Returns the code in `grpc-status`, if there is one.
pub(crate) fn grpc_code(headers: &HeaderMap) -> Option<Code> {
    headers.get(Status::GRPC_STATUS).map(|code| Code::from_bytes(code.as_bytes()))
}

/// Description of a unary response with the status OK and no message.
pub(crate) const NO_MESSAGE: &str = "OK without a message";

/// Repairs the fields of a status that tonic cannot read.
pub(crate) fn sanitize(headers: &mut HeaderMap) {
    sanitize_message(headers);
    sanitize_details(headers);
}

/// Replaces invalid UTF-8 in a message. Tonic would drop the whole status (PROTOCOL-HTTP2.md:
/// implementations must not error or throw away the message).
fn sanitize_message(headers: &mut HeaderMap) {
    let Some(message) = headers.get(Status::GRPC_MESSAGE) else { return };
    let decoded = Cow::from(percent_decode(message.as_bytes()));
    if str::from_utf8(&decoded).is_ok() {
        return;
    }
    let text = String::from_utf8_lossy(&decoded);
    let encoded = utf8_percent_encode(&text, NON_ALPHANUMERIC).to_string();
    // Letters, digits and percent signs are a valid value.
    if let Ok(message) = HeaderValue::try_from(encoded) {
        headers.insert(Status::GRPC_MESSAGE, message);
    }
}

/// Removes details that are not base64: tonic would panic on them.
fn sanitize_details(headers: &mut HeaderMap) {
    let Some(details) = headers.get(Status::GRPC_STATUS_DETAILS) else { return };
    if BASE64.decode(details.as_bytes()).is_err() {
        tracing::warn!("the peer sent grpc-status-details-bin that is not base64, left out");
        headers.remove(Status::GRPC_STATUS_DETAILS);
    }
}

/// Returns Gantry's reason in a status. Requires sanitized headers; details that do not parse have
/// none.
fn reason(code: Code, headers: &HeaderMap) -> Option<PeerReason> {
    let can_have_reason = matches!(code, Code::Unavailable | Code::Unimplemented);
    if !can_have_reason || !headers.contains_key(Status::GRPC_STATUS_DETAILS) {
        return None;
    }
    let status = Status::from_header_map(headers)?;
    match code {
        Code::Unavailable if GantryReason::CircuitOpen.is_given_by(&status) => {
            let info = status.get_details_retry_info();
            Some(PeerReason::CircuitOpen(info.and_then(|info| info.retry_delay)))
        }
        Code::Unimplemented if GantryReason::MethodUnknown.is_given_by(&status) => {
            Some(PeerReason::MethodUnknown)
        }
        _ => None,
    }
}

/// Reads an answer with this status from its head or trailers.
pub(crate) fn answer(code: Code, headers: &HeaderMap) -> Answer {
    if code == Code::Ok {
        return Answer::status(code);
    }
    let (reason, pushback) = (reason(code, headers), Pushback::of_grpc(headers));
    Answer { code, kind: Kind::Status { reason, pushback } }
}

/// Returns a short description of a status. Requires sanitized headers.
pub(crate) fn describe(code: Code, headers: &HeaderMap) -> String {
    let message = Status::from_header_map(headers).map(|status| status.message().to_owned());
    match message.as_deref() {
        Some("") | None => format!("{code:?}"),
        Some(message) => {
            let short: String = message.chars().take(MESSAGE_CHARS).collect();
            format!("{code:?}: {short}")
        }
    }
}

/// Returns the code and description of a response that is not gRPC, if it has no gRPC status and is
/// plain HTTP, such as that of a proxy.
pub(crate) fn not_grpc(status: StatusCode, headers: &HeaderMap) -> Option<(Code, String)> {
    if status != StatusCode::OK {
        let code = match status {
            StatusCode::BAD_REQUEST | StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => Code::Internal,
            StatusCode::UNAUTHORIZED => Code::Unauthenticated,
            StatusCode::FORBIDDEN => Code::PermissionDenied,
            StatusCode::NOT_FOUND => Code::Unimplemented,
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => Code::Unavailable,
            _ => Code::Unknown,
        };
        return Some((code, format!("HTTP {status} and no gRPC status")));
    }
    let kind = headers.get(header::CONTENT_TYPE)?;
    if is_grpc(kind.as_bytes()) {
        return None;
    }
    let kind = String::from_utf8_lossy(kind.as_bytes());
    Some((Code::Unknown, format!("{kind} instead of gRPC")))
}

/// Returns `true` for `application/grpc` in any case, with or without a subtype such as
/// `+proto` and parameters. gRPC-Web is another protocol.
fn is_grpc(kind: &[u8]) -> bool {
    const GRPC: &[u8] = b"application/grpc";
    kind.trim_ascii().split_at_checked(GRPC.len()).is_some_and(|(start, rest)| {
        start.eq_ignore_ascii_case(GRPC)
            && matches!(rest.trim_ascii_start().first(), None | Some(b'+' | b';'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: &'static str, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(
            http::HeaderName::from_static(name),
            HeaderValue::from_static(value),
        )])
    }

    #[test]
    fn only_details_that_tonic_can_decode_are_let_through() {
        for (details, kept) in
            [("aGVsbG8", true), ("aGVsbG8=", true), ("", true), ("!", false), ("aGVsbG8==", false)]
        {
            let mut headers = with("grpc-status-details-bin", details);
            headers.insert(Status::GRPC_STATUS, HeaderValue::from_static("13"));
            sanitize(&mut headers);
            assert_eq!(headers.contains_key(Status::GRPC_STATUS_DETAILS), kept, "{details:?}");
            // The remaining headers do not make tonic panic.
            assert_eq!(Status::from_header_map(&headers).unwrap().code(), Code::Internal);
        }
    }

    #[test]
    fn a_plain_http_answer_becomes_the_code_that_grpc_says() {
        let none = HeaderMap::new();
        let code = |status: u16| {
            not_grpc(StatusCode::from_u16(status).unwrap(), &none).map(|(code, _)| code)
        };
        assert_eq!(code(200), None);
        assert_eq!(code(400), Some(Code::Internal));
        assert_eq!(code(401), Some(Code::Unauthenticated));
        assert_eq!(code(403), Some(Code::PermissionDenied));
        assert_eq!(code(404), Some(Code::Unimplemented));
        assert_eq!(code(431), Some(Code::Internal));
        assert_eq!(code(500), Some(Code::Unknown));
        for status in [429, 502, 503, 504] {
            assert_eq!(code(status), Some(Code::Unavailable));
        }
        let html = not_grpc(StatusCode::OK, &with("content-type", "text/html")).unwrap();
        assert_eq!(html, (Code::Unknown, "text/html instead of gRPC".to_owned()));
    }

    #[test]
    fn a_content_type_is_compared_without_case() {
        for kind in [
            "application/grpc",
            "application/grpc+proto",
            "application/grpc+json",
            "Application/gRPC",
            "APPLICATION/GRPC+PROTO",
            "application/grpc;charset=utf-8",
            "application/grpc ; charset=utf-8",
            " application/grpc+proto; a=b ",
        ] {
            assert!(is_grpc(kind.as_bytes()), "{kind}");
        }
        for kind in [
            "",
            "grpc",
            "application/grp",
            "application/grpc-web",
            "application/grpcx",
            "text/html",
        ] {
            assert!(!is_grpc(kind.as_bytes()), "{kind}");
        }
    }

    #[test]
    fn a_message_that_cannot_be_decoded_costs_no_status() {
        for (sent, read) in [
            (&b"plain"[..], "plain"),
            (b"%C3%A4 and \xC3\xA4", "\u{e4} and \u{e4}"),
            (b"100%", "100%"),
            (b"%zz%4", "%zz%4"),
            (b"%ff", "\u{fffd}"),
            (b"a%C3b", "a\u{fffd}b"),
            (b"caf\xe9 50%", "caf\u{fffd} 50%"),
            (b"%ED%A0%80", "\u{fffd}\u{fffd}\u{fffd}"),
            (b"", ""),
        ] {
            let mut headers = with("grpc-status", "5");
            headers.insert(Status::GRPC_MESSAGE, HeaderValue::from_bytes(sent).unwrap());
            sanitize(&mut headers);
            let status = Status::from_header_map(&headers).unwrap();
            assert_eq!((status.code(), status.message()), (Code::NotFound, read), "{sent:?}");
        }
    }
}
