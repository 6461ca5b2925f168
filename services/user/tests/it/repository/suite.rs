//! The suite. Each test gets an empty repository.

use std::collections::BTreeSet;

use gantry_contract::idempotency::RequestKey;
use gantry_sql::StorageError;
use gantry_user::{
    application::{Created, RefreshTokens, UserError, UserRepository},
    domain::{Role, Status, Tier, User, UserId},
};
use time::Duration;
use tokio::task::JoinSet;

use super::{NOW, asked, email, grant, id, new, request, user};

/// Of how many at once only one may win.
const CROWD: u128 = 16;

async fn ids(
    repository: &impl UserRepository,
    only: Option<UserId>,
    after: Option<UserId>,
    limit: u32,
) -> Vec<UserId> {
    let users = repository.list(only, after, limit).await.unwrap();
    users.into_iter().map(|user| user.id).collect()
}

pub(super) async fn a_user_reads_back_as_created(repository: &impl UserRepository) {
    let made = User {
        status: Status::Pending,
        tier: Tier::Vip,
        roles: BTreeSet::from(Role::ALL),
        version: 3,
        update_time: NOW + Duration::microseconds(1),
        ..user(1, "Ann@Example.org")
    };
    let mut create = new(1, "Ann@Example.org");
    create.user = made.clone();
    assert_eq!(repository.create(create.clone()).await.unwrap(), Created::Now);

    assert_eq!(repository.find(id(1)).await.unwrap(), Some(made.clone()));
    let account = repository.find_account(&email("aNN@eXample.ORG")).await.unwrap().unwrap();
    assert_eq!(account.user, made);
    // Equality of addresses disregards case; what is kept does not.
    assert_eq!(account.user.email.as_str(), "Ann@Example.org");
    assert_eq!(account.password_hash, create.password_hash);
}

pub(super) async fn where_nobody_is_nobody_is_found(repository: &impl UserRepository) {
    repository.create(new(1, "ann@example.org")).await.unwrap();
    assert_eq!(repository.find(id(2)).await.unwrap(), None);
    assert!(repository.find_account(&email("bob@example.org")).await.unwrap().is_none());
    assert_eq!(repository.created_by(&request(1, 1)).await.unwrap(), None);
}

pub(super) async fn an_address_is_one_users_whatever_its_case(repository: &impl UserRepository) {
    repository.create(new(1, "ann@example.org")).await.unwrap();
    let refused = repository.create(asked(2, "ANN@example.org", request(1, 1))).await;
    assert!(matches!(refused, Err(UserError::EmailTaken)), "{refused:?}");
    // Nothing of it was written: not the user, and not the request, which may be
    // made again once the address is free.
    assert_eq!(repository.find(id(2)).await.unwrap(), None);
    assert_eq!(repository.created_by(&request(1, 1)).await.unwrap(), None);
}

pub(super) async fn an_equal_request_creates_nobody_twice(repository: &impl UserRepository) {
    let first = repository.create(asked(1, "ann@example.org", request(1, 1))).await.unwrap();
    assert_eq!(first, Created::Now);
    // Its address is taken by then, by the user it created.
    let second = repository.create(asked(2, "ann@example.org", request(1, 1))).await.unwrap();
    assert_eq!(second, Created::Before(id(1)));
    assert_eq!(repository.created_by(&request(1, 1)).await.unwrap(), Some(id(1)));
    assert_eq!(ids(repository, None, None, 9).await, [id(1)]);
}

pub(super) async fn a_request_id_stands_for_one_request(repository: &impl UserRepository) {
    repository.create(asked(1, "ann@example.org", request(1, 1))).await.unwrap();
    let reused = repository.created_by(&request(1, 2)).await;
    assert!(matches!(reused, Err(UserError::RequestIdReused)), "{reused:?}");
    let reused = repository.create(asked(2, "bob@example.org", request(1, 2))).await;
    assert!(matches!(reused, Err(UserError::RequestIdReused)), "{reused:?}");
    assert_eq!(repository.find(id(2)).await.unwrap(), None);

    // Another caller's, or another method's, is another one.
    let others = RequestKey { subject: "bob".to_owned(), ..request(1, 2) };
    assert_eq!(repository.created_by(&others).await.unwrap(), None);
    let elsewhere = RequestKey { method: "/shop.user.v1.UserService/Other", ..request(1, 2) };
    assert_eq!(repository.created_by(&elsewhere).await.unwrap(), None);
}

pub(super) async fn of_many_at_once_one_gets_the_address<R>(repository: &R)
where
    R: UserRepository + Clone + 'static,
{
    let mut crowd = JoinSet::new();
    for number in 1..=CROWD {
        let repository = repository.clone();
        // Each with a request of its own.
        let new = asked(number, "ann@example.org", request(number, 1));
        crowd.spawn(async move { repository.create(new).await });
    }
    let answers = crowd.join_all().await;
    let created = answers.iter().filter(|answer| matches!(answer, Ok(Created::Now))).count();
    let taken = answers.iter().filter(|answer| matches!(answer, Err(UserError::EmailTaken)));
    assert_eq!((created, taken.count()), (1, CROWD as usize - 1), "{answers:?}");
    assert_eq!(repository.count(None, 9).await.unwrap(), 1);
}

pub(super) async fn of_many_equal_requests_at_once_one_creates<R>(repository: &R)
where
    R: UserRepository + Clone + 'static,
{
    let mut crowd = JoinSet::new();
    for number in 1..=CROWD {
        let repository = repository.clone();
        let new = asked(number, "ann@example.org", request(1, 1));
        crowd.spawn(async move { (number, repository.create(new).await.unwrap()) });
    }
    let answers = crowd.join_all().await;
    let made: Vec<_> = answers.iter().filter(|(_, created)| *created == Created::Now).collect();
    let [(winner, _)] = made[..] else { panic!("{answers:?}") };
    let others = answers.iter().filter(|(_, created)| *created == Created::Before(id(*winner)));
    assert_eq!(others.count(), CROWD as usize - 1, "{answers:?}");
}

pub(super) async fn pages_neither_repeat_nor_hide(repository: &impl UserRepository) {
    for number in [3, 1, 4, 2] {
        repository.create(new(number, &format!("{number}@example.org"))).await.unwrap();
    }
    assert_eq!(ids(repository, None, None, 2).await, [id(1), id(2)]);
    // Who came meanwhile, before the page, is not on it; who comes after, is.
    repository.create(new(5, "5@example.org")).await.unwrap();
    assert_eq!(ids(repository, None, Some(id(2)), 2).await, [id(3), id(4)]);
    assert_eq!(ids(repository, None, Some(id(4)), 2).await, [id(5)]);
    assert_eq!(ids(repository, None, Some(id(5)), 2).await, []);
}

pub(super) async fn a_list_of_one_is_one_or_none(repository: &impl UserRepository) {
    for number in [1, 2, 3] {
        repository.create(new(number, &format!("{number}@example.org"))).await.unwrap();
    }
    assert_eq!(ids(repository, Some(id(2)), None, 9).await, [id(2)]);
    assert_eq!(ids(repository, Some(id(2)), Some(id(1)), 9).await, [id(2)]);
    assert_eq!(ids(repository, Some(id(2)), Some(id(2)), 9).await, []);
    assert_eq!(ids(repository, Some(id(9)), None, 9).await, []);
    assert_eq!(repository.count(Some(id(2)), 9).await.unwrap(), 1);
    assert_eq!(repository.count(Some(id(9)), 9).await.unwrap(), 0);
}

pub(super) async fn counting_stops_where_it_is_told_to(repository: &impl UserRepository) {
    for number in [1, 2, 3] {
        repository.create(new(number, &format!("{number}@example.org"))).await.unwrap();
    }
    assert_eq!(repository.count(None, 4).await.unwrap(), 3);
    assert_eq!(repository.count(None, 2).await.unwrap(), 2);
}

pub(super) async fn a_refresh_token_is_a_users_and_given_out_once<R>(repository: &R)
where
    R: UserRepository + RefreshTokens,
{
    repository.create(new(1, "ann@example.org")).await.unwrap();
    repository.add(grant(1, id(1), Duration::DAY)).await.unwrap();
    repository.add(grant(2, id(1), Duration::DAY)).await.unwrap();
    let again = repository.add(grant(1, id(1), Duration::DAY)).await;
    assert!(matches!(again, Err(StorageError::Failed(_))), "{again:?}");
    let nobodys = repository.add(grant(3, id(2), Duration::DAY)).await;
    assert!(matches!(nobodys, Err(StorageError::Failed(_))), "{nobodys:?}");
}
