//! Creating a user.

use std::sync::{Arc, atomic::Ordering};

use gantry_contract::{access::Scope, idempotency::RequestKey};
use gantry_user::{
    application::{CreateUser, Registration, UserError},
    domain::{Email, Name, Password, Role, Status, UserId},
};
use uuid::Uuid;

use super::{ID, NOW, World};

fn create_user(world: &Arc<World>) -> CreateUser {
    let world = || world.clone();
    CreateUser { users: world(), hasher: world(), clock: world(), ids: world() }
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
async fn a_new_user_is_made_with_the_time_and_the_id_that_are_given() {
    let world = World::new(Status::Active, None);
    let bob = create_user(&world).run(&Scope::All, registration(request(1))).await.unwrap();
    assert_eq!((bob.id, bob.create_time), (UserId(ID), NOW));
    assert_eq!(bob.roles, [Role::User].into());
    assert_eq!(world.hashed.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_repeated_request_costs_no_hash() {
    let world = World::new(Status::Deactivated, Some(request(1)));
    let made = create_user(&world).run(&Scope::All, registration(request(1))).await.unwrap();
    assert_eq!(made, world.ann, "as she is now");
    assert_eq!(world.hashed.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn who_may_write_only_what_is_their_own_creates_nobody() {
    let world = World::new(Status::Active, None);
    let own = Scope::Own(world.ann.id.to_string());
    let refused = create_user(&world).run(&own, registration(request(1))).await;
    assert!(matches!(refused, Err(UserError::NotOwner)), "{refused:?}");
    assert_eq!(world.hashed.load(Ordering::Relaxed), 0);
}
