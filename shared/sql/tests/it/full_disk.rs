//! A disk that fills up, under a SQLite file and under a PostgreSQL server.

use std::{
    env, fs,
    future::Future,
    io::Write,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use gantry_sql::{Database, ProbeError, Settings, StorageError};
use gantry_sql_testing::Server;

use crate::{MIGRATIONS, insert, names, pause};

/// Longer than it takes to notice, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs the test again as a process that has a disk of this size for itself, with its temporary folders.
fn on_a_disk_of<F: Future<Output = ()>>(size: &str, name: &str, test: impl FnOnce(PathBuf) -> F) {
    const FOLDER: &str = "SMALL_DISK";
    if let Some(folder) = env::var_os(FOLDER) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        return runtime.block_on(test(folder.into()));
    }
    let folder = tempfile::tempdir().unwrap();
    let script = r#"mount -t tmpfs -o size="$DISK_SIZE" tmpfs "$SMALL_DISK" && exec "$0" "$@""#;
    let output = Command::new("unshare")
        .args(["-m", "--", "sh", "-c", script])
        .arg(env::current_exe().unwrap())
        .args(["--exact", &format!("full_disk::{name}"), "--nocapture"])
        .env(FOLDER, folder.path())
        .env("TMPDIR", folder.path())
        .env("DISK_SIZE", size)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

/// Fills the disk until nothing more fits.
fn fill(folder: &Path) -> PathBuf {
    let path = folder.join("filler");
    let mut filler = fs::File::create(&path).unwrap();
    for size in [64 * 1024, 4096, 1] {
        while filler.write_all(&vec![7; size]).is_ok() {}
    }
    path
}

fn assert_unavailable<T: std::fmt::Debug>(result: Result<T, sqlx::Error>) -> String {
    let refused = StorageError::from(result.unwrap_err());
    assert!(matches!(refused, StorageError::Unavailable(_)), "{refused:?}");
    refused.to_string()
}

#[test]
fn a_full_disk_under_sqlite_is_unavailable_until_there_is_room() {
    let name = "a_full_disk_under_sqlite_is_unavailable_until_there_is_room";
    on_a_disk_of("4m", name, under_sqlite);
}

async fn under_sqlite(folder: PathBuf) {
    let settings = Settings::sqlite_file(folder.join("data/test.db"));
    let db = Database::open(&settings, &MIGRATIONS).await.unwrap();
    db.probe().await.unwrap();
    insert(&db, "before", "before").await.unwrap();
    let filler = fill(&folder);
    let long = || "x".repeat(100_000);
    assert_unavailable(insert(&db, long(), long()).await);
    let full = until(&db, false).await.unwrap_err().to_string();
    assert!(full.contains("full"), "{full}");
    fs::remove_file(filler).unwrap();
    until(&db, true).await.unwrap();
    insert(&db, long(), long()).await.unwrap();
    assert_eq!(names(&db).await.len(), 2);
}

/// The first answer of the probe that is as expected.
async fn until(db: &Database, is_ready: bool) -> Result<(), ProbeError> {
    let started = Instant::now();
    loop {
        let answer = db.probe().await;
        if answer.is_ok() == is_ready {
            return answer;
        }
        assert!(started.elapsed() < PATIENCE, "{answer:?}");
        pause().await;
    }
}

#[test]
fn a_full_disk_under_postgresql_is_unavailable_until_there_is_room() {
    let name = "a_full_disk_under_postgresql_is_unavailable_until_there_is_room";
    on_a_disk_of("192m", name, under_postgresql);
}

async fn under_postgresql(folder: PathBuf) {
    let server = Server::start();
    assert!(server.folder().starts_with(&folder));
    let db = Database::open(&server.database().await, &MIGRATIONS).await.unwrap();
    insert(&db, "thing", "thing").await.unwrap();

    // A table that cannot grow.
    let filler = fill(&folder);
    let mut acknowledged = 0;
    let full = loop {
        match note(&db).await {
            Ok(()) => acknowledged += 1,
            Err(error) => break assert_unavailable(Err::<(), _>(error)),
        }
    };
    assert!(full.contains("No space left on device"), "{full}");
    assert_eq!(notes(&db).await, acknowledged);
    fs::remove_file(filler).unwrap();
    note(&db).await.unwrap();
    acknowledged += 1;

    // A log that cannot grow: the server ends, and cannot start while there is no room.
    let filler = fill(&folder);
    let mut conn = server.connect("postgres").await;
    let _ended = sqlx::query("SELECT pg_switch_wal()").execute(&mut conn).await;
    let mut number = 0;
    let mut added = vec!["thing".to_owned()];
    loop {
        let name = format!("{number:04}");
        number += 1;
        let Err(error) = insert(&db, &name, &name).await else {
            added.push(name);
            continue;
        };
        let error = StorageError::from(error);
        let is_away =
            matches!(error, StorageError::Unavailable(_) | StorageError::OutcomeUnknown(_));
        assert!(is_away, "{error:?}");
        break;
    }
    let unready = until(&db, false).await.unwrap_err();
    assert!(unready.to_string().contains("nothing can be written"), "{unready}");
    fs::remove_file(filler).unwrap();
    while insert(&db, "after", "after").await.is_err() {
        server.start_if_ended();
        pause().await;
    }
    assert_eq!(notes(&db).await, acknowledged);
    let stored = names(&db).await;
    assert!(added.iter().all(|name| stored.contains(name)), "{added:?} {stored:?}");
}

/// Adds a note of 50 kB that cannot be compressed.
async fn note(db: &Database) -> Result<(), sqlx::Error> {
    let note: String = std::iter::repeat_with(fastrand::alphanumeric).take(50_000).collect();
    let added = db.write(note, |conn, note| {
        let insert = conn.query("INSERT INTO notes (thing, note) VALUES ('thing', $1)");
        Box::pin(insert.bind(note).execute())
    });
    added.await.map(drop)
}

async fn notes(db: &Database) -> i64 {
    let mut conn = db.reader().await.unwrap();
    conn.query("SELECT count(*) FROM notes").fetch_value().await.unwrap()
}
