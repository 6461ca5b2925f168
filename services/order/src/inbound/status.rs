//! Statuses of failed use cases.

use gantry_common::internal;
use gantry_contract::{Failure, GantryReason};
use gantry_proto::shop::errors::v1::Reason;
use tonic::{Code, Status};

use crate::{
    application::{OrderError, Unanswered},
    domain::{LinesError, Sku},
};

pub(super) const ORDER: &str = "shop.order.v1.Order";
const USER: &str = "shop.user.v1.User";
const PRODUCT: &str = "shop.inventory.v1.Product";

pub(super) fn status(error: OrderError) -> Status {
    failure(&error).into()
}

fn failure(error: &OrderError) -> Failure {
    let refuse = |code, reason: Reason| Failure::new(code, reason, error.to_string());
    match error {
        OrderError::NotOwner => refuse(Code::PermissionDenied, Reason::NotOwner),
        OrderError::OrderNotFound(id) => refuse(Code::NotFound, Reason::OrderNotFound).resource(
            ORDER,
            id.to_string(),
            "does not exist",
        ),
        OrderError::UserNotFound(id) => refuse(Code::NotFound, Reason::UserNotFound).resource(
            USER,
            id.to_string(),
            "does not exist",
        ),
        OrderError::ProductsNotFound(skus) => unknown_products(skus),
        OrderError::Lines(LinesError::Currencies { .. }) => {
            refuse(Code::FailedPrecondition, Reason::CurrencyMismatch)
        }
        OrderError::Lines(LinesError::TooLarge) => {
            refuse(Code::FailedPrecondition, Reason::AmountTooLarge)
        }
        OrderError::Lines(LinesError::Empty) => internal(error),
        OrderError::Transition(invalid) => refuse(Code::FailedPrecondition, Reason::OrderStatus)
            .metadata("status", invalid.from.as_str())
            .precondition("STATUS", invalid.from.as_str(), error.to_string()),
        OrderError::TooManyDrafts { max } => {
            refuse(Code::ResourceExhausted, Reason::TooManyDrafts).metadata("max", max.to_string())
        }
        OrderError::EtagMismatch => refuse(Code::Aborted, Reason::EtagMismatch),
        OrderError::PriceChanged { total } => {
            refuse(Code::FailedPrecondition, Reason::PriceChanged)
                .metadata("total", total.to_string())
        }
        OrderError::RequestIdReused => refuse(Code::AlreadyExists, Reason::RequestIdReused),
        OrderError::Unanswered { service, cause } => unanswered(service, cause, error),
        OrderError::Storage(error) => error.failure(),
    }
}

/// Names the products. [`Failure`] cuts a list that is too long for a response.
fn unknown_products(skus: &[Sku]) -> Failure {
    let names: Vec<_> = skus.iter().map(Sku::as_str).collect();
    let message = match skus {
        [sku] => format!("no product has the SKU {sku}"),
        _ => format!("{} of the SKUs are unknown", skus.len()),
    };
    let failure = Failure::new(Code::NotFound, Reason::ProductNotFound, message)
        .metadata("skus", names.join(","));
    match skus {
        [sku] => failure.resource(PRODUCT, sku.as_str(), "does not exist"),
        _ => failure,
    }
}

/// Names the called service to the caller. Logged at debug level only, because the client already logs
/// an outage once.
fn unanswered(service: &str, cause: &Unanswered, error: &OrderError) -> Failure {
    let failure = match cause {
        Unanswered::Unavailable(_) => Failure::new(
            Code::Unavailable,
            GantryReason::NoEndpoint,
            format!("the {service} service cannot be reached"),
        ),
        Unanswered::TimedOut(_) => Failure::new(
            Code::DeadlineExceeded,
            GantryReason::DeadlineExceeded,
            format!("the {service} service did not answer in time"),
        ),
        Unanswered::Broken(_) => return internal(error),
    };
    tracing::debug!(%error, "called service did not respond");
    failure.metadata("service", service)
}

#[cfg(test)]
mod tests {
    use tonic_types::StatusExt;
    use uuid::Uuid;

    use super::*;
    use crate::domain::{InvalidTransition, OrderId};

    fn reason(error: OrderError) -> (Code, String) {
        let status = status(error);
        (status.code(), status.get_details_error_info().unwrap().reason)
    }

    #[test]
    fn every_error_has_its_code_and_reason() {
        let placed = crate::domain::Status::Placed;
        let invalid = InvalidTransition { from: placed, to: placed };
        let id = OrderId(Uuid::nil());
        for (error, code, expected) in [
            (OrderError::NotOwner, Code::PermissionDenied, "NOT_OWNER"),
            (OrderError::OrderNotFound(id), Code::NotFound, "ORDER_NOT_FOUND"),
            (OrderError::Transition(invalid), Code::FailedPrecondition, "ORDER_STATUS"),
            (OrderError::TooManyDrafts { max: 1 }, Code::ResourceExhausted, "TOO_MANY_DRAFTS"),
            (OrderError::EtagMismatch, Code::Aborted, "ETAG_MISMATCH"),
            (OrderError::RequestIdReused, Code::AlreadyExists, "REQUEST_ID_REUSED"),
            (LinesError::TooLarge.into(), Code::FailedPrecondition, "AMOUNT_TOO_LARGE"),
        ] {
            assert_eq!(reason(error), (code, expected.to_owned()));
        }
    }

    #[test]
    fn causes_are_not_sent() {
        let secret = "10.0.0.7:50051";
        let unanswered = |cause| OrderError::Unanswered { service: "user", cause };
        for error in [
            unanswered(Unanswered::Unavailable(secret.to_owned())),
            unanswered(Unanswered::TimedOut(secret.to_owned())),
            unanswered(Unanswered::Broken(secret.to_owned())),
        ] {
            let status = status(error);
            let sent = format!("{} {:?}", status.message(), status.get_error_details());
            assert!(!sent.contains(secret), "{sent}");
        }
    }

    #[test]
    fn a_hundred_long_names_fit_into_a_response() {
        let skus = (0..100).map(|n| Sku::new(format!("{n:x>64}"))).collect();
        let status = status(OrderError::ProductsNotFound(skus));
        assert!(status.details().len() < 3072, "{}", status.details().len());
        assert!(status.message().contains("100"));
    }
}
