//! Storage that goes away or fills up while it is open.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use gantry_sql::{Database, ProbeError, Settings, StorageError};

use crate::{Fixture, MIGRATIONS, insert};

/// Longer than it takes to notice, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// The first answer of the probe that is as expected.
async fn until(db: &Database, is_ready: bool) -> Result<(), ProbeError> {
    let started = Instant::now();
    loop {
        let answer = db.probe().await;
        if answer.is_ok() == is_ready {
            return answer;
        }
        assert!(started.elapsed() < PATIENCE, "{answer:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

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
async fn a_replaced_file_is_not_the_database() {
    let fixture = Fixture::new().await;
    let path = fixture.folder.path().join("data/test.db");
    let copy = fixture.folder.path().join("copy");
    fs::copy(&path, &copy).unwrap();
    fs::rename(&copy, &path).unwrap();
    assert!(insert(&fixture.db, "a", "a").await.is_err());
    assert!(fixture.db.probe().await.is_err());
}

/// Fills the file system until nothing more fits.
fn fill(folder: &Path) -> PathBuf {
    use std::io::Write;
    let path = folder.join("filler");
    let mut filler = fs::File::create(&path).unwrap();
    for size in [64 * 1024, 4096, 1] {
        while filler.write_all(&vec![7; size]).is_ok() {}
    }
    path
}

/// Runs again as a process that has a small disk of its own.
#[test]
fn a_full_disk_is_unavailable_until_there_is_room() {
    const FOLDER: &str = "SMALL_DISK";
    if let Some(folder) = env::var_os(FOLDER) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        return runtime.block_on(on_a_small_disk(Path::new(&folder)));
    }
    let folder = tempfile::tempdir().unwrap();
    let script = r#"mount -t tmpfs -o size=4m tmpfs "$SMALL_DISK" && exec "$0" "$@""#;
    let output = Command::new("unshare")
        .args(["-m", "--", "sh", "-c", script])
        .arg(env::current_exe().unwrap())
        .args(["--exact", "storage::a_full_disk_is_unavailable_until_there_is_room", "--nocapture"])
        .env(FOLDER, folder.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

async fn on_a_small_disk(folder: &Path) {
    let settings = Settings::sqlite_file(folder.join("data/test.db"));
    let db = Database::open(&settings, &MIGRATIONS).await.unwrap();
    db.probe().await.unwrap();
    insert(&db, "before", "before").await.unwrap();
    let filler = fill(folder);
    let long = || "x".repeat(100_000);
    let refused = insert(&db, long(), long()).await.unwrap_err();
    let refused = StorageError::from(refused);
    assert!(matches!(refused, StorageError::Unavailable(_)), "{refused}");
    let full = until(&db, false).await.unwrap_err().to_string();
    assert!(full.contains("full"), "{full}");
    fs::remove_file(filler).unwrap();
    until(&db, true).await.unwrap();
    insert(&db, long(), long()).await.unwrap();
    assert_eq!(crate::names(&db).await.len(), 2);
}
