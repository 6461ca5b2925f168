//! CreateOrder.

use gantry_contract::Caller;
use gantry_proto::shop::{
    order::v1::{CreateOrderRequest, ListOrdersRequest, OrderItem, OrderStatus},
    user::v1::{Tier, UserStatus},
};
use tonic::{Code, Request};
use tonic_types::StatusExt;
use uuid::Uuid;

use super::{
    ADMIN, ANN, BOB, Running, address, ann, create, euros, fakes::Behavior, new_id, place, refused,
    wrong_fields,
};

/// Returns the number of orders.
async fn orders(running: &Running) -> i32 {
    let request = ListOrdersRequest { include_total: true, ..ListOrdersRequest::default() };
    let request = running.by(ADMIN, request);
    running.client.clone().list_orders(request).await.unwrap().into_inner().total_size()
}

#[tokio::test]
async fn a_draft_is_priced_from_the_catalogue_without_tax() {
    let running = Running::start().await;
    let request = CreateOrderRequest {
        shipping_address: address("de"),
        ..create(ANN, &[("mug", 2), ("pen", 3), ("mug", 1)])
    };
    let order = running.create(request).await.unwrap();
    assert_eq!((order.status(), order.user_id.as_str()), (OrderStatus::Draft, &*ANN.to_string()));
    let lines: Vec<_> = order
        .items
        .iter()
        .map(|item| (item.sku.as_str(), item.quantity, item.line_total.clone().unwrap()))
        .collect();
    // Items of the same SKU become one line.
    assert_eq!(lines, [("mug", 3, euros(30, 0)), ("pen", 3, euros(3, 150_000_000))]);
    assert_eq!(order.subtotal, Some(euros(33, 150_000_000)));
    // 10 % of each line: 3.00 and 0.315, half to even.
    assert_eq!(order.discount, Some(euros(3, 320_000_000)));
    assert_eq!(order.tax, Some(euros(0, 0)));
    assert_eq!(order.total, Some(euros(29, 830_000_000)));
    assert_eq!(order.shipping_address.as_ref().unwrap().region_code, "DE");
    assert!(!order.etag.is_empty());
    assert_eq!(order.create_time, order.update_time);
    assert_eq!(running.get_by(ANN, &order.id).await.unwrap(), order);
}

#[tokio::test]
async fn open_drafts_are_limited_per_user() {
    let running = Running::start().await;
    let request = create(ANN, &[("pen", 1)]);
    let first = running.create(request.clone()).await.unwrap();
    for _ in 1..100 {
        running.draft(&[("pen", 1)]).await;
    }
    let one_more = || running.create(create(ANN, &[("pen", 1)]));
    let status = refused(one_more(), Code::ResourceExhausted, "TOO_MANY_DRAFTS").await;
    assert_eq!(status.get_details_error_info().unwrap().metadata["max"], "100");
    assert_eq!(orders(&running).await, 100);
    // A repetition creates no draft, each user has a limit of their own, and a placed order is not a
    // draft.
    assert_eq!(running.create(request).await.unwrap(), first);
    running.create_by(BOB, create(BOB, &[("pen", 1)])).await.unwrap();
    running.place(place(&first)).await.unwrap();
    one_more().await.unwrap();
    refused(one_more(), Code::ResourceExhausted, "TOO_MANY_DRAFTS").await;
}

#[tokio::test]
async fn the_discount_goes_by_the_users_tier() {
    let running = Running::start().await;
    for (tier, discount) in [(Tier::Regular, 1), (Tier::Premium, 2), (Tier::Vip, 3)] {
        running.users.put(ANN, tier, UserStatus::Active);
        let order = running.draft(&[("mug", 1)]).await;
        assert_eq!(order.discount, Some(euros(discount, 0)), "{tier:?}");
    }
}

#[tokio::test]
async fn other_services_are_called_on_behalf_of_the_user() {
    let running = Running::start().await;
    running.draft(&[("mug", 1)]).await;
    let for_ann = Caller::Delegate { service: "order".to_owned(), actor: ann() };
    assert_eq!(running.users.callers(), std::slice::from_ref(&for_ann));
    assert_eq!(running.inventory.callers(), [for_ann]);
}

#[tokio::test]
async fn a_repeated_request_creates_one_order() {
    let running = Running::start().await;
    let request = create(ANN, &[("mug", 1)]);
    let first = running.create(request.clone()).await.unwrap();
    assert_eq!(running.create(request.clone()).await.unwrap(), first);
    assert_eq!(orders(&running).await, 1);

    let other = CreateOrderRequest { request_id: request.request_id, ..create(ANN, &[("pen", 1)]) };
    refused(running.create(other), Code::AlreadyExists, "REQUEST_ID_REUSED").await;
}

#[tokio::test]
async fn concurrent_repetitions_create_one_order() {
    let running = Running::start().await;
    let request = create(ANN, &[("mug", 1)]);
    let again = || running.create(request.clone());
    let all = tokio::join!(again(), again(), again(), again());
    let id = all.0.unwrap().id;
    for order in [all.1, all.2, all.3] {
        assert_eq!(order.unwrap().id, id);
    }
    assert_eq!(orders(&running).await, 1);
}

#[tokio::test]
async fn only_an_admin_creates_orders_for_others() {
    let running = Running::start().await;
    let for_bob = || create(BOB, &[("mug", 1)]);
    refused(running.create(for_bob()), Code::PermissionDenied, "NOT_OWNER").await;
    assert_eq!(orders(&running).await, 0);
    let order = running.create_by(ADMIN, for_bob()).await.unwrap();
    assert_eq!(order.user_id, BOB.to_string());
    assert_eq!(order.discount, Some(euros(3, 0)), "Bob's tier counts");
}

#[tokio::test]
async fn unknown_users_and_products_are_named() {
    let running = Running::start().await;
    let unknown = Uuid::from_u128(1);
    let call = running.create_by(ADMIN, create(unknown, &[("mug", 1)]));
    let status = refused(call, Code::NotFound, "USER_NOT_FOUND").await;
    let resource = status.get_details_resource_info().unwrap();
    assert_eq!(resource.resource_name, unknown.to_string());

    let call = running.create(create(ANN, &[("cup", 1), ("mug", 1), ("jug", 1)]));
    let status = refused(call, Code::NotFound, "PRODUCT_NOT_FOUND").await;
    assert_eq!(status.get_details_error_info().unwrap().metadata["skus"], "cup,jug");
    assert_eq!(orders(&running).await, 0);
}

#[tokio::test]
async fn violations_name_their_fields() {
    let running = Running::start().await;
    for (spoil, fields) in [
        ((|r| r.items.clear()) as fn(&mut CreateOrderRequest), vec!["items"]),
        (|r| r.items[0].quantity = 0, vec!["items[0].quantity"]),
        (|r| r.items[0].quantity = 1_000_001, vec!["items[0].quantity"]),
        (|r| r.items[0].sku.clear(), vec!["items[0].sku"]),
        (|r| r.items = vec![r.items[0].clone(); 101], vec!["items"]),
        (|r| r.user_id = "ann".to_owned(), vec!["user_id"]),
        (|r| r.request_id.clear(), vec!["request_id"]),
        (|r| r.shipping_address = address("Germany"), vec!["shipping_address.region_code"]),
        (
            |r| {
                r.items = vec![r.items[0].clone(); 2];
                r.items[0].quantity = 600_000;
                r.items[1].quantity = 600_000;
            },
            vec!["items"],
        ),
        (
            |r| {
                r.items = vec![OrderItem { quantity: 600_000, ..r.items[0].clone() }; 2];
                r.shipping_address = address("Germany");
            },
            vec!["items", "shipping_address.region_code"],
        ),
    ] {
        let mut request = create(ANN, &[("mug", 1)]);
        spoil(&mut request);
        let status =
            refused(running.create(request), Code::InvalidArgument, "VALIDATION_FAILED").await;
        assert_eq!(wrong_fields(&status), fields);
    }
    assert_eq!(orders(&running).await, 0);
    assert_eq!(running.users.callers(), []);
}

#[tokio::test]
async fn a_call_without_a_token_is_refused() {
    let running = Running::start().await;
    let request = Request::new(create(ANN, &[("mug", 1)]));
    let mut client = running.client.clone();
    refused(client.create_order(request), Code::Unauthenticated, "TOKEN_MISSING").await;
}

#[tokio::test]
async fn mixed_currencies_and_huge_amounts_are_refused() {
    let running = Running::start().await;
    let dollars =
        gantry_proto::google::r#type::Money { currency_code: "USD".to_owned(), units: 5, nanos: 0 };
    running.inventory.put("cap", dollars, 10);
    let call = running.create(create(ANN, &[("mug", 1), ("cap", 1)]));
    refused(call, Code::FailedPrecondition, "CURRENCY_MISMATCH").await;

    running.inventory.put("yacht", euros(i64::MAX / 100, 0), 10);
    let call = running.create(create(ANN, &[("yacht", 2)]));
    refused(call, Code::FailedPrecondition, "AMOUNT_TOO_LARGE").await;
    assert_eq!(orders(&running).await, 0);
}

#[tokio::test]
async fn a_callee_that_does_not_respond_is_named() {
    let running = Running::start().await;
    let create = || running.create(create(ANN, &[("mug", 1)]));
    running.inventory.behave("batch", Behavior::Down);
    let status = refused(create(), Code::Unavailable, "NO_ENDPOINT").await;
    assert_eq!(status.get_details_error_info().unwrap().metadata["service"], "inventory");
    assert!(!format!("{status:?}").contains("10.0.0.7"), "{status:?}");

    running.inventory.behave("batch", Behavior::Broken);
    let status = refused(create(), Code::Internal, "INTERNAL").await;
    assert!(!format!("{status:?}").contains("10.0.0.7"), "{status:?}");
    assert!(status.get_details_request_info().is_some_and(|info| !info.request_id.is_empty()));

    running.users.behave(Behavior::Silent);
    let status = refused(create(), Code::DeadlineExceeded, "DEADLINE_EXCEEDED").await;
    // The timeout of GetUser (2 s) ends the call, not that of CreateOrder (10 s), which names no service.
    assert_eq!(status.get_details_error_info().unwrap().metadata["service"], "user");
    assert_eq!(orders(&running).await, 0);
}

#[tokio::test]
async fn a_missing_callee_is_named() {
    let mut running = Running::start().await;
    running.others.remove(0).stop().await;
    let call = running.create(create(ANN, &[("mug", 1)]));
    let status = refused(call, Code::Unavailable, "NO_ENDPOINT").await;
    assert_eq!(status.get_details_error_info().unwrap().metadata["service"], "user");
}

#[tokio::test]
async fn request_ids_are_separate_for_each_caller() {
    let running = Running::start().await;
    let request_id = new_id();
    let of =
        |user| CreateOrderRequest { request_id: request_id.clone(), ..create(user, &[("mug", 1)]) };
    let ann = running.create_by(ANN, of(ANN)).await.unwrap();
    let bob = running.create_by(BOB, of(BOB)).await.unwrap();
    assert_ne!(ann.id, bob.id);
}
