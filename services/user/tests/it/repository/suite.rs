//! Suite of the contract. Each test gets an empty repository.

use std::collections::BTreeSet;

use gantry_common_testing::repository::{first_page, next_page};
use gantry_contract::{idempotency::RequestKey, page::Page};
use gantry_sql::StorageError;
use gantry_user::{
    application::{Created, RefreshTokens, UserError, UserRepository},
    domain::{Role, Status, Tier, User, UserId},
};
use time::Duration;
use tokio::task::JoinSet;

use super::{NOW, email, grant, id, new, request, requested, user};

/// Number of concurrent calls. One of them may win.
const CROWD: u128 = 16;

fn ids(page: &Page<User>) -> Vec<UserId> {
    page.items.iter().map(|user| user.id).collect()
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
    // The comparison above ignores case, and the stored address keeps it.
    assert_eq!(account.user.email.as_str(), "Ann@Example.org");
    assert_eq!(account.password_hash, create.password_hash);
}

pub(super) async fn an_unknown_user_is_not_found(repository: &impl UserRepository) {
    repository.create(new(1, "ann@example.org")).await.unwrap();
    assert_eq!(repository.find(id(2)).await.unwrap(), None);
    assert!(repository.find_account(&email("bob@example.org")).await.unwrap().is_none());
    assert_eq!(repository.created_by(&request(1, 1)).await.unwrap(), None);
}

pub(super) async fn an_address_belongs_to_one_user_in_any_case(repository: &impl UserRepository) {
    repository.create(new(1, "ann@example.org")).await.unwrap();
    let refused = repository.create(requested(2, "ANN@example.org", request(1, 1))).await;
    assert!(matches!(refused, Err(UserError::EmailTaken)), "{refused:?}");
    // Nothing was written, neither the user nor the request: it may be repeated once the address is
    // free.
    assert_eq!(repository.find(id(2)).await.unwrap(), None);
    assert_eq!(repository.created_by(&request(1, 1)).await.unwrap(), None);
}

pub(super) async fn a_repeated_request_creates_one_user(repository: &impl UserRepository) {
    let first = repository.create(requested(1, "ann@example.org", request(1, 1))).await.unwrap();
    assert_eq!(first, Created::Now);
    // The user of the first request has the address now.
    let second = repository.create(requested(2, "ann@example.org", request(1, 1))).await.unwrap();
    assert_eq!(second, Created::Before(id(1)));
    assert_eq!(repository.created_by(&request(1, 1)).await.unwrap(), Some(id(1)));
    assert_eq!(ids(&repository.list(None, &first_page(9)).await.unwrap()), [id(1)]);
}

pub(super) async fn a_request_id_stands_for_one_request(repository: &impl UserRepository) {
    repository.create(requested(1, "ann@example.org", request(1, 1))).await.unwrap();
    let reused = repository.created_by(&request(1, 2)).await;
    assert!(matches!(reused, Err(UserError::RequestIdReused)), "{reused:?}");
    let reused = repository.create(requested(2, "bob@example.org", request(1, 2))).await;
    assert!(matches!(reused, Err(UserError::RequestIdReused)), "{reused:?}");
    assert_eq!(repository.find(id(2)).await.unwrap(), None);

    // The same id of another caller or another method is another request.
    let others = RequestKey { subject: "bob".to_owned(), ..request(1, 2) };
    assert_eq!(repository.created_by(&others).await.unwrap(), None);
    let elsewhere = RequestKey { method: "/shop.user.v1.UserService/Other", ..request(1, 2) };
    assert_eq!(repository.created_by(&elsewhere).await.unwrap(), None);
}

pub(super) async fn concurrent_creations_of_an_address_have_one_winner<R>(repository: &R)
where
    R: UserRepository + Clone + 'static,
{
    let mut crowd = JoinSet::new();
    for number in 1..=CROWD {
        let repository = repository.clone();
        // Each creation has its own request.
        let new = requested(number, "ann@example.org", request(number, 1));
        crowd.spawn(async move { repository.create(new).await });
    }
    let answers = crowd.join_all().await;
    let created = answers.iter().filter(|answer| matches!(answer, Ok(Created::Now))).count();
    let taken = answers.iter().filter(|answer| matches!(answer, Err(UserError::EmailTaken)));
    assert_eq!((created, taken.count()), (1, CROWD as usize - 1), "{answers:?}");
    assert_eq!(repository.list(None, &first_page(9)).await.unwrap().total, Some(1));
}

pub(super) async fn concurrent_repetitions_create_one_user<R>(repository: &R)
where
    R: UserRepository + Clone + 'static,
{
    let mut crowd = JoinSet::new();
    for number in 1..=CROWD {
        let repository = repository.clone();
        let new = requested(number, "ann@example.org", request(1, 1));
        crowd.spawn(async move { (number, repository.create(new).await.unwrap()) });
    }
    let answers = crowd.join_all().await;
    let made: Vec<_> = answers.iter().filter(|(_, created)| *created == Created::Now).collect();
    let [(winner, _)] = made[..] else { panic!("{answers:?}") };
    let others = answers.iter().filter(|(_, created)| *created == Created::Before(id(*winner)));
    assert_eq!(others.count(), CROWD as usize - 1, "{answers:?}");
}

pub(super) async fn pages_neither_repeat_nor_skip(repository: &impl UserRepository) {
    for number in [4, 2, 5, 3] {
        repository.create(new(number, &format!("{number}@example.org"))).await.unwrap();
    }
    let first = repository.list(None, &first_page(2)).await.unwrap();
    assert_eq!((ids(&first), first.total), (vec![id(2), id(3)], Some(4)));
    // Users that are created in between do not move the other pages.
    for number in [1, 6] {
        repository.create(new(number, &format!("{number}@example.org"))).await.unwrap();
    }
    let second = repository.list(None, &next_page(&first, 2)).await.unwrap();
    assert_eq!((ids(&second), second.total), (vec![id(4), id(5)], Some(6)));
    let third = repository.list(None, &next_page(&second, 2)).await.unwrap();
    assert_eq!((ids(&third), third.next_page_token.as_str()), (vec![id(6)], ""));
}

pub(super) async fn a_list_can_be_limited_to_one_user(repository: &impl UserRepository) {
    for number in [1, 2, 3] {
        repository.create(new(number, &format!("{number}@example.org"))).await.unwrap();
    }
    let own = repository.list(Some(id(2)), &first_page(1)).await.unwrap();
    assert_eq!((ids(&own), own.total, own.next_page_token.as_str()), (vec![id(2)], Some(1), ""));
    let unknown = repository.list(Some(id(9)), &first_page(1)).await.unwrap();
    assert_eq!((unknown.items.len(), unknown.total), (0, Some(0)));

    // The token of the list of all users.
    let all = repository.list(None, &first_page(1)).await.unwrap();
    let own = repository.list(Some(id(2)), &next_page(&all, 1)).await.unwrap();
    assert_eq!(ids(&own), [id(2)]);
    let all = repository.list(None, &next_page(&all, 1)).await.unwrap();
    let own = repository.list(Some(id(2)), &next_page(&all, 1)).await.unwrap();
    assert_eq!(ids(&own), []);
}

pub(super) async fn a_refresh_token_is_unique_and_has_an_owner<R>(repository: &R)
where
    R: UserRepository + RefreshTokens,
{
    repository.create(new(1, "ann@example.org")).await.unwrap();
    repository.add(grant(1, id(1), Duration::DAY)).await.unwrap();
    repository.add(grant(2, id(1), Duration::DAY)).await.unwrap();
    let again = repository.add(grant(1, id(1), Duration::DAY)).await;
    assert!(matches!(again, Err(StorageError::Failed(_))), "{again:?}");
    let unknown = repository.add(grant(3, id(2), Duration::DAY)).await;
    assert!(matches!(unknown, Err(StorageError::Failed(_))), "{unknown:?}");
}
