//! Statuses of failed use cases.

use gantry_contract::Failure;
use gantry_proto::shop::errors::v1::Reason;
use tonic::{Code, Status};
use uuid::Uuid;

use crate::{
    application::InventoryError,
    domain::{Refusal, Shortage, Sku},
};

pub(super) const PRODUCT: &str = "shop.inventory.v1.Product";
const RESERVATION: &str = "shop.inventory.v1.Reservation";

/// Longest list of products in an answer, in bytes: clients refuse long trailers, and with them the
/// whole answer. The rest is counted.
const LISTED: usize = 900;

pub(super) fn status(error: InventoryError) -> Status {
    failure(error).into()
}

fn failure(error: InventoryError) -> Failure {
    match error {
        InventoryError::Refused(refusal) => refused(refusal),
        InventoryError::SkuTaken(sku) => {
            Failure::new(Code::AlreadyExists, Reason::SkuTaken, format!("the SKU {sku} is taken"))
                .resource(PRODUCT, sku.as_str(), "exists")
        }
        InventoryError::RequestIdReused => Failure::new(
            Code::AlreadyExists,
            Reason::RequestIdReused,
            "the request_id was used before, for another request",
        ),
        InventoryError::Storage(error) => error.failure(),
    }
}

fn refused(refusal: Refusal) -> Failure {
    match refusal {
        Refusal::UnknownProducts(skus) => unknown_products(&skus),
        Refusal::InsufficientStock(shortages) => insufficient_stock(&shortages),
        Refusal::NotFound(id) => Failure::new(
            Code::NotFound,
            Reason::ReservationNotFound,
            format!("no reservation has the id {id}"),
        )
        .resource(RESERVATION, id.to_string(), "does not exist"),
        Refusal::Released(id) => ended(id, Reason::ReservationReleased, "released"),
        Refusal::Committed(id) => ended(id, Reason::ReservationCommitted, "committed"),
        Refusal::OtherItems(id) => Failure::new(
            Code::AlreadyExists,
            Reason::RequestIdReused,
            format!("the reservation_id {id} was used before, for other items"),
        )
        .resource(RESERVATION, id.to_string(), "has other items"),
        Refusal::Unbalanced(sku) => {
            tracing::error!(%sku, "less is reserved than the reservations say");
            Failure::internal()
        }
    }
}

fn unknown_products(skus: &[Sku]) -> Failure {
    let mut listed = String::new();
    let mut names = 0;
    for sku in skus {
        if listed.len() + sku.as_str().len() >= LISTED {
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
        [one] => format!("{}: {} asked for, {} in stock", one.sku, one.asked, one.available),
        _ => format!("too little stock of {} products", shortages.len()),
    };
    let mut failure = Failure::new(Code::FailedPrecondition, Reason::InsufficientStock, message);
    let mut room = LISTED;
    for (index, short) in shortages.iter().enumerate() {
        let text = format!("{} asked for, {} in stock", short.asked, short.available);
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

fn ended(id: Uuid, reason: Reason, how: &str) -> Failure {
    Failure::new(Code::FailedPrecondition, reason, format!("the reservation {id} was {how}"))
        .precondition("STATUS", id.to_string(), format!("was {how}"))
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
    fn unknown_products_are_named_with_commas_between() {
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
        let short = |text, asked, available| Shortage { sku: sku(text), asked, available };
        let status =
            status(Refusal::InsufficientStock(vec![short("a", 3, 2), short("b", 1, 0)]).into());
        assert_eq!(status.code(), Code::FailedPrecondition);
        assert!(Reason::InsufficientStock.is_given_by(&status));
        let failures = status.get_details_precondition_failure().unwrap().violations;
        let told: Vec<_> = failures
            .iter()
            .map(|v| (v.r#type.as_str(), v.subject.as_str(), v.description.as_str()))
            .collect();
        assert_eq!(
            told,
            [("STOCK", "a", "3 asked for, 2 in stock"), ("STOCK", "b", "1 asked for, 0 in stock")]
        );
    }

    #[test]
    fn a_hundred_long_names_still_make_an_answer_that_arrives() {
        let names: Vec<_> = (0..100).map(|n| sku(&format!("{n:x>64}"))).collect();
        let short = |sku: &Sku| Shortage { sku: sku.clone(), asked: 1_000_000, available: 0 };
        let shortages = names.iter().map(short).collect();
        for refusal in [Refusal::UnknownProducts(names), Refusal::InsufficientStock(shortages)] {
            let status = status(refusal.into());
            assert!(status.details().len() < 3072, "{}", status.details().len());
            let details = status.get_error_details();
            let told = match details.precondition_failure() {
                Some(failure) => failure.violations.last().unwrap().description.clone(),
                None => details.error_info().unwrap().metadata["more"].clone(),
            };
            assert!(["87", "and 91 more"].contains(&&*told), "says how many are left out: {told}");
        }
    }
}
