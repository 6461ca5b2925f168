//! Statuses of failed use cases.

use gantry_common::internal;
use gantry_contract::Failure;
use gantry_proto::shop::errors::v1::Reason;
use tonic::{Code, Status};

use crate::{
    application::InventoryError,
    domain::{Refusal, Shortage, Sku},
};

pub(super) const PRODUCT: &str = "shop.inventory.v1.Product";
const RESERVATION: &str = "shop.inventory.v1.Reservation";

/// Longest list of products in a response, in bytes. Products beyond it are only counted, because
/// clients reject long trailers, and the whole response with them.
const MAX_LIST: usize = 900;

pub(super) fn status(error: InventoryError) -> Status {
    failure(&error).into()
}

fn failure(error: &InventoryError) -> Failure {
    let refuse = |code, reason: Reason| Failure::new(code, reason, error.to_string());
    match error {
        InventoryError::SkuTaken(sku) => {
            refuse(Code::AlreadyExists, Reason::SkuTaken).resource(PRODUCT, sku.as_str(), "exists")
        }
        InventoryError::RequestIdReused => refuse(Code::AlreadyExists, Reason::RequestIdReused),
        InventoryError::Storage(error) => error.failure(),
        InventoryError::Refused(refusal) => match refusal {
            Refusal::UnknownProducts(skus) => unknown_products(skus),
            Refusal::InsufficientStock(shortages) => insufficient_stock(shortages),
            Refusal::NotFound(id) => refuse(Code::NotFound, Reason::ReservationNotFound).resource(
                RESERVATION,
                id.to_string(),
                "does not exist",
            ),
            Refusal::Released(id) => refuse(Code::FailedPrecondition, Reason::ReservationReleased)
                .precondition("STATUS", id.to_string(), "was released"),
            Refusal::Committed(id) => refuse(
                Code::FailedPrecondition,
                Reason::ReservationCommitted,
            )
            .precondition("STATUS", id.to_string(), "was committed"),
            Refusal::OtherItems(id) => refuse(Code::AlreadyExists, Reason::RequestIdReused)
                .resource(RESERVATION, id.to_string(), "has other items"),
            Refusal::Unbalanced(_) => internal(error),
        },
    }
}

fn unknown_products(skus: &[Sku]) -> Failure {
    let mut listed = String::new();
    let mut names = 0;
    for sku in skus {
        if listed.len() + sku.as_str().len() >= MAX_LIST {
            break;
        }
        if names > 0 {
            listed.push(',');
        }
        listed.push_str(sku.as_str());
        names += 1;
    }
    let message = match skus {
        [sku] => format!("no product has the SKU {sku}"),
        _ => format!("{} of the SKUs are unknown", skus.len()),
    };
    let mut failure =
        Failure::new(Code::NotFound, Reason::ProductNotFound, message).metadata("skus", listed);
    if names < skus.len() {
        failure = failure.metadata("more", (skus.len() - names).to_string());
    }
    match skus {
        [sku] => failure.resource(PRODUCT, sku.as_str(), "does not exist"),
        _ => failure,
    }
}

fn insufficient_stock(shortages: &[Shortage]) -> Failure {
    let message = match shortages {
        [one] => format!("{}: {} requested, {} in stock", one.sku, one.requested, one.available),
        _ => format!("too little stock of {} products", shortages.len()),
    };
    let mut failure = Failure::new(Code::FailedPrecondition, Reason::InsufficientStock, message);
    let mut room = MAX_LIST;
    for (index, short) in shortages.iter().enumerate() {
        let text = format!("{} requested, {} in stock", short.requested, short.available);
        match room.checked_sub(short.sku.as_str().len() + text.len()) {
            Some(left) => room = left,
            None => {
                let more = format!("and {} more", shortages.len() - index);
                return failure.precondition("STOCK", "", more);
            }
        }
        failure = failure.precondition("STOCK", short.sku.as_str(), text);
    }
    failure
}

#[cfg(test)]
mod tests {
    use gantry_contract::Reason as _;
    use tonic_types::StatusExt;

    use super::*;

    fn sku(text: &str) -> Sku {
        Sku::parse(text).unwrap()
    }

    #[test]
    fn unknown_products_are_separated_by_commas() {
        let refusal = Refusal::UnknownProducts(vec![sku("b"), sku("a")]);
        let status = status(refusal.into());
        assert_eq!(status.code(), Code::NotFound);
        let info = status.get_details_error_info().unwrap();
        assert_eq!((info.reason.as_str(), info.domain.as_str()), ("PRODUCT_NOT_FOUND", "shop"));
        assert_eq!(info.metadata["skus"], "b,a");
        assert!(!info.metadata.contains_key("more"));
    }

    #[test]
    fn a_single_unknown_product_is_the_resource() {
        let status = status(Refusal::UnknownProducts(vec![sku("a")]).into());
        let resource = status.get_details_resource_info().unwrap();
        assert_eq!(
            (resource.resource_type.as_str(), resource.resource_name.as_str()),
            (PRODUCT, "a")
        );
    }

    #[test]
    fn each_shortage_is_a_precondition() {
        let short = |text, requested, available| Shortage { sku: sku(text), requested, available };
        let status =
            status(Refusal::InsufficientStock(vec![short("a", 3, 2), short("b", 1, 0)]).into());
        assert_eq!(status.code(), Code::FailedPrecondition);
        assert!(Reason::InsufficientStock.is_given_by(&status));
        let failures = status.get_details_precondition_failure().unwrap().violations;
        let reported: Vec<_> = failures
            .iter()
            .map(|v| (v.r#type.as_str(), v.subject.as_str(), v.description.as_str()))
            .collect();
        assert_eq!(
            reported,
            [("STOCK", "a", "3 requested, 2 in stock"), ("STOCK", "b", "1 requested, 0 in stock")]
        );
    }

    #[test]
    fn a_hundred_long_names_fit_into_a_response() {
        let names: Vec<_> = (0..100).map(|n| sku(&format!("{n:x>64}"))).collect();
        let short = |sku: &Sku| Shortage { sku: sku.clone(), requested: 1_000_000, available: 0 };
        let shortages = names.iter().map(short).collect();
        for refusal in [Refusal::UnknownProducts(names), Refusal::InsufficientStock(shortages)] {
            let status = status(refusal.into());
            assert!(status.details().len() < 3072, "{}", status.details().len());
            let details = status.get_error_details();
            let rest = match details.precondition_failure() {
                Some(failure) => failure.violations.last().unwrap().description.clone(),
                None => details.error_info().unwrap().metadata["more"].clone(),
            };
            assert!(["87", "and 91 more"].contains(&&*rest), "the rest is counted: {rest}");
        }
    }
}
