//! The suite on SQLite, and tests of SQLite alone.

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

use super::{NOW, email, grant, id, new, request, requested, user};

async fn users() -> (TempDir, SqliteRepository) {
    let (folder, database) = database(&MIGRATIONS).await;
    (folder, SqliteRepository::new(database))
}

repository_contract! { super::suite, users:
    a_user_reads_back_as_created
    an_unknown_user_is_not_found
    an_address_belongs_to_one_user_in_any_case
    a_repeated_request_creates_one_user
    a_request_id_stands_for_one_request
    concurrent_creations_of_an_address_have_one_winner
    concurrent_repetitions_create_one_user
    pages_neither_repeat_nor_skip
    a_list_can_be_limited_to_one_user
    a_refresh_token_is_unique_and_has_an_owner
}

#[tokio::test]
async fn users_survive_a_restart() {
    let (folder, first) = database(&MIGRATIONS).await;
    let repository = SqliteRepository::new(first.clone());
    repository.create(requested(1, "Ann@example.org", request(1, 1))).await.unwrap();
    repository.add(grant(1, id(1), Duration::DAY)).await.unwrap();
    first.close().await;

    let repository = SqliteRepository::new(open(folder.path(), &MIGRATIONS).await);
    assert_eq!(repository.find(id(1)).await.unwrap(), Some(user(1, "Ann@example.org")));
    let account = repository.find_account(&email("ann@example.org")).await.unwrap().unwrap();
    assert_eq!(account.password_hash.as_str(), "hash of 1");
    let again = repository.create(requested(2, "Ann@example.org", request(1, 1))).await.unwrap();
    assert_eq!(again, Created::Before(id(1)));
    assert!(repository.add(grant(1, id(1), Duration::DAY)).await.is_err(), "the token exists");
}

#[tokio::test]
async fn an_unreadable_row_is_named_but_not_shown() {
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
        let expected = format!("column {column} of user {} cannot be read", id(number));
        assert_eq!(error.to_string(), expected);
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
