//! Rules that hold for every method of the shop.

use std::{collections::BTreeMap, fmt::Debug};

use gantry_contract::{Idempotency, MethodKind, RateClass, Reason as _, Repeats};
use gantry_contract_fuzz::Fuzz;
use gantry_proto::{
    CONTRACT, EVENTS,
    google::r#type::PostalAddress,
    shop::{
        errors::v1::Reason,
        order::v1::{CreateOrderRequest, Order, PlaceOrderRequest},
        user::v1::{CreateUserRequest, ListUsersResponse, LoginRequest, TokenPair, User},
    },
};
use prost::Message as _;
use prost_types::FileDescriptorSet;

#[test]
fn every_service_is_in_the_contract() {
    let mut names: Vec<_> = CONTRACT.services.iter().map(|service| service.name).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "gantry.operator.v1.Sagas",
            "shop.inventory.v1.InventoryService",
            "shop.order.v1.OrderService",
            "shop.user.v1.AuthService",
            "shop.user.v1.UserService",
        ]
    );
}

#[test]
fn all_methods_of_the_shop_but_login_can_be_repeated() {
    let shop = CONTRACT.methods().filter(|method| method.path.starts_with("/shop."));
    for method in shop {
        let name = method.path.rsplit('/').next().unwrap();
        let reads = ["Get", "List", "BatchGet"].iter().any(|verb| name.starts_with(verb));
        let expected = match name {
            "Login" => Idempotency::NotIdempotent,
            _ if reads => Idempotency::NoSideEffects,
            _ => Idempotency::Idempotent,
        };
        assert_eq!(method.idempotency, expected, "{}", method.path);
        let retried = method.repeats != Repeats::Never;
        assert_eq!(retried, expected != Idempotency::NotIdempotent, "{}", method.path);
        assert_eq!(method.kind, MethodKind::Unary, "{}", method.path);
    }
}

#[test]
fn expensive_methods_have_a_rate_class() {
    let classes = CONTRACT.methods().filter_map(|method| {
        let RateClass { name, per_second, burst } = *method.rate_class?;
        Some((method.path.rsplit('/').next().unwrap(), (name, per_second, burst)))
    });
    assert_eq!(
        classes.collect::<BTreeMap<_, _>>(),
        BTreeMap::from([
            ("CommitReservation", ("writes", 50.0, 250)),
            ("CreateOrder", ("orders", 20.0, 100)),
            ("CreateProduct", ("writes", 50.0, 250)),
            ("CreateUser", ("sign_up", 50.0, 250)),
            ("ListOrders", ("lists", 100.0, 200)),
            ("ListProducts", ("lists", 100.0, 200)),
            ("ListUsers", ("lists", 100.0, 200)),
            ("Login", ("login", 5.0, 20)),
            ("PlaceOrder", ("orders", 20.0, 100)),
            ("ReleaseReservation", ("writes", 50.0, 250)),
            ("ReserveStock", ("writes", 50.0, 250)),
        ])
    );
}

#[test]
fn placing_an_order_has_time_to_wait_for_the_outcome() {
    let place = CONTRACT.method("/shop.order.v1.OrderService/PlaceOrder").unwrap();
    assert!(place.timeout.as_secs() > 30, "`wait` may be 30 s");
}

#[test]
fn reasons_belong_to_the_domain_shop() {
    assert_eq!(Reason::RequestIdReused.reason(), "REQUEST_ID_REUSED");
    assert_eq!(Reason::UserNotFound.domain(), "shop");
}

#[test]
fn no_message_shows_a_secret_or_personal_data() {
    let hush = || "hush".to_owned();
    let address = || Some(PostalAddress { recipients: vec![hush()], ..PostalAddress::default() });
    let login = LoginRequest { email: hush(), password: hush() };
    assert_eq!(format!("{login:?}"), "LoginRequest { email: [redacted], password: [redacted] }");
    let tokens = TokenPair { access_token: hush(), refresh_token: hush(), expires_in: 900 };
    let create_user = CreateUserRequest {
        email: hush(),
        name: hush(),
        password: hush(),
        ..CreateUserRequest::default()
    };
    let user = User { email: hush(), name: hush(), ..User::default() };
    let users = ListUsersResponse { users: vec![user.clone()], ..ListUsersResponse::default() };
    let create_order =
        CreateOrderRequest { shipping_address: address(), ..CreateOrderRequest::default() };
    let place_order = PlaceOrderRequest {
        payment_token: hush(),
        shipping_address: address(),
        ..PlaceOrderRequest::default()
    };
    let order = Order { shipping_address: address(), ..Order::default() };
    let messages: [&dyn Debug; 7] =
        [&tokens, &create_user, &user, &users, &create_order, &place_order, &order];
    for message in messages {
        let shown = format!("{message:?}");
        assert!(shown.contains("[redacted]") && !shown.contains("hush"), "{shown}");
    }
}

/// Returns the type of the event with this payload: `user.roles_changed` for `UserRolesChanged`.
fn event_type(message: &str) -> String {
    let mut kind = String::new();
    for letter in message.chars() {
        let separator = if kind.contains('.') { '_' } else { '.' };
        if letter.is_ascii_uppercase() && !kind.is_empty() {
            kind.push(separator);
        }
        kind.push(letter.to_ascii_lowercase());
    }
    kind
}

#[test]
fn every_payload_has_a_type_of_its_name() {
    let fuzz = Fuzz::new(CONTRACT.descriptor_set).unwrap();
    let mut messages = fuzz.messages("shop.events.v1");
    messages.sort_unstable();
    let listed: Vec<_> = EVENTS.iter().map(|event| event.schema).collect();
    assert_eq!(listed, messages, "left: the list, right: the contract");
    for event in EVENTS {
        let message = event.schema.strip_prefix("shop.events.v1.").unwrap();
        assert_eq!(event.kind, event_type(message));
    }
}

#[test]
fn payloads_have_ids_totals_and_statuses_only() {
    let set = FileDescriptorSet::decode(CONTRACT.descriptor_set).unwrap();
    let events = set.file.iter().filter(|file| file.package() == "shop.events.v1");
    for message in events.flat_map(|file| &file.message_type) {
        for field in &message.field {
            let harmless = ["total", "status", "reason", "tier", "roles", "etag", "items"];
            let allowed = field.name().ends_with("_id") || harmless.contains(&field.name());
            assert!(allowed, "{}.{}", message.name(), field.name());
        }
    }
}

#[test]
fn the_api_reference_is_up_to_date() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/API.md");
    let there = std::fs::read_to_string(path).unwrap_or_default();
    let equal = there == gantry_proto::REFERENCE;
    assert!(
        equal,
        "docs/API.md is older than the contract: cargo run -- contract reference > docs/API.md"
    );
}
