//! Every statement of the crate, prepared on its engines.

use std::path::Path;

use gantry_sql::Settings;
use gantry_sql_testing::{
    Server,
    statements::{Statement, refused, statements},
};

use crate::MIGRATIONS;

#[tokio::test]
async fn the_engines_prepare_every_statement() {
    let all = statements(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")));
    let is_sqlites = |it: &&Statement| it.text.starts_with("PRAGMA");
    let is_postgresqls = |it: &&Statement| it.text.contains("pg_");
    let on = |engine: &dyn Fn(&&Statement) -> bool| -> Vec<Statement> {
        let is_shared = |it: &&Statement| !is_sqlites(it) && !is_postgresqls(it);
        all.iter().filter(|it| engine(it) || is_shared(it)).cloned().collect()
    };
    let (on_sqlite, on_postgres) = (on(&is_sqlites), on(&is_postgresqls));
    for statements in [&on_sqlite, &on_postgres] {
        assert!(statements.iter().any(|it| it.text.contains("WITH free AS MATERIALIZED")));
        assert!(statements.len() < all.len(), "each engine has some of its own");
    }
    let folder = tempfile::tempdir().unwrap();
    let sqlite = Settings::sqlite_file(folder.path().join("test.db"));
    let postgres = Server::shared().database().await;
    for (settings, statements) in [(sqlite, on_sqlite), (postgres, on_postgres)] {
        let refused = refused(&settings, &MIGRATIONS, &statements).await;
        assert!(refused.is_empty(), "{}", refused.join("\n"));
    }
}

#[tokio::test]
async fn a_statement_that_an_engine_refuses_is_named() {
    let statement = |text: &str| Statement { text: text.to_owned(), at: "here.rs".into() };
    let statements = [
        statement("SELECT name FROM things WHERE name = $1"),
        statement("SELECT absent FROM things"),
        statement("INSERT INTO absent (name) VALUES ($1)"),
    ];
    let folder = tempfile::tempdir().unwrap();
    let sqlite = Settings::sqlite_file(folder.path().join("test.db"));
    for settings in [sqlite, Server::shared().database().await] {
        let refused = refused(&settings, &MIGRATIONS, &statements).await;
        let [column, table] = &refused[..] else { panic!("{refused:?}") };
        assert!(column.starts_with("here.rs: ") && column.contains("SELECT absent"), "{column}");
        assert!(table.contains("INSERT INTO absent"), "{table}");
    }
}
