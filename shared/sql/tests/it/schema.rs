//! The schema as its operator sees it, on both engines.

use gantry_sql::{
    Database, Migrations, OpenError, Settings,
    schema::{self, Down, OWN, SchemaError, State, Step},
};
use gantry_sql_testing::Server;
use sqlx::{
    SqlSafeStr,
    migrate::{Migration, MigrationType, Migrator},
};

use crate::MIGRATIONS;

const NEWEST: Down<'_> = Down { tables: OWN, to: None, may_lose_data: true };

/// An empty database on each engine.
async fn both() -> (tempfile::TempDir, [Settings; 2]) {
    let folder = tempfile::tempdir().unwrap();
    let sqlite = Settings::sqlite_file(folder.path().join("test.db"));
    let postgres = Server::shared().database().await;
    (folder, [sqlite, postgres])
}

async fn states(settings: &Settings) -> Vec<(i64, State)> {
    let steps = schema::status(settings, &MIGRATIONS).await.unwrap();
    steps.iter().filter(|it| it.tables == OWN).map(|it| (it.version, it.state)).collect()
}

fn versions(steps: &[Step]) -> Vec<i64> {
    steps.iter().filter(|step| step.tables == OWN).map(|step| step.version).collect()
}

#[tokio::test]
async fn migrations_are_listed_applied_and_reverted() {
    use State::{Applied, Pending};

    let (_folder, databases) = both().await;
    for settings in &databases {
        assert_eq!(states(settings).await, [(1, Pending), (2, Pending)]);
        let none = schema::down(settings, &MIGRATIONS, NEWEST).await.unwrap();
        assert!(none.is_empty(), "{none:?}");

        assert_eq!(versions(&schema::up(settings, &MIGRATIONS).await.unwrap()), [1, 2]);
        assert_eq!(states(settings).await, [(1, Applied), (2, Applied)]);
        assert!(schema::up(settings, &MIGRATIONS).await.unwrap().is_empty());

        let reverted = schema::down(settings, &MIGRATIONS, NEWEST).await.unwrap();
        assert_eq!((versions(&reverted), &*reverted[0].description), (vec![2], "notes"));
        assert_eq!(states(settings).await, [(1, Applied), (2, Pending)]);
        schema::up(settings, &MIGRATIONS).await.unwrap();
        let all = Down { to: Some(0), ..NEWEST };
        assert_eq!(versions(&schema::down(settings, &MIGRATIONS, all).await.unwrap()), [2, 1]);
        assert_eq!(states(settings).await, [(1, Pending), (2, Pending)]);
    }
}

#[tokio::test]
async fn a_loss_of_data_is_refused_unless_it_is_allowed() {
    let (_folder, databases) = both().await;
    for settings in &databases {
        schema::up(settings, &MIGRATIONS).await.unwrap();
        let careful = Down { to: Some(0), may_lose_data: false, ..NEWEST };
        let refused = schema::down(settings, &MIGRATIONS, careful).await.unwrap_err().to_string();
        for loss in ["version 2 loses table notes", "version 1 loses table things"] {
            assert!(refused.contains(loss), "{refused}");
        }
        assert_eq!(states(settings).await, [(1, State::Applied), (2, State::Applied)]);
    }
}

#[tokio::test]
async fn targets_that_do_not_exist_are_refused() {
    let (_folder, databases) = both().await;
    for settings in &databases {
        schema::up(settings, &MIGRATIONS).await.unwrap();
        let version = Down { to: Some(7), ..NEWEST };
        let refused = schema::down(settings, &MIGRATIONS, version).await.unwrap_err().to_string();
        assert_eq!(refused, "there is no version 7: expected one of 0, 1, 2");
        let tables = Down { tables: "things", ..NEWEST };
        let refused = schema::down(settings, &MIGRATIONS, tables).await.unwrap_err().to_string();
        assert!(refused.starts_with("there are no tables \"things\": expected one of own"));
    }
}

#[tokio::test]
async fn migrations_of_a_newer_release_are_listed_not_reverted() {
    let none = || Migrator::with_migrations(Vec::new());
    let older = Migrations { sqlite: none(), postgres: none(), shared: &[] };
    let (_folder, databases) = both().await;
    for settings in &databases {
        schema::up(settings, &MIGRATIONS).await.unwrap();
        let steps = schema::status(settings, &older).await.unwrap();
        let own: Vec<_> = steps.iter().filter(|step| step.tables == OWN).collect();
        assert!(own.iter().all(|step| step.state == State::Unknown), "{own:?}");
        assert_eq!((versions(&steps), &*steps[0].description), (vec![1, 2], "things"));
        let refused = schema::down(settings, &older, NEWEST).await.unwrap_err();
        assert!(matches!(refused, SchemaError::Unknown(2)), "{refused}");
    }
}

/// Migration of another build.
const TABLE: &str = "CREATE TABLE other (id BIGINT NOT NULL)";

/// Returns the migrations of [`MIGRATIONS`] up to a version, then those that `more` makes.
fn changed(to: i64, more: &[(i64, &'static str)]) -> Migrations {
    let changed = |of: &Migrator| {
        let kept = of.iter().filter(|migration| migration.version <= to).cloned();
        let more = more.iter().map(|(version, text)| {
            let text = (*text).into_sql_str();
            Migration::new(*version, "other".into(), MigrationType::ReversibleUp, text, false)
        });
        Migrator::with_migrations(kept.chain(more).collect())
    };
    Migrations {
        sqlite: changed(&MIGRATIONS.sqlite),
        postgres: changed(&MIGRATIONS.postgres),
        shared: &[],
    }
}

/// Migrates with `first`, then opens with `then`. Returns the refusal.
async fn refusal(settings: &Settings, first: &Migrations, then: &Migrations) -> OpenError {
    schema::up(settings, first).await.unwrap();
    Database::open(settings, then).await.unwrap_err()
}

#[tokio::test]
async fn a_schema_that_was_made_anew_is_named() {
    let rewritten = changed(0, &[(1, TABLE)]);
    let (_folder, databases) = both().await;
    for settings in &databases {
        // Its second migration, which the other build does not have, tells nothing of a newer release.
        let refused = refusal(settings, &MIGRATIONS, &rewritten).await;
        assert!(matches!(refused, OpenError::Foreign { tables: OWN, version: 1, .. }), "{refused}");
        let name = schema::name(settings);
        let (_engine, database) = name.split_once(' ').unwrap();
        let expected = format!(
            "the database {database} was made by another build: migration 1 of its tables \"own\" was \
             applied with another text than this build's. Start that build, or name an empty \
             database: this one cannot be converted"
        );
        assert_eq!(refused.to_string(), expected);
    }
}

#[tokio::test]
async fn an_unknown_migration_before_a_known_one_is_named() {
    let then = changed(1, &[(3, TABLE)]);
    let (_folder, databases) = both().await;
    for settings in &databases {
        let refused = refusal(settings, &MIGRATIONS, &then).await;
        assert!(matches!(refused, OpenError::Foreign { version: 2, .. }), "{refused}");
        let why = "migration 2 of its tables \"own\" is not among those of this build";
        assert!(refused.to_string().contains(why), "{refused}");
        // Nothing was changed.
        assert_eq!(states(settings).await, [(1, State::Applied), (2, State::Applied)]);
    }
}

#[tokio::test]
async fn an_open_sqlite_file_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings::sqlite_file(folder.path().join("test.db"));
    schema::status(&settings, &MIGRATIONS).await.unwrap();
    assert!(!settings.sqlite.path.exists(), "the status makes no file");
    let open = Database::open(&settings, &MIGRATIONS).await.unwrap();
    for refused in [
        schema::status(&settings, &MIGRATIONS).await,
        schema::up(&settings, &MIGRATIONS).await,
        schema::down(&settings, &MIGRATIONS, NEWEST).await,
    ] {
        let refused = refused.unwrap_err();
        assert!(matches!(refused, SchemaError::Open(OpenError::InUse { .. })), "{refused}");
    }
    open.close().await;
    schema::status(&settings, &MIGRATIONS).await.unwrap();
}
