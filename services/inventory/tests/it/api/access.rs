//! Who may do what: every method for every kind of caller.

use gantry_identity::{Acting, ServiceSigner, SigningKey};
use gantry_proto::shop::inventory::v1::{
    BatchGetProductsRequest, CommitReservationRequest, GetProductRequest, ListProductsRequest,
    ReleaseReservationRequest,
};
use tonic::{Code, Request, Status};

use super::{Running, create, id, new_id, refusal, reserve, with_token};

/// What each method says to a caller who brings this token, or none.
async fn answers(
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
        Some(token) => with_token(token, message),
        None => Request::new(message),
    }
}

/// How many of the methods only read; they come first.
const READING: usize = 3;

#[tokio::test]
async fn every_method_knows_its_callers() {
    let running = Running::start().await;
    running.stock("a", 100).await;
    let order = |acting| running.order.token("inventory", acting).to_string();
    let nobody = ServiceSigner::new("nobody", SigningKey::generate());
    let stranger = nobody.token("inventory", Acting::Itself { cause: None }).to_string();

    let all: usize = 7;
    for (caller, token, allowed, code, reason) in [
        ("nobody", None, 0, Code::Unauthenticated, "TOKEN_MISSING"),
        ("a forger", Some("x.y.z".to_owned()), 0, Code::Unauthenticated, "TOKEN_INVALID"),
        ("a service nobody trusts", Some(stranger), 0, Code::Unauthenticated, "TOKEN_INVALID"),
        (
            "a customer",
            Some(running.token("user")),
            READING,
            Code::PermissionDenied,
            "PERMISSION_MISSING",
        ),
        ("an admin", Some(running.token("admin")), all, Code::Ok, ""),
        ("order", Some(order(Acting::Itself { cause: None })), all, Code::Ok, ""),
    ] {
        for (index, (method, answer)) in
            answers(&running, token.as_deref()).await.into_iter().enumerate()
        {
            if index < allowed {
                // The last one is about a reservation that was released: not forbidden,
                // but past.
                let past = answer.as_ref().is_err_and(|s| s.code() == Code::FailedPrecondition);
                assert!(answer.is_ok() || past, "{caller} {method}: {answer:?}");
            } else {
                let (found, why, _) = refusal(answer);
                assert_eq!((found, &*why), (code, reason), "{caller} {method}");
            }
        }
    }
}

#[tokio::test]
async fn a_service_that_acts_for_a_customer_may_do_no_more_than_they() {
    let running = Running::start().await;
    running.stock("a", 100).await;
    let ann = gantry_contract::Actor { subject: "ann".to_owned(), roles: vec!["user".to_owned()] };
    let token = running.order.token("inventory", Acting::For(ann)).to_string();
    for (index, (method, answer)) in answers(&running, Some(&token)).await.into_iter().enumerate() {
        if index < READING {
            assert!(answer.is_ok(), "{method}: {answer:?}");
        } else {
            let (code, reason, _) = refusal(answer);
            assert_eq!(
                (code, &*reason),
                (Code::PermissionDenied, "PERMISSION_MISSING"),
                "{method}"
            );
        }
    }
}
