//! Access to every method for every kind of caller.

use gantry_contract::Actor;
use gantry_identity::{Acting, ServiceSigner, SigningKey};
use gantry_proto::shop::inventory::v1::{
    BatchGetProductsRequest, CommitReservationRequest, GetProductRequest, ListProductsRequest,
    ReleaseReservationRequest,
};
use tonic::{Code, Request, Status};

use super::{Running, bearer, create, id, new_id, refusal, reserve};

/// Calls each method with this token, or without one. Returns the results by method.
async fn results(
    running: &Running,
    token: Option<&str>,
) -> Vec<(&'static str, Result<(), Status>)> {
    let mut client = running.client.clone();
    let sku = "a".to_owned();
    let (reservation_id, request_id) = (new_id(), new_id());
    let batch = BatchGetProductsRequest { skus: vec![sku.clone()] };
    let commit = CommitReservationRequest {
        reservation_id: reservation_id.clone(),
        request_id: request_id.clone(),
    };
    let release = ReleaseReservationRequest { reservation_id, request_id };
    macro_rules! call {
        ($method:ident, $message:expr) => {
            (stringify!($method), client.$method(request($message, token)).await.map(drop))
        };
    }
    vec![
        call!(get_product, GetProductRequest { sku }),
        call!(batch_get_products, batch),
        call!(list_products, ListProductsRequest::default()),
        call!(create_product, create(&new_id(), 1)),
        call!(reserve_stock, reserve(id(), &[("a", 1)])),
        call!(release_reservation, release),
        call!(commit_reservation, commit),
    ]
}

fn request<T>(message: T, token: Option<&str>) -> Request<T> {
    match token {
        Some(token) => bearer(token, message),
        None => Request::new(message),
    }
}

/// Permissions with the number of methods that need them, in the order of [`results`].
const PERMISSIONS: [(&str, usize); 3] =
    [("products:read", 3), ("products:write", 1), ("reservations:write", 3)];

/// Returns the permission that the method at this index needs.
fn permission(index: usize) -> &'static str {
    let mut left = index;
    for (permission, methods) in PERMISSIONS {
        if left < methods {
            return permission;
        }
        left -= methods;
    }
    unreachable!("there are seven methods")
}

async fn expect(running: &Running, caller: &str, token: Option<&str>, may: &[&str]) {
    for (index, (method, answer)) in results(running, token).await.into_iter().enumerate() {
        if may.contains(&permission(index)) {
            // The last method commits a reservation that is released: permitted, but too late.
            let late = answer.as_ref().is_err_and(|s| s.code() == Code::FailedPrecondition);
            assert!(answer.is_ok() || late, "{caller} {method}: {answer:?}");
        } else {
            let (status, reason) = refusal(answer);
            let expected = (Code::PermissionDenied, "PERMISSION_MISSING");
            assert_eq!((status.code(), &*reason), expected, "{caller} {method}");
        }
    }
}

#[tokio::test]
async fn every_method_checks_its_caller() {
    let running = Running::start().await;
    running.stock("a", 100).await;
    let order = running.order.token("inventory", Acting::Itself { cause: None }).to_string();
    let untrusted = ServiceSigner::new("stranger", SigningKey::generate());
    let stranger = untrusted.token("inventory", Acting::Itself { cause: None }).to_string();
    for (caller, token, reason) in [
        ("anonymous", None, "TOKEN_MISSING"),
        ("a forger", Some("x.y.z"), "TOKEN_INVALID"),
        ("an untrusted service", Some(&*stranger), "TOKEN_INVALID"),
    ] {
        for (method, answer) in results(&running, token).await {
            let (status, found) = refusal(answer);
            assert_eq!(
                (status.code(), &*found),
                (Code::Unauthenticated, reason),
                "{caller} {method}"
            );
        }
    }
    let (customer, admin) = (running.token("user"), running.token("admin"));
    expect(&running, "a customer", Some(&customer), &["products:read"]).await;
    expect(&running, "an admin", Some(&admin), &["products:read", "products:write"]).await;
    expect(&running, "order", Some(&order), &["products:read", "reservations:write"]).await;
}

#[tokio::test]
async fn acting_for_a_user_needs_both_permissions() {
    let running = Running::start().await;
    running.stock("a", 100).await;
    for role in ["user", "admin"] {
        let actor = Actor { subject: "ann".to_owned(), roles: vec![role.to_owned()] };
        let token = running.order.token("inventory", Acting::For(actor)).to_string();
        expect(&running, role, Some(&token), &["products:read"]).await;
    }
}
