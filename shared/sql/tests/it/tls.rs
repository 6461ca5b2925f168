//! TLS to a real PostgreSQL server, and passwords.

use std::path::PathBuf;

use gantry_files::Readers;
use gantry_sql::{Database, Settings, TlsSettings};
use gantry_sql_testing::Server;
use gantry_test_authority::Authority;
use sqlx::AssertSqlSafe;

use crate::{MIGRATIONS, insert, names};

const PASSWORD: &str = "correct horse";

/// A server with TLS, on which the user needs a password.
struct Fixture {
    server: Server,
    authority: Authority,
}

impl Fixture {
    async fn new() -> Self {
        let authority = Authority::new();
        let issued = authority.issue("server", &["localhost"]);
        let this =
            Self { server: Server::start_tls(&issued.cert_file, &issued.key_file), authority };
        this.command(format!("ALTER ROLE gantry PASSWORD '{PASSWORD}'")).await;
        this
    }

    /// Runs a statement through the socket, which needs neither TLS nor a password.
    async fn command(&self, statement: String) {
        let mut conn = self.server.connect("postgres").await;
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut conn).await.unwrap();
    }

    /// Changes a setting of the server and waits until new connections have it.
    async fn set(&self, name: &str, value: &str) {
        self.command(format!("ALTER SYSTEM SET {name} = '{value}'")).await;
        self.command("SELECT pg_reload_conf()".to_owned()).await;
        let show = format!("SHOW {name}");
        loop {
            let mut conn = self.server.connect("postgres").await;
            let now = sqlx::query_scalar(AssertSqlSafe(show.clone())).fetch_one(&mut conn).await;
            if value == now.unwrap_or(String::new()) {
                return;
            }
        }
    }

    /// Writes a file that its owner alone can read.
    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.authority.file(name);
        gantry_files::replace(&path, text.as_bytes(), Readers::Owner).unwrap();
        path
    }

    /// Creates a database and returns settings that reach it with TLS and the right password.
    async fn settings(&self) -> Settings {
        let mut settings = self.server.database().await;
        let (_, database) = settings.postgres.url.rsplit_once('/').unwrap();
        let port = self.server.port();
        settings.postgres.url = format!("postgres://gantry@localhost:{port}/{database}");
        settings.postgres.password_file = Some(self.file("password", PASSWORD));
        settings.postgres.tls = Some(TlsSettings::trusting(self.authority.ca_file()));
        settings
    }
}

async fn refusal(settings: &Settings) -> String {
    Database::open(settings, &MIGRATIONS).await.unwrap_err().to_string()
}

async fn is_encrypted(db: &Database) -> bool {
    let mut conn = db.reader().await.unwrap();
    let ssl = conn.query("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()");
    ssl.fetch_value().await.unwrap()
}

#[tokio::test]
async fn a_server_of_the_named_authority_is_accepted() {
    let fixture = Fixture::new().await;
    let mut settings = fixture.settings().await;
    settings.postgres.read_url = Some(settings.postgres.url.clone());
    let db = Database::open(&settings, &MIGRATIONS).await.unwrap();
    insert(&db, "a", "x").await.unwrap();
    assert_eq!(names(&db).await, ["a"]);
    assert!(is_encrypted(&db).await);
    let ssl = "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
               WHERE datname = current_database() AND backend_type = 'client backend'";
    assert!(db.replica().await.unwrap().query(ssl).fetch_value::<bool>().await.unwrap());
}

#[tokio::test]
async fn a_server_that_proves_no_trusted_name_is_refused() {
    let fixture = Fixture::new().await;
    let good = fixture.settings().await;

    let stranger = Authority::new();
    let mut other = good.clone();
    other.postgres.tls = Some(TlsSettings::trusting(stranger.ca_file()));
    let other = refusal(&other).await;
    assert!(other.contains(&good.postgres.url) && other.contains("UnknownIssuer"), "{other}");

    let mut name = good.clone();
    name.postgres.url = name.postgres.url.replace("localhost", "127.0.0.1");
    let name = refusal(&name).await;
    assert!(name.contains("certificate not valid for name"), "{name}");

    let mut replica = good.clone();
    replica.postgres.read_url = Some(good.postgres.url.replace("localhost", "127.0.0.1"));
    let replica = refusal(&replica).await;
    assert!(replica.contains("@127.0.0.1"), "{replica}");
}

/// sqlx would trust them beside those of the settings.
#[test]
fn no_public_authority_is_trusted() {
    assert!(webpki_roots::TLS_SERVER_ROOTS.is_empty());
}

#[tokio::test]
async fn new_connections_read_replaced_authorities() {
    let fixture = Fixture::new().await;
    let db = Database::open(&fixture.settings().await, &MIGRATIONS).await.unwrap();
    let _the_open_one = db.reader().await.unwrap();
    std::fs::copy(Authority::new().ca_file(), fixture.authority.ca_file()).unwrap();
    db.reader().await.unwrap_err();
}

#[tokio::test]
async fn a_server_without_tls_is_refused() {
    let fixture = Fixture::new().await;
    let settings = fixture.settings().await;
    fixture.set("ssl", "off").await;
    let refused = refusal(&settings).await;
    assert!(refused.contains(&settings.postgres.url), "{refused}");
    assert!(refused.contains("server does not support TLS"), "{refused}");

    let mut plain = settings.clone();
    plain.postgres.tls = None;
    let db = Database::open(&plain, &MIGRATIONS).await.unwrap();
    assert!(!is_encrypted(&db).await);
}

#[tokio::test]
async fn a_certificate_is_shown_to_a_server_that_requires_it() {
    let fixture = Fixture::new().await;
    let clients = Authority::new();
    let folder = fixture.server.folder();
    std::fs::copy(clients.ca_file(), folder.join("clients.pem")).unwrap();
    fixture.set("ssl_ca_file", "../clients.pem").await;
    fixture
        .command(
            "COPY (VALUES ('local all all trust'), ('hostssl all all all trust clientcert=verify-ca'))
             TO PROGRAM 'cat >pg_hba.conf'"
                .to_owned(),
        )
        .await;
    // Read in the same order, so it waits for the file too.
    fixture.set("application_name", "reloaded").await;

    let mut settings = fixture.settings().await;
    settings.postgres.password_file = None;
    let without = refusal(&settings).await;
    assert!(without.contains("certificate"), "{without}");
    let issued = clients.issue("gantry", &["gantry"]);
    let tls = TlsSettings::trusting(fixture.authority.ca_file());
    let half = tls.clone().cert_file(&issued.cert_file);
    settings.postgres.tls = Some(half);
    let half = refusal(&settings).await;
    assert_eq!(half, "database.postgres.tls.key_file: is required with cert_file");
    settings.postgres.tls = Some(tls.cert_file(issued.cert_file).key_file(issued.key_file));
    let db = Database::open(&settings, &MIGRATIONS).await.unwrap();
    assert!(is_encrypted(&db).await);
}

#[tokio::test]
async fn wrong_files_passwords_and_databases_are_named() {
    let fixture = Fixture::new().await;
    let good = fixture.settings().await;

    let mut password = good.clone();
    password.postgres.password_file = Some(fixture.file("wrong", "not that one"));
    let password = refusal(&password).await;
    assert!(password.contains("password authentication failed for user \"gantry\""), "{password}");
    assert!(!password.contains("not that one"), "{password}");

    let mut none = good.clone();
    none.postgres.password_file = None;
    let none = refusal(&none).await;
    assert!(none.contains("password"), "{none}");

    let mut absent = good.clone();
    absent.postgres.url = good.postgres.url.replace("/test_", "/absent_");
    let absent = refusal(&absent).await;
    assert!(absent.contains("\"absent_") && absent.contains("does not exist"), "{absent}");

    for (file, text, why) in
        [("absent.pem", None, "No such file"), ("words.pem", Some("words"), "holds no certificate")]
    {
        let path = match text {
            Some(text) => fixture.file(file, text),
            None => fixture.authority.file(file),
        };
        let mut settings = good.clone();
        settings.postgres.tls = Some(TlsSettings::trusting(path));
        let refused = refusal(&settings).await;
        assert!(refused.starts_with("database.postgres.tls.ca_file: "), "{refused}");
        assert!(refused.contains(file) && refused.contains(why), "{refused}");
    }
}
