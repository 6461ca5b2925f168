//! Futures that are dropped at each of their awaits, on both engines.
//!
//! Each database has one connection that writes and one that reads, so the next use has the connection of
//! the dropped one.

use std::num::NonZeroU32;

use gantry_sql::{Connection, Database, Settings};
use gantry_sql_testing::Server;
use tempfile::TempDir;

use crate::{MIGRATIONS, add, insert, names, pause, polls::polled};

async fn both() -> (TempDir, [Database; 2]) {
    let folder = tempfile::tempdir().unwrap();
    let mut sqlite = Settings::sqlite_file(folder.path().join("test.db"));
    sqlite.sqlite.readers = NonZeroU32::MIN;
    let mut postgres = Server::shared().database().await;
    postgres.postgres.writers = NonZeroU32::MIN;
    postgres.postgres.readers = NonZeroU32::MIN;
    let open = async |settings| Database::open(&settings, &MIGRATIONS).await.unwrap();
    (folder, [open(sqlite).await, open(postgres).await])
}

/// Writes two things.
async fn pair(conn: &mut Connection, number: usize) -> Result<(), sqlx::Error> {
    for half in ["a", "b"] {
        let name = format!("{number} {half}");
        add(conn, &name, &name).await?;
    }
    Ok(())
}

/// Asserts that the next unit works, no transaction is open, and each pair is whole or absent. Returns
/// true if the pair of this number is there.
async fn is_written(db: &Database, number: usize) -> bool {
    let next = format!("next {number}");
    insert(db, &next, &next).await.unwrap();
    while db.is_shared() && open_transactions(db).await > 0 {
        pause().await;
    }
    let names = names(db).await;
    let halves = ["a", "b"].map(|half| names.contains(&format!("{number} {half}")));
    assert_eq!(halves[0], halves[1], "a unit was committed in part: {names:?}");
    assert!(names.contains(&next));
    halves[0]
}

async fn open_transactions(db: &Database) -> i64 {
    const OPEN: &str = "SELECT count(*) FROM pg_stat_activity
         WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL";
    db.reader().await.unwrap().query(OPEN).fetch_value().await.unwrap()
}

#[tokio::test]
async fn a_caller_dropped_at_any_await_leaves_a_whole_unit_or_none() {
    let (_folder, databases) = both().await;
    for db in &databases {
        for polls in 1.. {
            let unit = db.write(polls, |conn, number| Box::pin(pair(conn, *number)));
            let done = polled(Box::pin(unit), polls).await;
            let is_written = is_written(db, polls).await;
            if let Some(done) = done {
                done.unwrap();
                assert!(is_written);
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_unit_whose_work_is_dropped_at_any_await_is_refused() {
    let (_folder, databases) = both().await;
    for db in &databases {
        for polls in 1.. {
            let unit = db.write(polls, |conn, polls| {
                Box::pin(async move {
                    // The unit goes on as if nothing had happened.
                    Ok::<_, sqlx::Error>(polled(Box::pin(pair(conn, *polls)), *polls).await)
                })
            });
            match unit.await {
                Ok(Some(done)) => {
                    done.unwrap();
                    assert!(is_written(db, polls).await);
                    break;
                }
                Ok(None) => panic!("committed although its work was dropped"),
                Err(refused) => {
                    let refused = refused.to_string();
                    assert!(refused.contains("a statement of the unit failed"), "{refused}");
                    assert!(!is_written(db, polls).await);
                }
            }
        }
    }
}

#[tokio::test]
async fn a_query_dropped_at_any_await_leaves_its_connection_usable() {
    let (_folder, databases) = both().await;
    for db in &databases {
        insert(db, "one", "one").await.unwrap();
        for polls in 1.. {
            let read = async {
                let mut conn = db.reader().await.unwrap();
                conn.query("SELECT name FROM things").fetch_all::<(String,)>().await.unwrap()
            };
            let done = polled(Box::pin(read), polls).await;
            assert_eq!(names(db).await, ["one"]);
            if let Some(read) = done {
                assert_eq!(read, [("one".to_owned(),)]);
                break;
            }
        }
    }
}
