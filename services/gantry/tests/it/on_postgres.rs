//! `gantry up` and `migrate` on PostgreSQL, by settings alone.

use std::{os::unix::fs::symlink, process::Output};

use gantry_proto::shop::order::v1::{ListOrdersRequest, Order, OrderStatus};
use gantry_sql_testing::Server;
use sqlx::{AssertSqlSafe, Connection, SqliteConnection};

use crate::{
    cluster::SERVICES,
    own_binaries::{assert_refused, command},
    process::{Suite, gantry},
    shop::{Customer, Shop, bearer, new_order},
};

/// Settings that lead every service to a database of its own on the server.
async fn settings(server: &Server) -> Vec<(String, String)> {
    at(server.databases(SERVICES).await)
}

fn at(url: String) -> Vec<(String, String)> {
    vec![
        ("GANTRY_DATABASE__KIND".to_owned(), "postgres".to_owned()),
        ("GANTRY_DATABASE__POSTGRES__URL".to_owned(), url),
    ]
}

fn run(settings: &[(String, String)], args: &[&str]) -> Output {
    gantry().args(args).envs(settings.iter().cloned()).output().unwrap()
}

/// Returns the exit code and the output of `gantry migrate`.
fn migrate(settings: &[(String, String)], data: &str, args: &[&str]) -> (i32, String) {
    let output = run(settings, &[&["migrate"], args, &["--data-dir", data]].concat());
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(text).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_suite_keeps_its_data_in_postgresql() {
    let server = Server::start();
    let settings = settings(&server).await;
    let mut suite = Suite::start_set(&[], &settings);
    let mut demo = gantry();
    demo.arg("demo").args(["--port-offset", &suite.offset().to_string()]);
    let output = demo.arg("--data-dir").arg(suite.data()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("done:"), "{text}");
    let shop = Shop::open(&suite).await;
    let (user, order) = shop.one_confirmed_order().await;
    let sku = order.items[0].sku.clone();
    let stock = shop.stock(&sku).await;
    drop(shop);
    assert!(suite.terminate().success(), "{}", suite.process.log());
    assert!(!suite.data().join("user.db").exists());

    let mut suite = suite.start_again();
    let shop = Shop::open(&suite).await;
    assert_eq!(shop.user(&user.id).await, user);
    assert_eq!(shop.order(&order.id).await, order);
    assert_eq!((shop.stock(&sku).await, order.status()), (stock, OrderStatus::Confirmed));
    drop(shop);
    suite.process.kill();

    let suite = suite.start_again();
    assert_eq!(Shop::open(&suite).await.order(&order.id).await, order);
}

async fn list(shop: &Shop, customer: &Customer) -> Vec<Order> {
    let request = bearer(ListOrdersRequest::default(), &customer.token);
    shop.orders.clone().list_orders(request).await.unwrap().into_inner().orders
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lagging_standby_makes_lists_old_and_fails_no_command() {
    let server = Server::start();
    let standby = server.start_standby();
    let mut settings = settings(&server).await;
    let read_url = standby.replica_of(&settings[1].1);
    settings.push(("GANTRY_DATABASE__POSTGRES__READ_URL".to_owned(), read_url));
    standby.catch_up(&server).await;
    let suite = Suite::start_set(&[], &settings);
    let shop = Shop::open(&suite).await;
    let customer = shop.customer().await;
    let product = shop.product(10).await;
    // Products are read from the standby.
    standby.catch_up(&server).await;

    standby.pause_replay().await;
    let request = new_order(&customer.user.id, &[(&product.sku, 3)]);
    let create = async || {
        let request = bearer(request.clone(), &customer.token);
        shop.orders.clone().create_order(request).await.unwrap().into_inner()
    };
    let draft = create().await;
    assert_eq!(create().await, draft, "a repeated request is recognised");
    let placed = shop.place(&customer, &draft).await.unwrap();
    assert_eq!(placed.status(), OrderStatus::Confirmed);
    assert_eq!(shop.order(&draft.id).await, placed);
    assert_eq!(list(&shop, &customer).await, []);
    assert_eq!(shop.stock(&product.sku).await, (10, 0));

    standby.resume_replay().await;
    standby.catch_up(&server).await;
    assert_eq!(list(&shop, &customer).await, [placed]);
    assert_eq!(shop.stock(&product.sku).await, (7, 0));
}

/// Ends the session of the first COMMIT that adds a product.
const LOSE_THE_FIRST_COMMIT: &str = "
    CREATE SEQUENCE commits;
    CREATE FUNCTION lose() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF nextval('commits') = 1 THEN
                PERFORM pg_terminate_backend(pg_backend_pid());
                PERFORM pg_sleep(60);
            END IF;
            RETURN NULL;
        END $$;
    CREATE CONSTRAINT TRIGGER lose AFTER INSERT ON products DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION lose()";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_repeats_a_call_whose_commit_was_lost() {
    let server = Server::start();
    let settings = settings(&server).await;
    let suite = Suite::start_set(&[], &settings);
    let shop = Shop::open(&suite).await;
    let (_, database) = settings[1].1.rsplit_once('/').unwrap();
    let mut conn = server.connect(&database.replace("SERVICE", "inventory")).await;
    sqlx::raw_sql(LOSE_THE_FIRST_COMMIT).execute(&mut conn).await.unwrap();
    let product = shop.product(10).await;
    assert_eq!(shop.stock(&product.sku).await, (10, 0));
    let commits = sqlx::query_scalar("SELECT last_value FROM commits").fetch_one(&mut conn);
    let commits: i64 = commits.await.unwrap();
    assert_eq!(commits, 2, "the first was lost");
    assert!(suite.process.log().contains("outcome of a commit unknown"), "{}", suite.process.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_is_listed_applied_and_reverted() {
    let server = Server::start();
    let postgres = settings(&server).await;
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let data = data.to_str().unwrap();
    for (settings, engine) in [(vec![], "SQLite"), (postgres, "PostgreSQL")] {
        let migrate = |args: &[&str]| migrate(&settings, data, args);
        let expected = |action: &str, state| {
            let (code, text) = migrate(&["order", action]);
            assert_eq!(code, 0, "{text}");
            assert!(text.starts_with(engine), "{text}");
            let states = text.lines().skip(1).map(|line| line.rsplit("  ").next().unwrap());
            assert!(states.clone().count() > 0 && states.clone().all(|it| it == state), "{text}");
        };
        expected("status", "pending");
        expected("up", "applied");
        expected("status", "applied");
        let (code, text) = migrate(&["order", "down"]);
        assert_eq!(code, 1, "{text}");
        assert!(text.contains("loses table orders") && text.contains("--yes"), "{text}");
        expected("status", "applied");
        let (code, text) = migrate(&["order", "down", "--to", "0", "--yes"]);
        assert!(code == 0 && text.contains("reverted"), "{text}");
        // Another service has a database of its own.
        let (code, text) = migrate(&["user", "status"]);
        assert!(code == 0 && text.contains("pending"), "{text}");
    }
}

#[test]
fn a_database_in_use_is_not_migrated() {
    let suite = Suite::start(&[]);
    let data = suite.data();
    let (code, text) = migrate(&[], data.to_str().unwrap(), &["order", "down", "--yes"]);
    assert_eq!(code, 2, "{text}");
    assert!(text.contains(&format!("in use by process {}", suite.process.id())), "{text}");
}

/// Row of a migration that this release does not know.
const NEWER: &str = "(version, description, success, checksum, execution_time)
     VALUES (9999, 'of a newer release', true, '', 0)";

#[tokio::test(flavor = "multi_thread")]
async fn the_suite_serves_on_a_newer_schema_of_postgresql() {
    let server = Server::start();
    let url = server.databases(SERVICES).await;
    let mut suite = Suite::start_set(&[], &at(url.clone()));
    assert!(suite.terminate().success(), "{}", suite.process.log());
    for service in SERVICES {
        let name = url.rsplit_once('/').unwrap().1.replace("SERVICE", service);
        let mut database = server.connect(&name).await;
        let own = AssertSqlSafe(format!("INSERT INTO _sqlx_migrations {NEWER}"));
        sqlx::query(own).execute(&mut database).await.unwrap();
    }
    let suite = suite.start_again();
    Shop::open(&suite).await.one_confirmed_order().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_sqlite_file_is_refused_by_name() {
    let mut suite = Suite::start(&[]);
    assert!(suite.terminate().success());
    let data = suite.data();
    let working = tempfile::tempdir().unwrap();
    symlink(&data, working.path().join(".gantry")).unwrap();
    let file = data.join("order.db");
    for table in ["_sqlx_migrations", "_sqlx_saga_migrations"] {
        let url = format!("sqlite:{}", file.display());
        let execute = async |statement: String| {
            let mut database = SqliteConnection::connect(&url).await.unwrap();
            sqlx::query(AssertSqlSafe(statement)).execute(&mut database).await.unwrap();
            database.close().await.unwrap();
        };
        execute(format!("INSERT INTO {table} {NEWER}")).await;
        let offset = suite.offset().to_string();
        let up = ["up", "--port-offset", &offset, "--data-dir", data.to_str().unwrap()];
        let own = command("order", working.path()).output().unwrap();
        for output in [run(&[], &up), own] {
            let cause = "order.db was migrated to version 9999 by a newer release: start that one";
            assert_refused(&output, &[cause]);
        }
        execute(format!("DELETE FROM {table} WHERE version = 9999")).await;
    }
    drop(suite.start_again());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unusable_database_is_named_with_exit_code_2() {
    let server = Server::start();
    let url = server.databases(&[]).await;
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let missing = at(url.clone());
    let (code, text) = migrate(&missing, data.to_str().unwrap(), &["user", "status"]);
    assert!(code == 2 && text.contains("_user\" does not exist"), "{code} {text}");
    let offset = crate::process::free_offset().to_string();
    let up = ["up", "--port-offset", &offset, "--data-dir", data.to_str().unwrap()];
    for (key, value, expected) in [
        ("URL", "user.db", "user.database.postgres.url: expected postgres://"),
        ("WRITERS", "0", "user.database.postgres.writers: expected a whole number from 1"),
        ("URL", &url, "does not exist"),
    ] {
        let own = (format!("GANTRY_DATABASE__POSTGRES__{key}"), value.to_owned());
        let output = run(&[missing.clone(), vec![own]].concat(), &up);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains(expected), "{text}");
    }
}
