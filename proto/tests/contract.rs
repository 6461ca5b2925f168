//! What holds for every method of the shop.

use gantry_contract::{Idempotency, MethodKind, Reason as _, RetryPolicy};
use gantry_proto::{
    CONTRACT,
    shop::{errors::v1::Reason, user::v1::LoginRequest},
};

#[test]
fn every_service_is_in_the_contract() {
    let mut names: Vec<_> = CONTRACT.services.iter().map(|service| service.name).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "shop.inventory.v1.InventoryService",
            "shop.order.v1.OrderService",
            "shop.user.v1.AuthService",
            "shop.user.v1.UserService",
        ]
    );
}

#[test]
fn what_reads_has_no_side_effects_and_what_writes_is_idempotent_but_for_login() {
    for method in CONTRACT.methods() {
        let name = method.path.rsplit('/').next().unwrap();
        let reads = ["Get", "List", "BatchGet"].iter().any(|verb| name.starts_with(verb));
        let expected = match name {
            "Login" => Idempotency::NotIdempotent,
            _ if reads => Idempotency::NoSideEffects,
            _ => Idempotency::Idempotent,
        };
        assert_eq!(method.idempotency, expected, "{}", method.path);
        let retried = method.retry != RetryPolicy::NEVER;
        assert_eq!(retried, expected != Idempotency::NotIdempotent, "{}", method.path);
        assert_eq!(method.kind, MethodKind::Unary, "{}", method.path);
    }
}

#[test]
fn placing_an_order_has_time_to_wait_for_the_outcome() {
    let place = CONTRACT.method("/shop.order.v1.OrderService/PlaceOrder").unwrap();
    assert!(place.timeout.as_secs() > 30, "`wait` may be 30 s");
}

#[test]
fn the_shops_reasons_are_the_shops() {
    assert_eq!(Reason::RequestIdReused.reason(), "REQUEST_ID_REUSED");
    assert_eq!(Reason::UserNotFound.domain(), "shop");
}

#[test]
fn a_password_is_never_shown() {
    let login = LoginRequest { email: "a@b".to_owned(), password: "hush".to_owned() };
    assert_eq!(format!("{login:?}"), "LoginRequest { email: \"a@b\", password: [redacted] }");
}
