//! A PostgreSQL server that is lost during a COMMIT: nobody knows whether it took effect.

use std::{
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use gantry_contract::{GantryReason, Reason, idempotency::RequestKey};
use gantry_sql::{Database, Settings, StorageError, requests};
use gantry_sql_testing::Server;
use tempfile::TempDir;
use time::OffsetDateTime;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixListener, UnixStream},
    task::JoinSet,
};
use uuid::Uuid;

use crate::{MIGRATIONS, add, names, pause};

/// Makes a thing on behalf of a request. Returns true if the request had made it before.
pub(crate) async fn make(db: Database) -> Result<bool, StorageError> {
    let request = RequestKey {
        subject: "ann".to_owned(),
        method: "/things/Make",
        request_id: Uuid::from_u128(1),
        fingerprint: [1; 32],
    };
    let made = db.write(request, |conn, request| {
        Box::pin(async move {
            if requests::find(conn, request).await? != requests::Found::New {
                return Ok(true);
            }
            requests::insert(conn, request, "made", OffsetDateTime::UNIX_EPOCH).await?;
            add(conn, "made", "made").await?;
            Ok::<_, sqlx::Error>(false)
        })
    });
    Ok(made.await?)
}

fn assert_unknown(made: Result<bool, StorageError>) {
    let error = made.unwrap_err();
    assert!(matches!(error, StorageError::OutcomeUnknown(_)), "{error:?}");
    let status = tonic::Status::from(error.failure());
    assert_eq!(status.code(), tonic::Code::Unavailable);
    assert!(GantryReason::OutcomeUnknown.is_given_by(&status), "{status:?}");
}

async fn execute(db: &Database, statement: &'static str) -> Result<u64, sqlx::Error> {
    db.write((), move |conn, ()| Box::pin(conn.query(statement).execute())).await
}

/// Returns the server process whose COMMIT is under way.
async fn committing(db: &Database) -> i32 {
    const COMMIT: &str = "SELECT pid FROM pg_stat_activity
         WHERE datname = current_database() AND state = 'active' AND query = 'COMMIT'";
    loop {
        let mut conn = db.reader().await.unwrap();
        let found = conn.query(COMMIT).fetch_optional::<(i32,)>().await.unwrap();
        if let Some((pid,)) = found {
            return pid;
        }
        pause().await;
    }
}

#[tokio::test]
async fn a_server_killed_within_a_commit_leaves_it_unknown() {
    let server = Server::start();
    let db = Database::open(&server.database().await, &MIGRATIONS).await.unwrap();
    for statement in [
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS
             'BEGIN PERFORM pg_sleep(600); RETURN NULL; END'",
        "CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON things DEFERRABLE INITIALLY DEFERRED
             FOR EACH ROW EXECUTE FUNCTION slow()",
    ] {
        execute(&db, statement).await.unwrap();
    }
    let making = tokio::spawn(make(db.clone()));
    let pid = committing(&db).await.to_string();
    assert!(Command::new("kill").args(["-KILL", &pid]).status().unwrap().success());
    assert_unknown(making.await.unwrap());

    // The server ends all sessions and recovers.
    while execute(&db, "DROP TRIGGER IF EXISTS slow ON things").await.is_err() {
        pause().await;
    }
    assert!(!make(db.clone()).await.unwrap(), "the first one was not committed");
    assert!(make(db.clone()).await.unwrap());
    assert_eq!(names(&db).await, ["made"]);
}

/// A relay to a server that can lose the answer to a COMMIT.
struct Relay {
    folder: TempDir,
    /// Loses the next one.
    loses: Arc<AtomicBool>,
    _connections: JoinSet<()>,
}

impl Relay {
    fn to(server: &Server) -> Self {
        const SOCKET: &str = ".s.PGSQL.5432";
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join(SOCKET)).unwrap();
        let server = server.folder().join(SOCKET);
        let loses = Arc::new(AtomicBool::new(false));
        let mut connections = JoinSet::new();
        let shared = Arc::clone(&loses);
        connections.spawn(async move {
            let mut relays = JoinSet::new();
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let server = UnixStream::connect(&server).await.unwrap();
                relays.spawn(relay(client, server, Arc::clone(&shared)));
            }
        });
        Self { folder, loses, _connections: connections }
    }

    /// Returns the settings of the same database through the relay.
    fn settings(&self, settings: &Settings, server: &Server) -> Settings {
        let encode = |folder: &std::path::Path| folder.to_str().unwrap().replace('/', "%2F");
        let mut settings = settings.clone();
        let url =
            settings.postgres.url.replace(&encode(server.folder()), &encode(self.folder.path()));
        assert_ne!(url, settings.postgres.url);
        settings.postgres.url = url;
        settings
    }
}

async fn relay(mut client: UnixStream, mut server: UnixStream, loses: Arc<AtomicBool>) {
    let (mut sent, mut answered) = ([0; 8192], [0; 8192]);
    loop {
        tokio::select! {
            read = client.read(&mut sent) => {
                let Ok(length @ 1..) = read else { return };
                let _gone = server.write_all(&sent[..length]).await;
                let commits = sent[..length].windows(6).any(|text| text == b"COMMIT");
                if commits && loses.swap(false, Ordering::Relaxed) {
                    let _lost = server.read(&mut answered).await;
                    return;
                }
            }
            read = server.read(&mut answered) => {
                let Ok(length @ 1..) = read else { return };
                let _gone = client.write_all(&answered[..length]).await;
            }
        }
    }
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_is_recognised_when_repeated() {
    let server = Server::shared();
    let relay = Relay::to(server);
    let settings = relay.settings(&server.database().await, server);
    let db = Database::open(&settings, &MIGRATIONS).await.unwrap();
    relay.loses.store(true, Ordering::Relaxed);
    assert_unknown(make(db.clone()).await);
    assert_eq!(names(&db).await, ["made"]);
    assert!(make(db.clone()).await.unwrap(), "the first one was committed");
    assert_eq!(names(&db).await, ["made"]);
}
