//! `Login`.

use std::sync::Arc;

use gantry_user::{
    application::{Login, UserError},
    domain::{PasswordAttempt, PasswordHash, Status},
};
use time::Duration;
use uuid::Uuid;

use super::{ID, NOW, Ports};

fn login(ports: &Arc<Ports>) -> Login {
    let ports = || ports.clone();
    Login {
        users: ports(),
        refresh_tokens: ports(),
        hasher: ports(),
        tokens: ports(),
        clock: ports(),
        ids: ports(),
        refresh_ttl: std::time::Duration::from_secs(60),
    }
}

#[tokio::test]
async fn every_attempt_goes_through_the_hasher() {
    let ports = Ports::new(Status::Active, None);
    let anns = Some(PasswordHash::new("right"));
    for (email, hash) in [
        ("ann@example.org", &anns),
        ("bob@example.org", &None),
        ("not an address", &None),
        ("", &None),
    ] {
        let refused = login(&ports).run(email, PasswordAttempt::new("wrong")).await;
        assert!(matches!(refused, Err(UserError::BadCredentials)), "{email}: {refused:?}");
        let verified: Vec<_> = ports.verified.lock().unwrap().drain(..).collect();
        assert_eq!(&verified[..], std::slice::from_ref(hash));
    }
    assert!(ports.granted.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_login_begins_a_family_of_refresh_tokens() {
    let ports = Ports::new(Status::Active, None);
    let session =
        login(&ports).run(" ANN@example.org", PasswordAttempt::new("right")).await.unwrap();
    assert_eq!(session.refresh.expose(), "refresh");
    assert_eq!(session.access.token.expose(), format!("{} {}", Uuid::nil(), NOW.unix_timestamp()));
    let granted = ports.granted.lock().unwrap();
    let [grant] = &granted[..] else { panic!("{granted:?}") };
    assert_eq!((grant.hash, grant.family, grant.user), ([9; 32], ID, ports.ann.id));
    assert_eq!((grant.create_time, grant.expire_time), (NOW, NOW + Duration::seconds(60)));
}

#[tokio::test]
async fn only_the_right_password_reveals_an_inactive_user() {
    for status in [Status::Pending, Status::Deactivated, Status::Deleted] {
        let ports = Ports::new(status, None);
        let login = login(&ports);
        let right = login.run("ann@example.org", PasswordAttempt::new("right")).await;
        assert!(matches!(right, Err(UserError::NotActive(_))), "{status:?}: {right:?}");
        let wrong = login.run("ann@example.org", PasswordAttempt::new("wrong")).await;
        assert!(matches!(wrong, Err(UserError::BadCredentials)), "{status:?}: {wrong:?}");
        assert!(ports.granted.lock().unwrap().is_empty());
    }
}
