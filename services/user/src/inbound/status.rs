//! Statuses of failed use cases.

use std::error::Error;

use gantry_contract::{Failure, Violations};
use gantry_proto::shop::errors::v1::Reason;
use tonic::{Code, Status};

use crate::application::UserError;

pub(super) const USER: &str = "shop.user.v1.User";

pub(super) fn status(error: UserError) -> Status {
    failure(error).into()
}

fn failure(error: UserError) -> Failure {
    let message = error.to_string();
    match error {
        UserError::NotOwner => Failure::new(Code::PermissionDenied, Reason::NotOwner, message),
        UserError::NotFound(id) => Failure::new(Code::NotFound, Reason::UserNotFound, message)
            .resource(USER, id.to_string(), "does not exist"),
        UserError::EmailTaken => Failure::new(Code::AlreadyExists, Reason::EmailTaken, message),
        UserError::RequestIdReused => {
            Failure::new(Code::AlreadyExists, Reason::RequestIdReused, message)
        }
        UserError::BadCredentials => {
            Failure::new(Code::Unauthenticated, Reason::BadCredentials, message)
        }
        UserError::NotActive(id) => Failure::new(
            Code::FailedPrecondition,
            Reason::UserNotActive,
            message,
        )
        .precondition("STATUS", id.to_string(), "the user must be active"),
        UserError::BadPageToken => Violations::one("page_token", message).into(),
        UserError::Overloaded => Failure::overloaded(),
        UserError::Storage(error) => error.failure(),
        UserError::Failed(cause) => {
            tracing::error!(error = &*cause as &dyn Error, "user service failed");
            Failure::internal()
        }
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
            (UserError::BadPageToken, Code::InvalidArgument, "VALIDATION_FAILED"),
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
    fn a_cause_is_not_sent() {
        let status = status(UserError::failed("the disk is full"));
        assert!(!format!("{status:?}").contains("disk"), "{status:?}");
        assert!(GantryReason::Internal.is_given_by(&status));
    }
}
