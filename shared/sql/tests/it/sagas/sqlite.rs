//! The suite on SQLite, and tests of SQLite alone.

use gantry_saga::{Log, Status};
use gantry_sql::sagas::SagaLog;
use tempfile::TempDir;

use super::{LEASE, Logs, started};
use crate::{Fixture, open};

async fn logs() -> (TempDir, Logs) {
    let Fixture { folder, db } = Fixture::new().await;
    (folder, Logs::open(db.clone(), db).await)
}

contract!(logs);

#[tokio::test]
async fn opening_the_log_ends_the_leases_of_a_dead_process() {
    let (folder, logs) = logs().await;
    logs.begin(1, "test").await;
    let held = logs.claim().await.remove(0);
    logs.append(&held, 0, started("a"), Status::Running).await;
    logs.database.close().await;

    let log = SagaLog::open(open(&folder).await.unwrap()).await.unwrap();
    let resumed = log.claim(&["test"], 9, LEASE).await.unwrap().remove(0);
    assert_eq!((resumed.epoch, resumed.entries), (2, vec![started("a")]));
}
