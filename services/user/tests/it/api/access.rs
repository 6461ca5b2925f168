//! Access to every method for every kind of caller.

use gantry_contract::Actor;
use gantry_identity::{Acting, ServiceSigner, SigningKey};
use gantry_proto::shop::user::v1::ListUsersRequest;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::{Client, Running, new, new_id};

/// Returns "OK", or the reason of a refusal.
fn outcome<T>(answer: Result<T, Status>) -> String {
    match answer {
        Ok(_) => "OK".to_owned(),
        Err(status) => {
            let reason = status.get_details_error_info().expect("a reason").reason;
            let code = match reason.as_str() {
                "TOKEN_MISSING" | "TOKEN_INVALID" => Code::Unauthenticated,
                _ => Code::PermissionDenied,
            };
            assert_eq!(status.code(), code, "{status:?}");
            reason
        }
    }
}

/// Returns the outcome of each method for this caller: on their own user and on another one.
async fn outcomes(caller: &Client, own: &str, other: &str) -> [String; 4] {
    [
        outcome(caller.get(own).await),
        outcome(caller.get(other).await),
        outcome(caller.list(ListUsersRequest::default()).await),
        outcome(caller.create(new(&format!("{}@example.org", new_id()))).await),
    ]
}

fn actor(id: &str, role: &str) -> Actor {
    Actor { subject: id.to_owned(), roles: vec![role.to_owned()] }
}

#[tokio::test]
async fn every_method_checks_its_caller() {
    let running = Running::start().await;
    let (ann, as_ann) = running.customer("ann@example.org").await;
    let (bob, _) = running.customer("bob@example.org").await;
    let itself = || Acting::Itself { cause: Some(actor(&ann.id, "user")) };
    let signed = |signer: &ServiceSigner, audience, acting| {
        running.with(signer.token(audience, acting).to_string())
    };
    let stranger = ServiceSigner::new("order", SigningKey::generate());

    let table = [
        ("anonymous", Client::new(&running.channel, None), ["TOKEN_MISSING"; 4]),
        ("a forger", running.with("x.y.z".to_owned()), ["TOKEN_INVALID"; 4]),
        ("a stranger", signed(&stranger, "user", itself()), ["TOKEN_INVALID"; 4]),
        (
            "a token for another service",
            signed(&running.signer("order"), "inventory", itself()),
            ["TOKEN_INVALID"; 4],
        ),
        ("an admin", running.admin().await, ["OK"; 4]),
        ("ann", as_ann, ["OK", "NOT_OWNER", "OK", "NOT_OWNER"]),
        (
            "order",
            running.order(itself()),
            ["OK", "OK", "PERMISSION_MISSING", "PERMISSION_MISSING"],
        ),
        (
            "order for ann",
            running.order(Acting::For(actor(&ann.id, "user"))),
            ["OK", "NOT_OWNER", "PERMISSION_MISSING", "PERMISSION_MISSING"],
        ),
        (
            "order for an admin",
            running.order(Acting::For(actor(&ann.id, "admin"))),
            ["OK", "OK", "PERMISSION_MISSING", "PERMISSION_MISSING"],
        ),
        (
            "order for a user without a role",
            running.order(Acting::For(actor(&ann.id, "none"))),
            ["PERMISSION_MISSING"; 4],
        ),
        (
            "a service without a grant",
            signed(&running.signer("inventory"), "user", itself()),
            ["PERMISSION_MISSING"; 4],
        ),
    ];
    for (name, caller, expected) in table {
        assert_eq!(outcomes(&caller, &ann.id, &bob.id).await, expected, "{name}");
    }
}

#[tokio::test]
async fn a_customer_lists_only_themselves() {
    let running = Running::start().await;
    let (ann, as_ann) = running.customer("ann@example.org").await;
    running.customer("bob@example.org").await;
    let request = ListUsersRequest { include_total: true, ..ListUsersRequest::default() };
    let listed = as_ann.list(request).await.unwrap();
    assert_eq!(listed.users, std::slice::from_ref(&ann));
    assert_eq!((listed.total_size, listed.next_page_token.as_str()), (Some(1), ""));
}

#[tokio::test]
async fn a_customer_cannot_probe_for_users() {
    let running = Running::start().await;
    let (_, as_ann) = running.customer("ann@example.org").await;
    let (bob, _) = running.customer("bob@example.org").await;
    let answer = |status: Status| (status.code(), status.message().to_owned());
    let (foreign, missing) = (as_ann.get(&bob.id).await, as_ann.get(&new_id()).await);
    assert_eq!(outcome(missing.clone()), "NOT_OWNER");
    assert_eq!(foreign.map_err(answer), missing.map_err(answer));
}
