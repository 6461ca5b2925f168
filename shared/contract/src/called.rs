//! Statuses of calls to other services, and their form for a service's own callers.
//!
//! The client marks every error status of a call. If a handler returns a marked status (with `?`),
//! the server replaces it. Callers therefore never see internal addresses, the permissions of a
//! service, or messages that were meant for the service only.

use tonic::{Code, Status, metadata::MetadataMap};
use tonic_types::StatusExt;

use crate::{Failure, GantryReason, Reason};

/// Metadata key: name of the called service.
pub const CALLED_SERVICE: &str = "gantry-called-service";

/// Metadata key: [`Origin`] of the status.
pub const STATUS_ORIGIN: &str = "gantry-status-origin";

/// Metadata key with the principal that lacks a permission: `user` or `service`.
pub const LACKS: &str = "lacks";

/// Metadata key of gRFC A6: delay before the next attempt, in milliseconds.
const PUSHBACK: &str = "grpc-retry-pushback-ms";

/// Source of the status of a call to another service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The client's channel. Its messages are for this service only.
    Channel,
    /// The called service.
    Peer,
    /// The called service, because it rejected the identity of the calling service.
    Identity,
}

impl Origin {
    /// Returns the value of [`STATUS_ORIGIN`].
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Channel => "channel",
            Self::Peer => "peer",
            Self::Identity => "identity",
        }
    }

    /// Returns the origin of a response. `signed` is true if the call had a token of the calling
    /// service: a rejected token or grant is then the service's and not the user's.
    pub fn of_answer(status: &Status, signed: bool) -> Self {
        let is_refusal = matches!(status.code(), Code::Unauthenticated | Code::PermissionDenied);
        if signed && is_refusal && refuses_identity(status) { Self::Identity } else { Self::Peer }
    }
}

/// Returns true if the status rejects the token or the grant of the call. A reason outside the
/// domain `gantry` is a rule of the called service, so it concerns the user.
fn refuses_identity(status: &Status) -> bool {
    let Some(info) = status.get_details_error_info() else { return true };
    info.domain == GantryReason::PermissionMissing.domain()
        && info.metadata.get(LACKS).is_none_or(|lacks| lacks != "user")
}

/// Returns the status that a service may give its own caller instead of `status`. None if `status`
/// is not from a call to another service. Reads the request id from
/// [`CallContext`](crate::CallContext).
pub fn public(status: &Status) -> Option<Status> {
    let text = |key| status.metadata().get(key).and_then(|value| value.to_str().ok());
    let service = text(CALLED_SERVICE)?;
    let is_of = |origin: Origin| text(STATUS_ORIGIN) == Some(origin.as_str());
    if is_of(Origin::Identity) {
        return Some(Failure::internal().into());
    }
    Some(match status.code() {
        Code::Unavailable => unavailable(status, service).into(),
        Code::DeadlineExceeded => Failure::new(
            Code::DeadlineExceeded,
            GantryReason::DeadlineExceeded,
            format!("the {service} service did not answer in time"),
        )
        .metadata("service", service)
        .into(),
        Code::ResourceExhausted => exhausted(status, service),
        // The called service has an older version, or a fault. The caller can do nothing about
        // either.
        Code::Internal | Code::Unknown | Code::DataLoss | Code::Unimplemented => {
            Failure::internal().into()
        }
        _ if is_of(Origin::Peer) => unmarked(status),
        _ => Failure::internal().into(),
    })
}

fn unavailable(status: &Status, service: &str) -> Failure {
    let (reason, what) = if GantryReason::CircuitOpen.is_given_by(status) {
        (GantryReason::CircuitOpen, "is failing and is not called at the moment")
    } else if GantryReason::OutcomeUnknown.is_given_by(status) {
        let what = "was lost before it answered and may have executed the call";
        (GantryReason::OutcomeUnknown, what)
    } else {
        (GantryReason::NoEndpoint, "cannot be reached")
    };
    let message = format!("the {service} service {what}");
    let failure = Failure::new(Code::Unavailable, reason, message).metadata("service", service);
    retry_info(failure, status)
}

fn exhausted(status: &Status, service: &str) -> Status {
    let (reason, message) = if GantryReason::MessageTooLarge.is_given_by(status) {
        let message = format!("a message to or from the {service} service is too large");
        (GantryReason::MessageTooLarge, message)
    } else {
        (GantryReason::Overloaded, format!("the {service} service is overloaded"))
    };
    let failure = Failure::new(Code::ResourceExhausted, reason, message);
    let mut replaced = Status::from(retry_info(failure.metadata("service", service), status));
    if let Some(pushback) = status.metadata().get(PUSHBACK) {
        replaced.metadata_mut().insert(PUSHBACK, pushback.clone());
    }
    replaced
}

fn retry_info(failure: Failure, status: &Status) -> Failure {
    match status.get_details_retry_info().and_then(|info| info.retry_delay) {
        Some(delay) => failure.retry_after(delay),
        None => failure,
    }
}

/// Returns the status of the called service without the client's own metadata.
fn unmarked(status: &Status) -> Status {
    let mut headers = status.metadata().clone().into_headers();
    let ours: Vec<_> =
        headers.keys().filter(|name| name.as_str().starts_with("gantry-")).cloned().collect();
    for name in ours {
        headers.remove(name);
    }
    Status::with_details_and_metadata(
        status.code(),
        status.message(),
        status.details().to_vec().into(),
        MetadataMap::from_headers(headers),
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SECRET: &str = "10.0.0.7:50051";

    fn marked(mut status: Status, origin: Origin) -> Status {
        let metadata = status.metadata_mut();
        metadata.insert(CALLED_SERVICE, "user".parse().unwrap());
        metadata.insert(STATUS_ORIGIN, origin.as_str().parse().unwrap());
        metadata.insert("gantry-endpoint", SECRET.parse().unwrap());
        metadata.insert("x-of-the-peer", "kept".parse().unwrap());
        status
    }

    fn gantry(code: Code, reason: GantryReason) -> Status {
        let failure = Failure::new(code, reason, format!("at {SECRET}"));
        failure.metadata("endpoint", SECRET).retry_after(Duration::from_secs(7)).into()
    }

    fn reason(status: &Status) -> String {
        status.get_details_error_info().unwrap().reason
    }

    #[test]
    fn a_status_without_an_origin_is_unchanged() {
        assert!(public(&gantry(Code::Unavailable, GantryReason::NoEndpoint)).is_none());
    }

    #[test]
    fn details_of_channel_and_identity_stay_hidden() {
        for code in (1..=16).map(Code::from) {
            for origin in [Origin::Channel, Origin::Identity] {
                for status in [
                    Status::new(code, SECRET),
                    gantry(code, GantryReason::NoEndpoint),
                    gantry(code, GantryReason::CircuitOpen),
                    gantry(code, GantryReason::MessageTooLarge),
                ] {
                    let shown = public(&marked(status, origin)).unwrap();
                    assert!(!format!("{shown:?}").contains(SECRET), "{shown:?}");
                    let is_internal = shown.code() == Code::Internal;
                    assert!(is_internal || origin == Origin::Channel, "{shown:?}");
                    let keeps =
                        [Code::Unavailable, Code::DeadlineExceeded, Code::ResourceExhausted];
                    assert!(is_internal || keeps.contains(&shown.code()), "{shown:?}");
                }
            }
        }
    }

    #[test]
    fn an_unavailable_service_is_named_with_a_reason() {
        for (code, given, expected_reason) in [
            (Code::Unavailable, GantryReason::NoEndpoint, "NO_ENDPOINT"),
            (Code::Unavailable, GantryReason::Draining, "NO_ENDPOINT"),
            (Code::Unavailable, GantryReason::CircuitOpen, "CIRCUIT_OPEN"),
            (Code::Unavailable, GantryReason::OutcomeUnknown, "OUTCOME_UNKNOWN"),
            (Code::DeadlineExceeded, GantryReason::DeadlineExceeded, "DEADLINE_EXCEEDED"),
            (Code::ResourceExhausted, GantryReason::RateLimited, "OVERLOADED"),
            (Code::ResourceExhausted, GantryReason::MessageTooLarge, "MESSAGE_TOO_LARGE"),
        ] {
            let status = public(&marked(gantry(code, given), Origin::Peer)).unwrap();
            assert_eq!((status.code(), &*reason(&status)), (code, expected_reason));
            assert!(status.message().contains("the user service"), "{status:?}");
            let retry = status.get_details_retry_info().and_then(|info| info.retry_delay);
            let expected = (code != Code::DeadlineExceeded).then_some(Duration::from_secs(7));
            assert_eq!(retry, expected, "{expected_reason}");
        }
    }

    #[test]
    fn a_peers_message_about_the_call_is_kept() {
        let codes = [Code::NotFound, Code::FailedPrecondition, Code::PermissionDenied];
        for code in codes {
            let shown = public(&marked(Status::new(code, "no such user"), Origin::Peer)).unwrap();
            assert_eq!((shown.code(), shown.message()), (code, "no such user"));
            assert!(!format!("{shown:?}").contains("gantry-"), "{shown:?}");
            assert_eq!(shown.metadata().get("x-of-the-peer").unwrap(), "kept");
        }
        for code in [Code::Internal, Code::Unknown, Code::DataLoss, Code::Unimplemented] {
            let shown = public(&marked(Status::new(code, "select * from"), Origin::Peer)).unwrap();
            assert_eq!(reason(&shown), "INTERNAL");
            assert!(!shown.message().contains("select"));
        }
    }

    #[test]
    fn a_refusal_concerns_the_service_unless_it_names_the_user() {
        struct NotOwner;
        impl Reason for NotOwner {
            fn reason(&self) -> &'static str {
                "NOT_OWNER"
            }
            fn domain(&self) -> &'static str {
                "shop"
            }
        }
        let missing = |lacks: &str| {
            let missing = GantryReason::PermissionMissing;
            Status::from(Failure::new(Code::PermissionDenied, missing, "").metadata(LACKS, lacks))
        };
        let token = GantryReason::TokenInvalid;
        for (status, origin) in [
            (missing("service"), Origin::Identity),
            (missing("user"), Origin::Peer),
            (Failure::new(Code::Unauthenticated, token, "").into(), Origin::Identity),
            (Status::permission_denied("says another server"), Origin::Identity),
            (Failure::new(Code::PermissionDenied, NotOwner, "").into(), Origin::Peer),
            (Failure::new(Code::Unauthenticated, NotOwner, "").into(), Origin::Peer),
            (Status::not_found(""), Origin::Peer),
        ] {
            assert_eq!(Origin::of_answer(&status, true), origin, "{status:?}");
            assert_eq!(Origin::of_answer(&status, false), Origin::Peer, "the user's own token");
        }
    }
}
