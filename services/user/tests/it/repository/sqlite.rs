//! The suite on SQLite, and what is SQLite's own.

use gantry_common_testing::{
    repository::{assert_reversible, database, open},
    repository_contract,
};
use gantry_sql::StorageError;
use gantry_user::{
    application::{Created, RefreshTokens, UserRepository},
    outbound::sqlite::{EXPIRED_TOKENS, MIGRATIONS, SqliteRepository},
};
use tempfile::TempDir;
use time::Duration;

use super::{NOW, asked, email, grant, id, new, request, user};

async fn users() -> (TempDir, SqliteRepository) {
    let (folder, database) = database(&MIGRATIONS).await;
    (folder, SqliteRepository::new(database))
}

repository_contract! { super::suite, users:
    a_user_reads_back_as_created
    where_nobody_is_nobody_is_found
    an_address_is_one_users_whatever_its_case
    an_equal_request_creates_nobody_twice
    a_request_id_stands_for_one_request
    of_many_at_once_one_gets_the_address
    of_many_equal_requests_at_once_one_creates
    pages_neither_repeat_nor_hide
    a_list_of_one_is_one_or_none
    counting_stops_where_it_is_told_to
    a_refresh_token_is_a_users_and_given_out_once
}

#[tokio::test]
async fn everything_is_there_after_a_restart() {
    let (folder, first) = database(&MIGRATIONS).await;
    let repository = SqliteRepository::new(first.clone());
    repository.create(asked(1, "Ann@example.org", request(1, 1))).await.unwrap();
    repository.add(grant(1, id(1), Duration::DAY)).await.unwrap();
    first.close().await;

    let repository = SqliteRepository::new(open(folder.path(), &MIGRATIONS).await);
    assert_eq!(repository.find(id(1)).await.unwrap(), Some(user(1, "Ann@example.org")));
    let account = repository.find_account(&email("ann@example.org")).await.unwrap().unwrap();
    assert_eq!(account.password_hash.as_str(), "hash of 1");
    let again = repository.create(asked(2, "Ann@example.org", request(1, 1))).await.unwrap();
    assert_eq!(again, Created::Before(id(1)));
    assert!(repository.add(grant(1, id(1), Duration::DAY)).await.is_err(), "it is known");
}

#[tokio::test]
async fn a_row_that_cannot_be_read_is_named_and_not_shown() {
    let (_folder, database) = database(&MIGRATIONS).await;
    let repository = SqliteRepository::new(database.clone());
    for (number, column) in ["email", "name", "status", "tier", "roles"].into_iter().enumerate() {
        let number = number as u128;
        repository.create(new(number, &format!("{number}@example.org"))).await.unwrap();
        let damage = format!("UPDATE users SET {column} = '\u{1}secret' WHERE id = ?");
        let damaged = database.write::<_, sqlx::Error, _>(move |conn| {
            let damage = sqlx::AssertSqlSafe(damage);
            Box::pin(async move { sqlx::query(damage).bind(id(number).0).execute(conn).await })
        });
        damaged.await.unwrap();
        let Err(StorageError::Corrupt(error)) = repository.find(id(number)).await else { panic!() };
        let told = error.to_string();
        assert_eq!(told, format!("column {column} of user {} cannot be read", id(number)));
    }
}

#[tokio::test]
async fn expired_refresh_tokens_are_deleted() {
    let (_folder, database) = database(&MIGRATIONS).await;
    let repository = SqliteRepository::new(database.clone());
    repository.create(new(1, "ann@example.org")).await.unwrap();
    for (hash, valid_for) in [(1, 9), (2, 10), (3, 11)] {
        repository.add(grant(hash, id(1), Duration::seconds(valid_for))).await.unwrap();
    }
    let purged = EXPIRED_TOKENS.run(&database, NOW + Duration::seconds(10)).await.unwrap();
    assert_eq!(purged, 2);
    let left: Vec<Vec<u8>> = sqlx::query_scalar("SELECT hash FROM refresh_tokens")
        .fetch_all(database.reader())
        .await
        .unwrap();
    assert_eq!(left, [vec![3; 32]]);
}

#[tokio::test]
async fn migrations_can_be_undone_and_applied_again() {
    assert_reversible(&MIGRATIONS).await;
}
