//! Statuses of failed use cases.

use gantry_common::internal;
use gantry_contract::Failure;
use gantry_proto::shop::errors::v1::Reason;
use tonic::{Code, Status};

use crate::application::UserError;

pub(super) const USER: &str = "shop.user.v1.User";

pub(super) fn status(error: UserError) -> Status {
    failure(&error).into()
}

fn failure(error: &UserError) -> Failure {
    let refuse = |code, reason: Reason| Failure::new(code, reason, error.to_string());
    match error {
        UserError::NotOwner => refuse(Code::PermissionDenied, Reason::NotOwner),
        UserError::NotFound(id) => refuse(Code::NotFound, Reason::UserNotFound).resource(
            USER,
            id.to_string(),
            "does not exist",
        ),
        UserError::EmailTaken => refuse(Code::AlreadyExists, Reason::EmailTaken),
        UserError::RequestIdReused => refuse(Code::AlreadyExists, Reason::RequestIdReused),
        UserError::BadCredentials => refuse(Code::Unauthenticated, Reason::BadCredentials),
        UserError::NotActive(id) => refuse(Code::FailedPrecondition, Reason::UserNotActive)
            .precondition("STATUS", id.to_string(), "the user must be active"),
        UserError::Overloaded => Failure::overloaded(),
        UserError::Storage(error) => error.failure(),
        UserError::Failed(_) => internal(error),
    }
}

#[cfg(test)]
mod tests {
    use gantry_contract::{GantryReason, Reason as _};
    use tonic_types::StatusExt;

    use super::*;
    use crate::domain::UserId;

    #[test]
    fn every_error_has_its_code_and_reason() {
        let id = UserId(uuid::Uuid::nil());
        let table = [
            (UserError::NotOwner, Code::PermissionDenied, "NOT_OWNER"),
            (UserError::NotFound(id), Code::NotFound, "USER_NOT_FOUND"),
            (UserError::EmailTaken, Code::AlreadyExists, "EMAIL_TAKEN"),
            (UserError::RequestIdReused, Code::AlreadyExists, "REQUEST_ID_REUSED"),
            (UserError::BadCredentials, Code::Unauthenticated, "BAD_CREDENTIALS"),
            (UserError::NotActive(id), Code::FailedPrecondition, "USER_NOT_ACTIVE"),
            (UserError::Overloaded, Code::ResourceExhausted, "OVERLOADED"),
            (UserError::failed("the disk is full"), Code::Internal, "INTERNAL"),
        ];
        for (error, code, reason) in table {
            let status = status(error);
            let info = status.get_details_error_info().unwrap();
            assert_eq!((status.code(), info.reason.as_str()), (code, reason));
        }
    }

    #[test]
    fn causes_are_not_sent() {
        let status = status(UserError::failed("the disk is full"));
        assert!(!format!("{status:?}").contains("disk"), "{status:?}");
        assert!(GantryReason::Internal.is_given_by(&status));
    }
}
