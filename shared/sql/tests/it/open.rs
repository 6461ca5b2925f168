use std::{fs, path::Path};

use gantry_sql::{Connection, Database, Migrations, OpenError, Settings, SqliteSettings};
use sqlx::migrate::Migrator;

use crate::{Fixture, MIGRATIONS, insert, open};

async fn refusal(path: impl AsRef<Path>) -> String {
    let settings = Settings::sqlite_file(path);
    Database::open(&settings, &MIGRATIONS).await.unwrap_err().to_string()
}

async fn durability(conn: &mut Connection) -> Result<(String, i64, i64), sqlx::Error> {
    Ok((
        conn.query("PRAGMA journal_mode").fetch_value().await?,
        conn.query("PRAGMA synchronous").fetch_value().await?,
        conn.query("PRAGMA foreign_keys").fetch_value().await?,
    ))
}

#[tokio::test]
async fn the_folder_is_made_and_data_outlives_a_restart() {
    let fixture = Fixture::new().await;
    insert(&fixture.db, "a", "x").await.unwrap();
    fixture.db.close().await;

    let fixture = Fixture { db: open(&fixture.folder).await.unwrap(), ..fixture };
    assert_eq!(fixture.names().await, ["a"]);
}

#[tokio::test]
async fn an_acknowledged_write_is_on_disk() {
    let fixture = Fixture::new().await;
    const FULL: i64 = 2;
    let expected = ("wal".to_owned(), FULL, 1);
    let writer: Result<_, sqlx::Error> =
        fixture.db.write((), |conn, ()| Box::pin(durability(conn))).await;
    assert_eq!(writer.unwrap(), expected);
    let mut reader = fixture.db.reader().await.unwrap();
    assert_eq!(durability(&mut reader).await.unwrap(), expected);
}

#[tokio::test]
async fn readers_cannot_write() {
    let fixture = Fixture::new().await;
    let mut reader = fixture.db.reader().await.unwrap();
    let error = crate::add(&mut reader, "a", "x").await.unwrap_err();
    assert!(error.to_string().contains("readonly"), "{error}");
}

#[tokio::test]
async fn a_second_opening_is_refused_and_names_the_process_until_the_first_is_closed() {
    let fixture = Fixture::new().await;
    let error = open(&fixture.folder).await.unwrap_err();
    assert!(matches!(&error, OpenError::InUse { by: Some(id), .. } if *id == std::process::id()));
    assert!(error.to_string().ends_with(&format!("in use by process {}", std::process::id())));

    let clone = fixture.db.clone();
    fixture.db.close().await;
    open(&fixture.folder).await.unwrap().close().await;
    drop(clone);
}

#[cfg(unix)]
#[tokio::test]
async fn a_link_to_the_folder_is_the_same_database_and_one_to_the_file_is_refused() {
    use std::os::unix::fs::symlink;

    let fixture = Fixture::new().await;
    let path = |name: &str| fixture.folder.path().join(name);
    symlink(path("data"), path("link")).unwrap();
    assert!(refusal(path("link/test.db")).await.contains("in use"));
    // Its target may be any file, also one that is made later.
    for target in ["data/test.db", "absent.db"] {
        symlink(path(target), path("link.db")).unwrap();
        assert!(
            refusal(path("link.db")).await.ends_with("is a symbolic link, not a database file")
        );
        fs::remove_file(path("link.db")).unwrap();
    }
    assert!(!path("absent.db").exists() && !path("link.db.lock").exists());
}

#[cfg(unix)]
#[tokio::test]
async fn every_file_is_private_also_in_an_open_folder() {
    use std::os::unix::fs::{PermissionsExt, symlink};

    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    fs::set_permissions(&data, fs::Permissions::from_mode(0o755)).unwrap();
    let modes = || {
        let entries = fs::read_dir(&data).unwrap().map(Result::unwrap);
        let modes = entries.map(|entry| {
            let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
            (entry.file_name().into_string().unwrap(), mode)
        });
        modes.collect::<std::collections::BTreeMap<_, _>>()
    };
    let open_files = ["test.db", "test.db-shm", "test.db-wal", "test.db.lock"];
    let private = || open_files.map(|name| (name.to_owned(), 0o600)).into_iter().collect();
    let db = open(&folder).await.unwrap();
    assert_eq!(modes(), private());

    // A copy as a crash leaves it, and as an earlier release made it.
    let copies: Vec<_> = open_files.iter().map(|name| fs::read(data.join(name)).unwrap()).collect();
    db.close().await;
    for (name, content) in open_files.iter().zip(copies) {
        fs::write(data.join(name), content).unwrap();
        fs::set_permissions(data.join(name), fs::Permissions::from_mode(0o644)).unwrap();
    }
    let db = open(&folder).await.unwrap();
    assert_eq!(modes(), private());
    db.close().await;

    let victim = folder.path().join("victim");
    fs::write(&victim, "precious").unwrap();
    for beside in ["test.db-wal", "test.db-shm"] {
        let _ = fs::remove_file(data.join(beside));
        symlink(&victim, data.join(beside)).unwrap();
        let error = refusal(data.join("test.db")).await;
        assert!(error.contains(beside) && error.contains("symbolic link"), "{error}");
        fs::remove_file(data.join(beside)).unwrap();
    }
    assert_eq!(fs::read(&victim).unwrap(), b"precious");
}

#[tokio::test]
async fn a_path_that_keeps_nothing_is_refused_before_anything_is_made() {
    for path in
        ["", ":memory:", "file::memory:", "sqlite::memory:", "file:x.db?mode=memory", "x\0y"]
    {
        let error = refusal(path).await;
        assert!(error.starts_with("database path"), "{path:?}: {error}");
        assert!(!Path::new(":memory:").exists());
    }
    let setting =
        |path: &str| serde_json::from_value::<SqliteSettings>(serde_json::json!({"path": path}));
    let error = setting(":memory:").unwrap_err().to_string();
    assert!(error.starts_with("expected the path of a file, such as .gantry/user.db"), "{error}");
    assert!(setting("data/user.db").is_ok());
    // Devices are no files.
    let device = refusal("/dev/null").await;
    assert_eq!(device, "/dev/null is a device or a pipe, not a database file");
}

#[tokio::test]
async fn a_path_that_is_something_else_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "x".repeat(4096)).unwrap();

    let file_as_folder = refusal(file.join("deep/test.db")).await;
    assert_eq!(file_as_folder, format!("{} is a file, not a folder", file.display()));
    let folder_as_file = refusal(folder.path()).await;
    assert!(folder_as_file.ends_with("is a folder, not a database file"), "{folder_as_file}");
    let text = refusal(&file).await;
    assert_eq!(text, format!("{} is not a SQLite database", file.display()));
}

/// `/proc` takes no new files from anybody, the superuser included.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn an_unwritable_folder_is_named() {
    let file = refusal("/proc/test.db").await;
    assert!(file.starts_with("cannot write in the folder /proc: "), "{file}");
    let folder = refusal("/proc/deep/test.db").await;
    assert!(folder.starts_with("cannot make the folder /proc/deep: "), "{folder}");
}

#[tokio::test]
async fn a_database_of_a_newer_release_is_left_alone() {
    let fixture = Fixture::new().await;
    fixture.db.close().await;
    let none = || Migrator::with_migrations(Vec::new());
    let older = Migrations { sqlite: none(), postgres: none(), shared: &[] };
    let path = fixture.folder.path().join("data/test.db");
    let error = Database::open(&Settings::sqlite_file(path), &older).await.unwrap_err();
    assert!(matches!(error, OpenError::Newer { version: 2, .. }), "{error}");
}

#[tokio::test]
async fn migrations_can_be_undone_and_applied_again() {
    let fixture = Fixture::new().await;
    fixture.db.close().await;
    let path = fixture.folder.path().join("data/test.db");
    let pool =
        sqlx::SqlitePool::connect_with(sqlx::sqlite::SqliteConnectOptions::new().filename(path))
            .await
            .unwrap();
    MIGRATIONS.sqlite.undo(&pool, 0).await.unwrap();
    let tables = "SELECT count(*) FROM sqlite_schema WHERE name = 'things'";
    assert_eq!(sqlx::query_scalar::<_, i64>(tables).fetch_one(&pool).await.unwrap(), 0);
    pool.close().await;

    let fixture = Fixture { db: open(&fixture.folder).await.unwrap(), ..fixture };
    assert!(fixture.names().await.is_empty());
}

#[tokio::test]
async fn a_closed_database_does_not_answer() {
    let fixture = Fixture::new().await;
    let db = &fixture.db;
    db.close().await;
    assert!(db.probe().await.is_err());
}
