//! GetOrder and ListOrders.

use gantry_contract::page;
use gantry_proto::shop::order::v1::{
    GetOrderRequest, ListOrdersRequest, ListOrdersResponse, PlaceOrderRequest,
};
use tonic::{Code, Request, Response, Status};
use tonic_types::StatusExt;
use uuid::Uuid;

use super::{ADMIN, ANN, BOB, Running, create, new_id, place, refused, wrong_fields};

impl Running {
    async fn list(
        &self,
        user: Uuid,
        message: ListOrdersRequest,
    ) -> Result<ListOrdersResponse, Status> {
        let request = self.by(user, message);
        self.client.clone().list_orders(request).await.map(Response::into_inner)
    }
}

fn ids(page: &ListOrdersResponse) -> Vec<&str> {
    page.orders.iter().map(|order| order.id.as_str()).collect()
}

#[tokio::test]
async fn an_order_is_shown_to_its_owner_and_to_admins() {
    let running = Running::start().await;
    let order = running.draft(&[("mug", 1)]).await;
    assert_eq!(running.get_by(ANN, &order.id).await.unwrap(), order);
    assert_eq!(running.get_by(ADMIN, &order.id).await.unwrap(), order);
    refused(running.get_by(BOB, &order.id), Code::PermissionDenied, "NOT_OWNER").await;
    refused(running.get_by(ADMIN, &new_id()), Code::NotFound, "ORDER_NOT_FOUND").await;
    let malformed = running.get_by(ANN, "1");
    refused(malformed, Code::InvalidArgument, "VALIDATION_FAILED").await;
    let anonymous = Request::new(GetOrderRequest { id: order.id });
    let mut client = running.client.clone();
    refused(client.get_order(anonymous), Code::Unauthenticated, "TOKEN_MISSING").await;
}

#[tokio::test]
async fn unknown_and_foreign_orders_are_refused_alike() {
    let running = Running::start().await;
    let order = running.draft(&[("mug", 1)]).await;
    let get = async |id: &str| running.get_by(BOB, id).await.unwrap_err();
    let place = async |id: &str| {
        let request = PlaceOrderRequest { id: id.to_owned(), ..place(&order) };
        running.place_by(BOB, request).await.unwrap_err()
    };
    let answer = |status: &Status| {
        let info = status.get_details_error_info().unwrap();
        (status.code(), status.message().to_owned(), info.reason, info.metadata)
    };
    let unknown = new_id();
    let (foreign, missing) = (get(&order.id).await, get(&unknown).await);
    assert_eq!(foreign.code(), Code::PermissionDenied);
    assert_eq!(answer(&foreign), answer(&missing));
    assert_eq!(answer(&place(&order.id).await), answer(&place(&unknown).await));
}

#[tokio::test]
async fn a_user_lists_their_own_orders_and_an_admin_all() {
    let running = Running::start().await;
    let mut made = Vec::new();
    for user in [ANN, BOB, ANN, ANN] {
        made.insert(0, running.create_by(user, create(user, &[("mug", 1)])).await.unwrap());
    }
    let all = || ListOrdersRequest { include_total: true, ..ListOrdersRequest::default() };
    let page = running.list(ADMIN, all()).await.unwrap();
    assert_eq!(page.orders, made);
    assert_eq!((page.total_size, page.next_page_token.as_str()), (Some(4), ""));

    made.retain(|order| order.user_id == ANN.to_string());
    let two = ListOrdersRequest { page_size: 2, ..all() };
    let first = running.list(ANN, two.clone()).await.unwrap();
    assert_eq!(first.orders, made[..2]);
    assert_eq!(first.total_size, Some(3));
    let next = ListOrdersRequest { page_token: first.next_page_token.clone(), ..two };
    let second = running.list(ANN, next).await.unwrap();
    assert_eq!(second.orders, made[2..]);
    assert_eq!(second.next_page_token, "");

    // A page token grants nothing: with Ann's, Bob gets his own orders.
    let next = ListOrdersRequest { page_token: first.next_page_token, ..Default::default() };
    let bobs = running.list(BOB, next).await.unwrap();
    assert_eq!((ids(&bobs).len(), bobs.total_size), (1, None));
}

#[tokio::test]
async fn a_foreign_page_token_is_refused() {
    let running = Running::start().await;
    for token in ["x", &*page::token("shop.order.v1.Order", "mug")] {
        let request = ListOrdersRequest { page_token: token.to_owned(), ..Default::default() };
        let call = running.list(ANN, request);
        let status = refused(call, Code::InvalidArgument, "VALIDATION_FAILED").await;
        assert_eq!(wrong_fields(&status), ["page_token"]);
    }
}
