//! Every rule of every request of the shop, with a valid and an invalid value.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use gantry_contract::Validate;
use gantry_proto::{
    google::r#type::Money,
    shop::{
        inventory::v1::{
            BatchGetProductsRequest, CommitReservationRequest, CreateProductRequest,
            GetProductRequest, ListProductsRequest, ReleaseReservationRequest, ReservationItem,
            ReserveStockRequest,
        },
        order::v1::{
            CreateOrderRequest, GetOrderRequest, ListOrdersRequest, OrderItem, PlaceOrderRequest,
        },
        user::v1::{CreateUserRequest, GetUserRequest, ListUsersRequest, LoginRequest},
    },
};
use prost_types::Duration;

const ID: &str = "018f4d6e-0000-7abc-8def-0123456789ab";

/// Returns the violations of a valid message after `change`.
fn wrong_with<M: Validate>(mut message: M, change: impl FnOnce(&mut M)) -> Vec<String> {
    assert!(message.check().is_ok());
    change(&mut message);
    let Err(violations) = message.check() else { return Vec::new() };
    violations.iter().map(|v| format!("{}: {}", v.field, v.description)).collect()
}

/// Asserts the violations of a valid message after each `field = value`.
macro_rules! values {
    ($message:expr; $($field:ident = $value:expr => $wrong:expr;)*) => {$(
        let wrong = wrong_with($message, |message| message.$field = $value);
        let expected: &[&str] = &$wrong;
        assert_eq!(wrong, expected, "{} = {}", stringify!($field), stringify!($value));
    )*};
}

#[test]
fn create_user() {
    let good = || CreateUserRequest {
        email: "ann@example.org".to_owned(),
        name: "Ann".to_owned(),
        password: "correct horse".to_owned(),
        request_id: ID.to_owned(),
    };
    values!(good();
        email = format!("{}@example.org", "a".repeat(242)) => [];
        email = format!("{}@example.org", "a".repeat(243)) => ["email: must have at most 254 characters"];
        email = "ann".to_owned() => ["email: must be an e-mail address"];
        email = String::new() => ["email: must be an e-mail address"];
        name = "Än".to_owned() => [];
        name = "A".to_owned() => ["name: must have at least 2 characters"];
        name = "ä".repeat(100) => [];
        name = "ä".repeat(101) => ["name: must have at most 100 characters"];
        password = "12345678".to_owned() => [];
        password = "1234567".to_owned() => ["password: must have at least 8 characters"];
        password = "ä".repeat(128) => [];
        password = "ä".repeat(513) => ["password: must have at most 512 characters"];
        request_id = ID.to_uppercase() => [];
        request_id = "1".to_owned() => ["request_id: must be a UUID"];
    );
}

#[test]
fn all_violations_of_a_request_are_reported() {
    let violations = CreateUserRequest::default().check().unwrap_err();
    let fields: Vec<_> = violations.iter().map(|violation| violation.field.as_str()).collect();
    assert_eq!(fields, ["email", "name", "password", "request_id"]);
}

#[test]
fn get_by_id() {
    values!(GetUserRequest { id: ID.to_owned() };
        id = "u1".to_owned() => ["id: must be a UUID"];
    );
    values!(GetOrderRequest { id: ID.to_owned() };
        id = String::new() => ["id: must be a UUID"];
    );
    values!(GetProductRequest { sku: "a".to_owned() };
        sku = String::new() => ["sku: must have at least 1 character"];
        sku = "a".repeat(64) => [];
        sku = "a".repeat(65) => ["sku: must have at most 64 characters"];
    );
}

#[test]
fn lists() {
    macro_rules! list {
        ($($request:ident),*) => {$(
            values!($request::default();
                page_size = 1_000_000 => [];
                page_size = -1 => ["page_size: must be at least 0"];
                page_token = "t".repeat(256) => [];
                page_token = "t".repeat(257) => ["page_token: must have at most 256 characters"];
            );
        )*};
    }
    list!(ListUsersRequest, ListOrdersRequest, ListProductsRequest);
}

#[test]
fn login() {
    let good = || LoginRequest { email: "a".to_owned(), password: "p".to_owned() };
    values!(good();
        email = String::new() => ["email: must have at least 1 character"];
        email = "e".repeat(255) => ["email: must have at most 254 characters"];
        password = String::new() => ["password: must have at least 1 character"];
        password = "p".repeat(513) => ["password: must have at most 512 characters"];
    );
}

#[test]
fn create_product() {
    let good = || CreateProductRequest {
        sku: "A-1_b.c".to_owned(),
        name: "Apple".to_owned(),
        price: Some(Money::default()),
        stock: 0,
        request_id: ID.to_owned(),
    };
    values!(good();
        sku = "a".repeat(64) => [];
        sku = "a".repeat(65) => ["sku: must have at most 64 characters"];
        sku = String::new() => ["sku: must have at least 1 character"];
        sku = "a b".to_owned() => ["sku: must match the pattern ^[A-Za-z0-9._-]*$"];
        sku = "a\n".to_owned() => ["sku: must match the pattern ^[A-Za-z0-9._-]*$"];
        name = String::new() => ["name: must have at least 1 character"];
        name = "ä".repeat(200) => [];
        name = "ä".repeat(201) => ["name: must have at most 200 characters"];
        price = None => ["price: is required"];
        stock = 1_000_000_000 => [];
        stock = 1_000_000_001 => ["stock: must be at most 1000000000"];
        stock = -1 => ["stock: must be at least 0"];
        request_id = String::new() => ["request_id: is required: a UUID that you generate"];
    );
}

#[test]
fn batch_get_products() {
    let skus = |count: usize| (0..count).map(|n| n.to_string()).collect::<Vec<_>>();
    values!(BatchGetProductsRequest { skus: skus(1) };
        skus = skus(100) => [];
        skus = skus(101) => ["skus: must have at most 100 items"];
        skus = skus(0) => ["skus: must have at least 1 item"];
        skus = vec!["a".to_owned(), "a".to_owned()] => ["skus[1]: must not repeat an earlier item"];
        skus = vec![String::new()] => ["skus[0]: must have at least 1 character"];
        skus = vec!["a".repeat(65)] => ["skus[0]: must have at most 64 characters"];
    );
}

#[test]
fn reservations() {
    let item = |sku: &str, quantity| ReservationItem { sku: sku.to_owned(), quantity };
    let good = || ReserveStockRequest {
        reservation_id: ID.to_owned(),
        items: vec![item("a", 1)],
        request_id: ID.to_owned(),
    };
    values!(good();
        reservation_id = String::new() => ["reservation_id: must be a UUID"];
        request_id = String::new() => ["request_id: is required: a UUID that you generate"];
        items = vec![] => ["items: must have at least 1 item"];
        items = vec![item("a", 1); 100] => [];
        items = vec![item("a", 1); 101] => ["items: must have at most 100 items"];
        items = vec![item("a", 1), item("", 1)] => ["items[1].sku: must have at least 1 character"];
        items = vec![item(&"a".repeat(65), 1)] => ["items[0].sku: must have at most 64 characters"];
        items = vec![item("a", 0)] => ["items[0].quantity: must be at least 1"];
        items = vec![item("a", 1_000_000)] => [];
        items = vec![item("a", 1_000_001)] => ["items[0].quantity: must be at most 1000000"];
    );
    values!(CommitReservationRequest { reservation_id: ID.to_owned(), request_id: ID.to_owned() };
        reservation_id = String::new() => ["reservation_id: must be a UUID"];
        request_id = String::new() => ["request_id: is required: a UUID that you generate"];
    );
    values!(ReleaseReservationRequest { reservation_id: ID.to_owned(), request_id: ID.to_owned() };
        reservation_id = String::new() => ["reservation_id: must be a UUID"];
        request_id = String::new() => ["request_id: is required: a UUID that you generate"];
    );
}

fn item(sku: &str, quantity: i32) -> OrderItem {
    OrderItem { sku: sku.to_owned(), quantity, ..OrderItem::default() }
}

#[test]
fn create_order() {
    let good = || CreateOrderRequest {
        user_id: ID.to_owned(),
        items: vec![item("a", 1)],
        shipping_address: None,
        request_id: ID.to_owned(),
    };
    values!(good();
        user_id = "u1".to_owned() => ["user_id: must be a UUID"];
        request_id = String::new() => ["request_id: is required: a UUID that you generate"];
        items = vec![] => ["items: must have at least 1 item"];
        items = vec![item("a", 1); 101] => ["items: must have at most 100 items"];
        items = vec![item("", 1)] => ["items[0].sku: must have at least 1 character"];
        items = vec![item(&"a".repeat(65), 1)] => ["items[0].sku: must have at most 64 characters"];
        items = vec![item("a", 1), item("b", 0)] => ["items[1].quantity: must be at least 1"];
        items = vec![item("a", 1_000_001)] => ["items[0].quantity: must be at most 1000000"];
    );
}

#[test]
fn place_order() {
    let good = || PlaceOrderRequest {
        id: ID.to_owned(),
        request_id: ID.to_owned(),
        ..PlaceOrderRequest::default()
    };
    let wait = |seconds, nanos| Some(Duration { seconds, nanos });
    values!(good();
        id = String::new() => ["id: must be a UUID"];
        request_id = String::new() => ["request_id: is required: a UUID that you generate"];
        payment_token = "t".repeat(256) => [];
        payment_token = "t".repeat(257) => ["payment_token: must have at most 256 characters"];
        etag = Some(String::new()) => [];
        etag = Some("e".repeat(65)) => ["etag: must have at most 64 characters"];
        wait = wait(0, 0) => [];
        wait = wait(30, 0) => [];
        wait = wait(30, 1) => ["wait: must be at most 30 s"];
        wait = wait(0, -1) => ["wait: must be at least 0 s"];
    );
}
