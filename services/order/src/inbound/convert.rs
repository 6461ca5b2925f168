//! Conversion between the contract's messages and the application's types.
//!
//! The server has checked the contract's own rules. The rules of the domain are checked here, and
//! reported the same way: as violations of fields.

use std::time::Duration;

use gantry_common::{amount, money, timestamp};
use gantry_contract::{Violations, idempotency::RequestKey, ids};
use gantry_proto::{
    google::r#type as google,
    shop::order::v1::{self as contract, OrderStatus},
};

use crate::{
    application::{NewOrder, Placement, StoredOrder},
    domain::{Address, AddressError, Basket, OrderId, Quantity, RejectReason, Sku, Status, UserId},
};

/// Parses the command. The error lists every violation of the request.
pub(super) fn new_order(
    request: contract::CreateOrderRequest,
    key: RequestKey,
) -> Result<NewOrder, Violations> {
    let items = request.items.into_iter().enumerate().map(|(index, item)| {
        let quantity = u32::try_from(item.quantity).ok().and_then(Quantity::new);
        let quantity = quantity.ok_or_else(|| {
            let bounds = format_args!("must be 1 to {}", Quantity::MAX).to_string();
            Violations::one(format_args!("items[{index}].quantity"), bounds)
        })?;
        Ok((Sku::new(item.sku), quantity))
    });
    let items = items.collect::<Result<Vec<_>, Violations>>();
    let basket = |items| Basket::new(items).map_err(|error| Violations::one("items", error));
    let mut violations = Violations::default();
    let user = violations.note(ids::uuid("user_id", &request.user_id).map(UserId));
    let basket = violations.note(items.and_then(basket));
    let address = violations.note(request.shipping_address.map(address).transpose());
    match (user, basket, address) {
        (Some(user), Some(basket), Some(address)) => {
            Ok(NewOrder { user, basket, address, request: key })
        }
        _ => Err(violations),
    }
}

/// Parses the command. The error lists every violation of the request.
pub(super) fn placement(
    request: contract::PlaceOrderRequest,
    key: RequestKey,
) -> Result<Placement, Violations> {
    let total = |total| money("expected_total", &total);
    let mut violations = Violations::default();
    let id = violations.note(order_id(&request.id));
    let address = violations.note(request.shipping_address.map(address).transpose());
    let expected_total = violations.note(request.expected_total.map(total).transpose());
    let (Some(id), Some(address), Some(expected_total)) = (id, address, expected_total) else {
        return Err(violations);
    };
    Ok(Placement {
        id,
        address,
        // An unparsable etag never matches; map it to 0, which no order has. An empty etag is no etag.
        version: request
            .etag
            .filter(|etag| !etag.is_empty())
            .map(|etag| etag.parse().unwrap_or_default()),
        expected_total,
        request: key,
        // The contract allows 0 to 30 s.
        wait: request.wait.and_then(|wait| Duration::try_from(wait).ok()).unwrap_or_default(),
        context: gantry_process::saga_context(),
    })
}

pub(super) fn order_id(text: &str) -> Result<OrderId, Violations> {
    ids::uuid("id", text).map(OrderId)
}

fn address(address: google::PostalAddress) -> Result<Address, Violations> {
    let google::PostalAddress {
        revision: _,
        region_code,
        language_code,
        postal_code,
        sorting_code,
        administrative_area,
        locality,
        sublocality,
        address_lines,
        recipients,
        organization,
    } = address;
    let address = Address {
        region_code,
        language_code,
        postal_code,
        sorting_code,
        administrative_area,
        locality,
        sublocality,
        address_lines,
        recipients,
        organization,
    };
    address.checked().map_err(|error| {
        let field = match error {
            AddressError::RegionCode => "shipping_address.region_code",
            AddressError::TooLong => "shipping_address",
        };
        Violations::one(field, error)
    })
}

pub(super) fn order(stored: StoredOrder) -> contract::Order {
    let StoredOrder { order, address } = stored;
    let price = order.price();
    let items = order.lines().iter().map(|line| contract::OrderItem {
        sku: line.sku().to_string(),
        // At most a million.
        quantity: line.quantity().get() as i32,
        unit_price: Some(amount(line.unit_price())),
        line_total: Some(amount(line.total())),
    });
    contract::Order {
        id: order.id().to_string(),
        user_id: order.user().to_string(),
        items: items.collect(),
        subtotal: Some(amount(price.subtotal)),
        discount: Some(amount(price.discount)),
        tax: Some(amount(price.tax)),
        total: Some(amount(price.total)),
        status: status(order.status()).into(),
        reject_reason: reject_reason(order.reject_reason()).into(),
        etag: order.version().to_string(),
        create_time: Some(timestamp(order.create_time())),
        update_time: Some(timestamp(order.update_time())),
        shipping_address: address.map(postal_address),
    }
}

fn status(status: Status) -> OrderStatus {
    match status {
        Status::Draft => OrderStatus::Draft,
        Status::Placed => OrderStatus::Placed,
        Status::Confirmed => OrderStatus::Confirmed,
        Status::Shipped => OrderStatus::Shipped,
        Status::Completed => OrderStatus::Completed,
        Status::Cancelled => OrderStatus::Cancelled,
        Status::Rejected => OrderStatus::Rejected,
    }
}

fn reject_reason(reason: Option<RejectReason>) -> contract::RejectReason {
    match reason {
        None => contract::RejectReason::Unspecified,
        Some(RejectReason::UserNotFound) => contract::RejectReason::UserNotFound,
        Some(RejectReason::UserNotActive) => contract::RejectReason::UserNotActive,
        Some(RejectReason::ProductNotFound) => contract::RejectReason::ProductNotFound,
        Some(RejectReason::InsufficientStock) => contract::RejectReason::InsufficientStock,
        Some(RejectReason::ServiceUnavailable) => contract::RejectReason::ServiceUnavailable,
    }
}

fn postal_address(address: Address) -> google::PostalAddress {
    let Address {
        region_code,
        language_code,
        postal_code,
        sorting_code,
        administrative_area,
        locality,
        sublocality,
        address_lines,
        recipients,
        organization,
    } = address;
    google::PostalAddress {
        revision: 0,
        region_code,
        language_code,
        postal_code,
        sorting_code,
        administrative_area,
        locality,
        sublocality,
        address_lines,
        recipients,
        organization,
    }
}
