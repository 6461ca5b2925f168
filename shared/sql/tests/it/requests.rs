use gantry_contract::idempotency::RequestKey;
use gantry_sql::{
    Database, StorageError,
    requests::{self, Found, PURGE},
};
use gantry_sql_testing::Server;
use tempfile::TempDir;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{MIGRATIONS, open};

const CREATE: &str = "/shop.user.v1.UserService/CreateUser";

fn key(subject: &str, method: &'static str, request_id: u128, fingerprint: u8) -> RequestKey {
    RequestKey {
        subject: subject.to_owned(),
        method,
        request_id: Uuid::from_u128(request_id),
        fingerprint: [fingerprint; 32],
    }
}

/// An empty database on each engine.
async fn both() -> (TempDir, [Database; 2]) {
    let folder = tempfile::tempdir().unwrap();
    let sqlite = open(&folder).await.unwrap();
    let postgres = Database::open(&Server::shared().database().await, &MIGRATIONS).await.unwrap();
    (folder, [sqlite, postgres])
}

async fn find(db: &Database, key: RequestKey) -> Found {
    requests::find(&mut db.reader().await.unwrap(), &key).await.unwrap()
}

async fn insert(
    db: &Database,
    key: RequestKey,
    resource_id: &'static str,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    db.write(key, move |conn, key| Box::pin(requests::insert(conn, key, resource_id, now))).await
}

#[tokio::test]
async fn a_request_is_known_by_subject_method_and_id_and_told_from_another_by_its_body() {
    let (_folder, databases) = both().await;
    for db in &databases {
        assert_eq!(find(db, key("ann", CREATE, 1, 1)).await, Found::New);
        insert(db, key("ann", CREATE, 1, 1), "u1", OffsetDateTime::UNIX_EPOCH).await.unwrap();

        let same = Found::Same { resource_id: "u1".to_owned() };
        assert_eq!(find(db, key("ann", CREATE, 1, 1)).await, same);
        assert_eq!(find(db, key("ann", CREATE, 1, 2)).await, Found::Reused);
        for other in [key("bob", CREATE, 1, 1), key("ann", "/x/Y", 1, 1), key("ann", CREATE, 2, 1)]
        {
            assert_eq!(find(db, other).await, Found::New);
        }
    }
}

#[tokio::test]
async fn a_second_record_of_a_request_is_a_conflict() {
    let (_folder, databases) = both().await;
    for db in &databases {
        let now = OffsetDateTime::UNIX_EPOCH;
        insert(db, key("ann", CREATE, 1, 1), "u1", now).await.unwrap();
        let error = insert(db, key("ann", CREATE, 1, 2), "u2", now).await.unwrap_err();
        assert!(matches!(error.into(), StorageError::Busy(_)));
    }
}

#[tokio::test]
async fn records_are_forgotten_after_a_day_however_many() {
    let (_folder, databases) = both().await;
    for db in &databases {
        let then = OffsetDateTime::UNIX_EPOCH;
        db.write((), move |conn, ()| {
            Box::pin(async move {
                for n in 0..2500 {
                    requests::insert(conn, &key("ann", CREATE, n, 1), "u", then).await?;
                }
                let later = then + time::Duration::SECOND;
                requests::insert(conn, &key("ann", CREATE, 9999, 1), "u", later).await
            })
        })
        .await
        .unwrap();

        assert_eq!(PURGE.run(db, then + PURGE.kept).await.unwrap(), 0);
        let a_second_later = then + PURGE.kept + time::Duration::SECOND;
        assert_eq!(PURGE.run(db, a_second_later).await.unwrap(), 2500);
        assert_eq!(find(db, key("ann", CREATE, 1, 1)).await, Found::New);
        assert_ne!(find(db, key("ann", CREATE, 9999, 1)).await, Found::New);
    }
}
