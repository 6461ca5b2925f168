//! Who may do what: every method for every kind of caller.

use gantry_contract::Actor;
use gantry_identity::{Acting, ServiceSigner, SigningKey};
use gantry_proto::shop::user::v1::ListUsersRequest;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::{As, Running, new, new_id};

/// OK, or the reason of the refusal.
fn told<T>(answer: Result<T, Status>) -> String {
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

/// What each method says to this caller, about themselves and about somebody else.
async fn answers(caller: &As, own: &str, others: &str) -> [String; 4] {
    [
        told(caller.get(own).await),
        told(caller.get(others).await),
        told(caller.list(ListUsersRequest::default()).await),
        told(caller.create(new(&format!("{}@example.org", new_id()))).await),
    ]
}

fn actor(id: &str, role: &str) -> Actor {
    Actor { subject: id.to_owned(), roles: vec![role.to_owned()] }
}

#[tokio::test]
async fn every_method_knows_its_callers() {
    let running = Running::start().await;
    let (ann, as_ann) = running.customer("ann@example.org").await;
    let (bob, _) = running.customer("bob@example.org").await;
    let itself = || Acting::Itself { cause: Some(actor(&ann.id, "user")) };
    let signed = |signer: &ServiceSigner, audience, acting| {
        running.with(signer.token(audience, acting).to_string())
    };
    let stranger = ServiceSigner::new("order", SigningKey::generate());

    let table = [
        ("nobody", As::new(&running.channel, None), ["TOKEN_MISSING"; 4]),
        ("a forger", running.with("x.y.z".to_owned()), ["TOKEN_INVALID"; 4]),
        ("a stranger", signed(&stranger, "user", itself()), ["TOKEN_INVALID"; 4]),
        (
            "a token for another",
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
            "order for somebody without a role",
            running.order(Acting::For(actor(&ann.id, "none"))),
            ["PERMISSION_MISSING"; 4],
        ),
        (
            "a service without a grant",
            signed(&running.signer("inventory"), "user", itself()),
            ["PERMISSION_MISSING"; 4],
        ),
    ];
    for (who, caller, expected) in table {
        assert_eq!(answers(&caller, &ann.id, &bob.id).await, expected, "{who}");
    }
}

#[tokio::test]
async fn a_customer_lists_themselves_alone() {
    let running = Running::start().await;
    let (ann, as_ann) = running.customer("ann@example.org").await;
    running.customer("bob@example.org").await;
    let request = ListUsersRequest { include_total: true, ..ListUsersRequest::default() };
    let listed = as_ann.list(request).await.unwrap();
    assert_eq!(listed.users, std::slice::from_ref(&ann));
    assert_eq!((listed.total_size, listed.next_page_token.as_str()), (Some(1), ""));
}

#[tokio::test]
async fn a_customer_cannot_learn_who_is_there() {
    let running = Running::start().await;
    let (_, as_ann) = running.customer("ann@example.org").await;
    let (bob, _) = running.customer("bob@example.org").await;
    let said = |status: Status| (status.code(), status.message().to_owned());
    let (foreign, missing) = (as_ann.get(&bob.id).await, as_ann.get(&new_id()).await);
    assert_eq!(told(missing.clone()), "NOT_OWNER");
    assert_eq!(foreign.map_err(said), missing.map_err(said));
}
