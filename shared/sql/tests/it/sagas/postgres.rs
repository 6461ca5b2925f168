//! The suite on PostgreSQL, and tests of several replicas.

use gantry_saga::{Log, LogError, Status};
use gantry_sql::{Database, sagas::SagaLog};
use gantry_sql_testing::Server;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::{LEASE, Logs, append, begin, saga, started};
use crate::MIGRATIONS;

/// Opens an empty database twice.
pub(super) async fn replicas() -> [Database; 2] {
    let settings = Server::shared().database().await;
    let open = async || Database::open(&settings, &MIGRATIONS).await.unwrap();
    [open().await, open().await]
}

async fn logs() -> ((), Logs) {
    let [one, other] = replicas().await;
    ((), Logs::open(one, other).await)
}

contract!(logs);

#[tokio::test]
async fn opening_the_log_leaves_the_leases_of_others() {
    let ((), logs) = logs().await;
    logs.begin(1, "test").await;
    logs.claim().await;
    let log = SagaLog::open(logs.database.clone()).await.unwrap();
    assert!(log.claim(&["test"], 9, LEASE).await.unwrap().is_empty());
}

/// Each round, the holder of the lease and the next claimant write the same position at the same
/// time. Never both of them do.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_deposed_holder_never_writes_beside_its_successor() {
    let ((), logs) = logs().await;
    for round in 0..20 {
        begin(&logs.database, saga(round, "test")).await.unwrap();
        let held = logs.claim().await.remove(0);
        logs.advance(LEASE).await;
        let entries = [started("a")];
        let (written, claimed) = tokio::join!(
            logs.one.append(append(&held, 0, &entries, Status::Completed)),
            logs.other.claim(&["test"], 1, LEASE),
        );
        match (written, claimed.unwrap().as_slice()) {
            (Ok(()), []) => {}
            (Err(LogError::Stale), [next]) => {
                assert!(next.entries.is_empty());
                let done = append(next, 0, &entries, Status::Completed);
                logs.other.append(done).await.unwrap();
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn claimants_of_a_crowd_do_not_wait_for_each_other() {
    const SAGAS: u128 = 200;
    let ((), logs) = logs().await;
    for id in 0..SAGAS {
        logs.begin(id, "test").await;
    }
    let mut claims = JoinSet::new();
    for log in [&logs.one, &logs.other].into_iter().cycle().take(16) {
        let log = log.clone();
        claims.spawn(async move {
            let mut ids: Vec<Uuid> = Vec::new();
            loop {
                let claimed = log.claim(&["test"], 10, LEASE).await.unwrap();
                if claimed.is_empty() {
                    return ids;
                }
                ids.extend(claimed.iter().map(|saga| saga.id));
            }
        });
    }
    let mut all = claims.join_all().await.concat();
    all.sort_unstable();
    assert_eq!(all, (0..SAGAS).map(Uuid::from_u128).collect::<Vec<_>>());
}
