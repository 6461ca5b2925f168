//! Logging in.

use std::sync::Arc;

use gantry_user::{
    application::{Login, UserError},
    domain::{Attempt, PasswordHash, Status},
};
use time::Duration;
use uuid::Uuid;

use super::{ID, NOW, World};

fn login(world: &Arc<World>) -> Login {
    let world = || world.clone();
    Login {
        users: world(),
        refresh_tokens: world(),
        hasher: world(),
        tokens: world(),
        clock: world(),
        ids: world(),
        refresh_ttl: std::time::Duration::from_secs(60),
    }
}

#[tokio::test]
async fn every_attempt_goes_through_the_hasher() {
    let world = World::new(Status::Active, None);
    let somebodys = Some(PasswordHash::new("right"));
    for (email, hash) in [
        ("ann@example.org", &somebodys),
        ("bob@example.org", &None),
        ("no address", &None),
        ("", &None),
    ] {
        let refused = login(&world).run(email, Attempt::new("wrong")).await;
        assert!(matches!(refused, Err(UserError::BadCredentials)), "{email}: {refused:?}");
        let verified: Vec<_> = world.verified.lock().unwrap().drain(..).collect();
        assert_eq!(&verified[..], std::slice::from_ref(hash));
    }
    assert!(world.granted.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_login_begins_a_family_of_refresh_tokens() {
    let world = World::new(Status::Active, None);
    let session = login(&world).run(" ANN@example.org", Attempt::new("right")).await.unwrap();
    assert_eq!(session.refresh.expose(), "refresh");
    assert_eq!(session.access.token.expose(), format!("{} {}", Uuid::nil(), NOW.unix_timestamp()));
    let granted = world.granted.lock().unwrap();
    let [grant] = &granted[..] else { panic!("{granted:?}") };
    assert_eq!((grant.hash, grant.family, grant.user), ([9; 32], ID, world.ann.id));
    assert_eq!((grant.create_time, grant.expire_time), (NOW, NOW + Duration::seconds(60)));
}

#[tokio::test]
async fn only_who_knows_the_password_learns_that_the_user_is_not_active() {
    for status in [Status::Pending, Status::Deactivated, Status::Deleted] {
        let world = World::new(status, None);
        let login = login(&world);
        let right = login.run("ann@example.org", Attempt::new("right")).await;
        assert!(matches!(right, Err(UserError::NotActive(_))), "{status:?}: {right:?}");
        let wrong = login.run("ann@example.org", Attempt::new("wrong")).await;
        assert!(matches!(wrong, Err(UserError::BadCredentials)), "{status:?}: {wrong:?}");
        assert!(world.granted.lock().unwrap().is_empty());
    }
}
