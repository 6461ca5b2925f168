//! The suite on SQLite, and tests of SQLite alone.

use gantry_common_testing::repository::{
    assert_prepared, assert_reversible, database, execute, open,
};
use gantry_sql::StorageError;
use gantry_user::{
    application::{Created, RefreshTokens, UserRepository},
    outbound::sql::{EXPIRED_TOKENS, MIGRATIONS, SqlRepository},
};
use tempfile::TempDir;
use time::Duration;

use super::{NOW, email, grant, id, new, request, requested, user};

async fn users() -> (TempDir, SqlRepository) {
    let (folder, database) = database(&MIGRATIONS).await;
    (folder, SqlRepository::new(database))
}

contract!(users);

#[tokio::test]
async fn users_survive_a_restart() {
    let (folder, first) = database(&MIGRATIONS).await;
    let repository = SqlRepository::new(first.clone());
    repository.create(requested(1, "Ann@example.org", request(1, 1))).await.unwrap();
    repository.add(grant(1, id(1), Duration::DAY)).await.unwrap();
    first.close().await;

    let repository = SqlRepository::new(open(folder.path(), &MIGRATIONS).await);
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
    let repository = SqlRepository::new(database.clone());
    for (number, (column, damage)) in [
        ("email", "UPDATE users SET email = '\u{1}secret'"),
        ("name", "UPDATE users SET name = '\u{1}secret'"),
        ("status", "UPDATE users SET status = '\u{1}secret'"),
        ("tier", "UPDATE users SET tier = '\u{1}secret'"),
        ("roles", "UPDATE users SET roles = '\u{1}secret'"),
        ("version", "UPDATE users SET version = -1"),
    ]
    .into_iter()
    .enumerate()
    {
        let number = number as u128;
        repository.create(new(number, &format!("{number}@example.org"))).await.unwrap();
        execute(&database, damage).await.unwrap();
        let Err(StorageError::Corrupt(error)) = repository.find(id(number)).await else { panic!() };
        let expected = format!("column {column} of user {} cannot be read", id(number));
        assert_eq!(error.to_string(), expected);
    }
}

#[tokio::test]
async fn expired_refresh_tokens_are_deleted() {
    let (_folder, database) = database(&MIGRATIONS).await;
    let repository = SqlRepository::new(database.clone());
    repository.create(new(1, "ann@example.org")).await.unwrap();
    for (hash, valid_for) in [(1, 9), (2, 10), (3, 11)] {
        repository.add(grant(hash, id(1), Duration::seconds(valid_for))).await.unwrap();
    }
    let purged = EXPIRED_TOKENS.run(&database, NOW + Duration::seconds(10)).await.unwrap();
    assert_eq!(purged, 2);
    let mut conn = database.reader().await.unwrap();
    let left: Vec<(Vec<u8>,)> =
        conn.query("SELECT hash FROM refresh_tokens").fetch_all().await.unwrap();
    assert_eq!(left, [(vec![3; 32],)]);
}

#[tokio::test]
async fn migrations_can_be_undone_and_applied_again() {
    assert_reversible(&MIGRATIONS).await;
}

#[tokio::test]
async fn both_engines_prepare_every_statement() {
    assert_prepared(concat!(env!("CARGO_MANIFEST_DIR"), "/src"), &MIGRATIONS).await;
}
