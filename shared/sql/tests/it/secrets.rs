//! Secrets that all processes on a database must share, on both engines.

use gantry_sql::{Database, Settings, SharedSecret, agree};
use gantry_sql_testing::Server;

use crate::{Fixture, MIGRATIONS};

fn secret(used: &str, accepted: &[&str]) -> SharedSecret {
    SharedSecret::new("tokens.key_file", used).accepting(accepted.iter().copied())
}

async fn open(settings: &Settings) -> Database {
    Database::open(settings, &MIGRATIONS).await.unwrap()
}

#[tokio::test]
async fn a_secret_that_differs_is_told_and_not_recorded() {
    let settings = Server::shared().database().await;
    let (one, other) = (open(&settings).await, open(&settings).await);
    assert!(agree(&one, secret("a", &[])).await.unwrap());
    assert!(agree(&other, secret("a", &[])).await.unwrap());
    assert!(!agree(&other, secret("b", &[])).await.unwrap());
    // Only one side accepts the other.
    assert!(!agree(&other, secret("b", &["a"])).await.unwrap());
    assert!(agree(&one, secret("a", &[])).await.unwrap());
    // Another secret of the service is not compared with it.
    assert!(agree(&other, SharedSecret::new("idempotency.key_file", "b")).await.unwrap());
}

#[tokio::test]
async fn a_secret_rotates_with_overlap() {
    let db = open(&Server::shared().database().await).await;
    let steps = [secret("a", &[]), secret("a", &["b"]), secret("b", &["a"]), secret("b", &[])];
    for pair in steps.windows(2) {
        // Replicas are restarted one by one, so either may start after the other.
        for start in [&pair[0], &pair[1], &pair[0], &pair[1]] {
            assert!(agree(&db, start.clone()).await.unwrap(), "{start:?}");
        }
    }
    assert!(!agree(&db, secret("a", &[])).await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_processes_that_start_at_once_one_secret_wins() {
    for _ in 0..10 {
        let settings = Server::shared().database().await;
        let (one, other) = (open(&settings).await, open(&settings).await);
        let (a, b) = tokio::join!(agree(&one, secret("a", &[])), agree(&other, secret("b", &[])));
        assert!(a.unwrap() != b.unwrap());
    }
}

#[tokio::test]
async fn a_new_secret_replaces_the_old_one_on_sqlite() {
    let Fixture { db, folder: _folder } = Fixture::new().await;
    assert!(agree(&db, secret("a", &[])).await.unwrap());
    assert!(!agree(&db, secret("b", &[])).await.unwrap());
    assert!(agree(&db, secret("b", &[])).await.unwrap());
}
