//! `CreateUser`.

use std::sync::{Arc, atomic::Ordering};

use gantry_contract::{Scope, idempotency::RequestKey};
use gantry_user::{
    application::{CreateUser, Registration, UserError},
    domain::{Email, Name, Password, Role, Status, UserId},
};
use uuid::Uuid;

use super::{ID, NOW, Ports};

fn create_user(ports: &Arc<Ports>) -> CreateUser {
    let ports = || ports.clone();
    CreateUser { users: ports(), hasher: ports(), clock: ports(), ids: ports() }
}

fn request(body: u8) -> RequestKey {
    RequestKey {
        subject: "admin".to_owned(),
        method: "/shop.user.v1.UserService/CreateUser",
        request_id: Uuid::nil(),
        fingerprint: [body; 32],
    }
}

fn registration(request: RequestKey) -> Registration {
    Registration {
        email: Email::try_new("bob@example.org").unwrap(),
        name: Name::try_new("Bob").unwrap(),
        password: Password::try_new("correct horse").unwrap(),
        request,
    }
}

#[tokio::test]
async fn a_new_user_gets_the_next_id_and_the_current_time() {
    let ports = Ports::new(Status::Active, None);
    let bob = create_user(&ports).run(registration(request(1)), &Scope::All).await.unwrap();
    assert_eq!((bob.id, bob.create_time), (UserId(ID), NOW));
    assert_eq!(bob.roles, [Role::User].into());
    assert_eq!(ports.hashed.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_repeated_request_costs_no_hash() {
    let ports = Ports::new(Status::Deactivated, Some(request(1)));
    let made = create_user(&ports).run(registration(request(1)), &Scope::All).await.unwrap();
    assert_eq!(made, ports.ann, "the current state of Ann");
    assert_eq!(ports.hashed.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_caller_limited_to_own_data_creates_no_user() {
    let ports = Ports::new(Status::Active, None);
    let own = Scope::Own(ports.ann.id.to_string());
    let refused = create_user(&ports).run(registration(request(1)), &own).await;
    assert!(matches!(refused, Err(UserError::NotOwner)), "{refused:?}");
    assert_eq!(ports.hashed.load(Ordering::Relaxed), 0);
}
