//! SQLite files that go away while they are open.

use std::{fs, num::NonZeroU32, time::Duration};

use gantry_sql::{Database, Settings, StorageError};

use crate::{Fixture, MIGRATIONS, insert};

#[tokio::test]
async fn a_probe_writes_and_repeats_itself() {
    let fixture = Fixture::new().await;
    let written = async || -> i64 {
        let mut conn = fixture.db.reader().await.unwrap();
        conn.query("PRAGMA user_version").fetch_value().await.unwrap()
    };
    let before = written().await;
    fixture.db.probe().await.unwrap();
    assert_ne!(written().await, before);
    // Asked again at once, it reuses its answer.
    fixture.db.probe().await.unwrap();
    assert_ne!(written().await, before);
}

#[tokio::test]
async fn files_that_vanished_are_noticed_and_take_no_write() {
    for gone in ["", "test.db", "test.db-wal", "test.db.lock"] {
        let fixture = Fixture::new().await;
        insert(&fixture.db, "a", "a").await.unwrap();
        let path = fixture.folder.path().join("data").join(gone);
        if gone.is_empty() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) }.unwrap();
        let error = fixture.db.probe().await.unwrap_err().to_string();
        assert!(error.contains("was removed or replaced while it was open"), "{gone}: {error}");
        let refused = insert(&fixture.db, "b", "b").await.unwrap_err();
        let refused = StorageError::from(refused);
        assert!(matches!(refused, StorageError::Unavailable(_)), "{gone}: {refused}");
    }
}

#[tokio::test]
async fn a_dropped_query_ends_and_leaves_its_connection() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = Settings::sqlite_file(folder.path().join("test.db"));
    settings.sqlite.readers = NonZeroU32::MIN;
    let db = Database::open(&settings, &MIGRATIONS).await.unwrap();
    let endless = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) \
                   SELECT count(*) FROM n";
    for _ in 0..3 {
        let mut conn = db.reader().await.unwrap();
        let query = conn.query(endless).fetch_value::<i64>();
        // The statement runs once it has been polled.
        assert!(tokio::time::timeout(Duration::from_millis(20), query).await.is_err());
    }
    assert!(crate::names(&db).await.is_empty());
    // More callers than connections wait for each other.
    let reads: Vec<_> = (0..8).map(|_| tokio::spawn(read(db.clone()))).collect();
    for read in reads {
        read.await.unwrap();
    }
    db.close().await;
    assert!(db.reader().await.is_err());
}

async fn read(db: Database) {
    assert!(crate::names(&db).await.is_empty());
}

#[tokio::test]
async fn a_replaced_file_is_not_the_database() {
    let fixture = Fixture::new().await;
    let path = fixture.folder.path().join("data/test.db");
    let copy = fixture.folder.path().join("copy");
    fs::copy(&path, &copy).unwrap();
    fs::rename(&copy, &path).unwrap();
    assert!(insert(&fixture.db, "a", "a").await.is_err());
    assert!(fixture.db.probe().await.is_err());
}
