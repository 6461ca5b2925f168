//! UserService.

use gantry_contract::page;
use gantry_proto::shop::user::v1::{
    CreateUserRequest, ListUsersRequest, ListUsersResponse, Tier, User, UserStatus,
};
use tokio::task::JoinSet;
use tonic::Code;
use tonic_types::StatusExt;
use uuid::Uuid;

use super::{Client, Running, new, new_id, refused, wrong_fields};

fn page(page_size: i32, page_token: &str) -> ListUsersRequest {
    let page_token = page_token.to_owned();
    ListUsersRequest { page_size, page_token, include_total: false }
}

#[tokio::test]
async fn a_new_user_is_active_and_as_requested() {
    let running = Running::start().await;
    let admin = running.admin().await;
    let made = admin.create(new("Ann@Example.org")).await.unwrap();
    assert_eq!(Uuid::parse_str(&made.id).unwrap().get_version_num(), 7);
    assert_eq!((made.email.as_str(), made.name.as_str()), ("Ann@Example.org", "Ann Smith"));
    assert_eq!((made.status(), made.tier()), (UserStatus::Active, Tier::Regular));
    assert_eq!(made.roles, ["user"]);
    assert!(!made.etag.is_empty());
    assert!(made.create_time.is_some());
    assert_eq!(made.create_time, made.update_time);

    let read = admin.get(&made.id).await.unwrap();
    assert_eq!(read, made, "the response equals the stored user");
    assert_eq!(admin.get(&made.id.to_uppercase()).await.unwrap(), made);
}

#[tokio::test]
async fn an_address_belongs_to_one_user_in_any_case() {
    let running = Running::start().await;
    let admin = running.admin().await;
    admin.create(new("ann@example.org")).await.unwrap();
    let taken = admin.create(new("ANN@example.org"));
    let status = refused(taken, Code::AlreadyExists, "EMAIL_TAKEN").await;
    assert!(!status.message().contains('@'), "{status:?}");
}

#[tokio::test]
async fn a_repeated_request_creates_one_user() {
    let running = Running::start().await;
    let admin = running.admin().await;
    let request = new("ann@example.org");
    let made = admin.create(request.clone()).await.unwrap();
    assert_eq!(admin.create(request.clone()).await.unwrap(), made);

    // The request is known after a restart.
    let running = running.restart().await;
    let admin = running.admin().await;
    assert_eq!(admin.create(request.clone()).await.unwrap(), made);

    for other in [
        CreateUserRequest { email: "bob@example.org".to_owned(), ..request.clone() },
        CreateUserRequest { password: "another horse".to_owned(), ..request.clone() },
    ] {
        refused(admin.create(other), Code::AlreadyExists, "REQUEST_ID_REUSED").await;
    }
    assert_eq!(admin.list(page(0, "")).await.unwrap().users.len(), 2, "Ann and the admin");
}

#[tokio::test]
async fn ids_ignore_case_and_exclude_nil() {
    let running = Running::start().await;
    let admin = running.admin().await;
    let request = new("ann@example.org");
    let made = admin.create(request.clone()).await.unwrap();
    let in_capitals =
        CreateUserRequest { request_id: request.request_id.to_uppercase(), ..request.clone() };
    assert_eq!(admin.create(in_capitals).await.unwrap(), made);
    assert_eq!(admin.get(&made.id.to_uppercase()).await.unwrap(), made);
    let nil = "00000000-0000-0000-0000-000000000000";
    let nil_request = CreateUserRequest { request_id: nil.to_owned(), ..new("bob@example.org") };
    let status =
        refused(admin.create(nil_request), Code::InvalidArgument, "VALIDATION_FAILED").await;
    assert_eq!(wrong_fields(&status), ["request_id"]);
    let status = refused(admin.get(nil), Code::InvalidArgument, "VALIDATION_FAILED").await;
    assert_eq!(
        (wrong_fields(&status), status.message()),
        (vec!["id".to_owned()], "id must not be the nil UUID")
    );
}

#[tokio::test]
async fn concurrent_repetitions_create_one_user() {
    let running = Running::start().await;
    let request = new("ann@example.org");
    let mut crowd = JoinSet::new();
    for _ in 0..8 {
        let (admin, request) = (running.admin().await, request.clone());
        crowd.spawn(async move { admin.create(request).await.unwrap() });
    }
    let mut answers = crowd.join_all().await;
    answers.dedup();
    assert_eq!(answers.len(), 1);
}

#[tokio::test]
async fn all_violations_are_reported_at_once() {
    let running = Running::start().await;
    let admin = running.admin().await;
    let wrong = CreateUserRequest {
        email: "not an address".to_owned(),
        name: "A".to_owned(),
        password: "secret!".to_owned(),
        request_id: "1".to_owned(),
    };
    let status = refused(admin.create(wrong), Code::InvalidArgument, "VALIDATION_FAILED").await;
    assert_eq!(wrong_fields(&status), ["email", "name", "password", "request_id"]);
    assert!(!format!("{status:?}").contains("secret!"));
    // A rule of the domain alone: a name is more than white space.
    let blank = CreateUserRequest { name: "   ".to_owned(), ..new("ann@example.org") };
    let status = refused(admin.create(blank), Code::InvalidArgument, "VALIDATION_FAILED").await;
    assert_eq!(wrong_fields(&status), ["name"]);
    assert_eq!(admin.list(page(0, "")).await.unwrap().users.len(), 1, "only the admin");
}

#[tokio::test]
async fn an_unknown_user_is_not_found() {
    let running = Running::start().await;
    let admin = running.admin().await;
    let id = new_id();
    let status = refused(admin.get(&id), Code::NotFound, "USER_NOT_FOUND").await;
    assert_eq!(status.get_details_resource_info().unwrap().resource_name, id);
    let status = refused(admin.get("7"), Code::InvalidArgument, "VALIDATION_FAILED").await;
    assert_eq!(wrong_fields(&status), ["id"]);
}

async fn all_pages(caller: &Client, size: i32) -> Vec<Vec<User>> {
    let mut pages = Vec::new();
    let mut token = String::new();
    loop {
        let answer = caller.list(page(size, &token)).await.unwrap();
        let ListUsersResponse { users, next_page_token, total_size } = answer;
        assert_eq!(total_size, None, "not requested");
        pages.push(users);
        if next_page_token.is_empty() {
            return pages;
        }
        token = next_page_token;
    }
}

#[tokio::test]
async fn pages_list_each_user_once_oldest_first() {
    let running = Running::start().await;
    let admin = running.admin().await;
    let mut made = Vec::new();
    for number in 0..4 {
        made.push(admin.create(new(&format!("{number}@example.org"))).await.unwrap());
    }
    let pages = all_pages(&admin, 2).await;
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 1]);
    let listed = pages.concat();
    assert_eq!(listed[0].roles, ["admin"]);
    assert_eq!(listed[1..], made);
    // The list ends with this page, so no other follows.
    assert_eq!(all_pages(&admin, 5).await.len(), 1);

    let counted = ListUsersRequest { include_total: true, ..page(2, "") };
    assert_eq!(admin.list(counted).await.unwrap().total_size, Some(5));
}

#[tokio::test]
async fn a_foreign_page_token_is_refused() {
    let running = Running::start().await;
    let admin = running.admin().await;
    for token in ["nonsense", &page::token("shop.user.v1.User", "SKU-1")] {
        let listed = admin.list(page(0, token));
        let status = refused(listed, Code::InvalidArgument, "VALIDATION_FAILED").await;
        assert_eq!(wrong_fields(&status), ["page_token"]);
    }
    let negative = admin.list(page(-1, ""));
    let status = refused(negative, Code::InvalidArgument, "VALIDATION_FAILED").await;
    assert_eq!(wrong_fields(&status), ["page_size"]);
}
