//! Mistakes of callers. Each gets a precise status with its reason, and leaves no partial write.

use gantry_proto::shop::{
    inventory::v1::{BatchGetProductsRequest, ListProductsRequest},
    order::v1::{ListOrdersRequest, OrderStatus, RejectReason},
    user::v1::{GetUserRequest, ListUsersRequest},
};
use tonic::{Code, Request, Status};
use tonic_types::StatusExt;

use crate::{
    process::Suite,
    shop::{PASSWORD, Shop, bearer, id, new_order, new_product, new_user},
};

/// Returns the code and the reason of a failed call.
fn why<T: std::fmt::Debug>(result: Result<T, Status>) -> (Code, String) {
    let status = result.expect_err("a refusal");
    let reason = status.get_details_error_info().expect("an ErrorInfo").reason;
    (status.code(), reason)
}

/// Returns the fields that the status of a failed call names.
fn fields<T: std::fmt::Debug>(result: Result<T, Status>) -> Vec<String> {
    let status = result.expect_err("a refusal");
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    let details = status.get_details_bad_request().expect("a BadRequest");
    details.field_violations.into_iter().map(|violation| violation.field).collect()
}

fn is(code: Code, reason: &str) -> (Code, String) {
    (code, reason.to_owned())
}

#[tokio::test]
async fn each_mistake_has_a_status_and_a_reason_of_its_own() {
    let suite = Suite::start(&[]);
    let shop = Shop::open(&suite).await;
    let customer = shop.customer().await;
    let product = shop.product(5).await;
    let (mut users, mut inventory, mut orders) =
        (shop.users.clone(), shop.inventory.clone(), shop.orders.clone());

    // Items of an order.
    let unknown = shop.draft(&customer, &[("no-such-sku", 1)]).await;
    assert_eq!(why(unknown), is(Code::NotFound, "PRODUCT_NOT_FOUND"));
    let nothing = shop.draft(&customer, &[(&product.sku, 0)]).await;
    assert_eq!(fields(nothing), ["items[0].quantity"]);
    assert_eq!(fields(shop.draft(&customer, &[]).await), ["items"]);
    let request = bearer(new_order(&id(), &[(&product.sku, 1)]), &shop.admin);
    assert_eq!(why(orders.create_order(request).await), is(Code::NotFound, "USER_NOT_FOUND"));
    let mut request = new_order("not-an-id", &[("", 0)]);
    request.request_id = "neither".to_owned();
    let many = fields(orders.create_order(bearer(request, &customer.token)).await);
    assert_eq!(many, ["user_id", "items[0].sku", "items[0].quantity", "request_id"]);

    // Ids of resources, and callers.
    let request = GetUserRequest { id: "1".to_owned() };
    assert_eq!(fields(users.get_user(bearer(request, &shop.admin)).await), ["id"]);
    let request = GetUserRequest { id: id() };
    let nobody = users.get_user(bearer(request, &shop.admin)).await;
    assert_eq!(why(nobody), is(Code::NotFound, "USER_NOT_FOUND"));
    let request = new_user(&customer.user.email.to_uppercase());
    let taken = users.create_user(bearer(request, &shop.admin)).await;
    assert_eq!(why(taken), is(Code::AlreadyExists, "EMAIL_TAKEN"));
    for (email, password) in
        [(customer.user.email.as_str(), "wrong"), ("nobody@example.com", PASSWORD)]
    {
        let refused = shop.log_in(email, password).await;
        assert_eq!(why(refused), is(Code::Unauthenticated, "BAD_CREDENTIALS"));
    }
    let request = Request::new(GetUserRequest { id: customer.user.id.clone() });
    assert_eq!(why(users.get_user(request).await), is(Code::Unauthenticated, "TOKEN_MISSING"));
    let request = bearer(GetUserRequest { id: customer.user.id.clone() }, "not.a.token");
    assert_eq!(why(users.get_user(request).await), is(Code::Unauthenticated, "TOKEN_INVALID"));
    let request = bearer(new_product("X", 1), &customer.token);
    let forbidden = inventory.create_product(request).await;
    assert_eq!(why(forbidden), is(Code::PermissionDenied, "PERMISSION_MISSING"));

    // Resources of another user.
    let order = shop.draft(&customer, &[(&product.sku, 1)]).await.unwrap();
    let stranger = shop.customer().await;
    let theirs = shop.place(&stranger, &order).await;
    assert_eq!(why(theirs), is(Code::PermissionDenied, "NOT_OWNER"));
    let request = bearer(new_order(&customer.user.id, &[(&product.sku, 1)]), &stranger.token);
    let theirs = orders.create_order(request).await;
    assert_eq!(why(theirs), is(Code::PermissionDenied, "NOT_OWNER"));
    let listed = orders.list_orders(bearer(ListOrdersRequest::default(), &stranger.token)).await;
    assert_eq!(listed.unwrap().into_inner().orders, []);
    let request = ListUsersRequest { include_total: true, ..ListUsersRequest::default() };
    let listed = users.list_users(bearer(request, &stranger.token)).await.unwrap().into_inner();
    assert_eq!((listed.users, listed.total_size), (vec![stranger.user], Some(1)));

    // Pages.
    let request =
        ListProductsRequest { page_size: -1, page_token: "x".into(), include_total: false };
    let fields_named = fields(inventory.list_products(bearer(request, &shop.admin)).await);
    assert!(fields_named.contains(&"page_size".to_owned()), "{fields_named:?}");
    let request = ListProductsRequest { page_token: "forged".into(), ..Default::default() };
    assert_eq!(fields(inventory.list_products(bearer(request, &shop.admin)).await), ["page_token"]);

    // No mistake changed the stock or left an order.
    assert_eq!(shop.stock(&product.sku).await, (5, 0));
    let listed = orders.list_orders(bearer(ListOrdersRequest::default(), &customer.token)).await;
    assert_eq!(listed.unwrap().into_inner().orders, [order]);
    assert!(!suite.process.log().contains("panicked"), "{}", suite.process.log());
    assert!(!suite.process.log().contains(&customer.user.email), "an address in the log");
}

#[tokio::test]
async fn violations_beyond_the_header_limit_are_counted() {
    let suite = Suite::start(&[]);
    let shop = Shop::open(&suite).await;
    let request = new_order(&id(), &[("", 0); 100]);
    let refused = shop.orders.clone().create_order(bearer(request, &shop.admin)).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    // 4 KiB as base64.
    assert!(refused.details().len() <= 3072, "{}", refused.details().len());
    let mut told = refused.get_details_bad_request().unwrap().field_violations;
    let rest = told.pop().unwrap();
    let rest = rest.description.strip_prefix("and ").and_then(|rest| rest.strip_suffix(" more"));
    assert_eq!(told.len() + rest.unwrap().parse::<usize>().unwrap(), 200);
    let fields = told.into_iter().map(|violation| violation.field);
    let expected =
        (0..100).flat_map(|item| ["sku", "quantity"].map(|f| format!("items[{item}].{f}")));
    assert!(fields.len() > 20 && fields.zip(expected).all(|(told, expected)| told == expected));
}

#[tokio::test]
async fn a_message_over_the_limit_is_rejected_and_others_are_served() {
    let suite = Suite::start(&[]);
    let shop = Shop::open(&suite).await;
    let request = BatchGetProductsRequest { skus: vec!["x".repeat(64); 80_000] };
    let refused = shop.inventory.clone().batch_get_products(bearer(request, &shop.admin)).await;
    assert_eq!(why(refused), is(Code::ResourceExhausted, "MESSAGE_TOO_LARGE"));
    shop.product(1).await;
}

#[tokio::test]
async fn a_repeated_request_is_one_and_a_reused_id_is_rejected() {
    let suite = Suite::start(&[]);
    let shop = Shop::open(&suite).await;
    let mut users = shop.users.clone();
    let request = new_user("twice@example.com");
    let first = users.create_user(bearer(request.clone(), &shop.admin)).await.unwrap();
    let again = users.create_user(bearer(request.clone(), &shop.admin)).await.unwrap();
    assert_eq!(first.into_inner(), again.into_inner());
    let other = bearer(
        gantry_proto::shop::user::v1::CreateUserRequest { name: "Another".to_owned(), ..request },
        &shop.admin,
    );
    assert_eq!(why(users.create_user(other).await), is(Code::AlreadyExists, "REQUEST_ID_REUSED"));
}

#[tokio::test]
async fn a_rejected_order_leaves_the_stock_as_it_was() {
    let suite = Suite::start(&[]);
    let shop = Shop::open(&suite).await;
    let customer = shop.customer().await;
    let (plenty, scarce) = (shop.product(100).await, shop.product(2).await);
    let order = shop.draft(&customer, &[(&plenty.sku, 10), (&scarce.sku, 3)]).await.unwrap();
    let order = shop.place(&customer, &order).await.unwrap();
    assert_eq!(order.status(), OrderStatus::Rejected);
    assert_eq!(order.reject_reason(), RejectReason::InsufficientStock);
    assert_eq!(shop.stock(&plenty.sku).await, (100, 0));
    assert_eq!(shop.stock(&scarce.sku).await, (2, 0));
}
