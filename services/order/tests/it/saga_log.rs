//! Contract of the saga log, checked on both engines.

use std::{sync::Arc, time::Duration};

use gantry_common_testing::repository::{execute, postgres};
use gantry_order::{
    application::{OrderRepository, UnitOfWork},
    outbound::sql::{MIGRATIONS, SqlRepository, SqlSagaLog},
};
use gantry_saga::{Append, Claimed, Context, Entry, Failure, Log, LogError, NewSaga, Status};
use gantry_sql::Database;
use tempfile::TempDir;
use uuid::Uuid;

use crate::support::{ANN, TestClock, database, draft, open, unit};

const LEASE: Duration = Duration::from_secs(10);

struct Fixture {
    /// Folder of the database, if it is a file.
    folder: Option<TempDir>,
    database: Database,
    clock: TestClock,
    log: SqlSagaLog,
}

impl Fixture {
    async fn sqlite() -> Self {
        let (folder, database) = database().await;
        Self::new(Some(folder), database).await
    }

    async fn postgres() -> Self {
        Self::new(None, postgres(&MIGRATIONS).await).await
    }

    async fn new(folder: Option<TempDir>, database: Database) -> Self {
        let clock = TestClock::default();
        let log = SqlSagaLog::open(database.clone(), Arc::new(clock.clone())).await.unwrap();
        Self { folder, database, clock, log }
    }

    async fn begin(&self, id: u128, name: &'static str) {
        let saga = NewSaga::new(Uuid::from_u128(id), name, &"input", Context::default()).unwrap();
        let unit = UnitOfWork { saga: Some(saga), ..unit(draft(ANN, &[("mug", 1)])) };
        SqlRepository::new(self.database.clone()).commit(unit).await.unwrap();
    }

    async fn claim(&self) -> Vec<Claimed> {
        self.log.claim(&["test"], 9, LEASE).await.unwrap()
    }
}

/// Declares each test on both engines.
macro_rules! on_both {
    ($($test:ident)*) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $test() {
                super::$test(super::Fixture::sqlite().await).await;
            })*
        }

        mod postgres {
            $(#[tokio::test]
            async fn $test() {
                super::$test(super::Fixture::postgres().await).await;
            })*
        }
    };
}

on_both! {
    a_claimed_saga_is_held_until_its_lease_ends
    a_write_renews_the_lease
    a_stale_epoch_is_refused_and_writes_nothing
    entries_read_back_in_order
    a_position_is_written_once
    an_ended_saga_is_never_claimed
    a_released_saga_pauses
    a_claim_takes_the_oldest_of_a_name_up_to_its_limit
    concurrent_claims_never_share_a_saga
    an_unreadable_log_does_not_block_the_others
}

fn started(step: &str) -> Entry {
    Entry::Started { step: step.to_owned() }
}

fn append<'a>(saga: &Claimed, position: usize, entry: &'a Entry, status: Status) -> Append<'a> {
    let entries = std::slice::from_ref(entry);
    Append { saga: saga.id, epoch: saga.epoch, position, entries, status, lease: LEASE }
}

fn ids(claimed: &[Claimed]) -> Vec<u128> {
    claimed.iter().map(|saga| saga.id.as_u128()).collect()
}

async fn a_claimed_saga_is_held_until_its_lease_ends(it: Fixture) {
    it.begin(1, "test").await;
    let held = it.claim().await.remove(0);
    assert_eq!((held.input.as_str(), held.epoch, held.entries.len()), ("\"input\"", 1, 0));
    it.clock.advance(LEASE - Duration::from_micros(1));
    assert!(it.claim().await.is_empty());
    it.clock.advance(Duration::from_micros(1));
    assert_eq!(it.claim().await[0].epoch, 2);
}

async fn a_write_renews_the_lease(it: Fixture) {
    it.begin(1, "test").await;
    let held = it.claim().await.remove(0);
    for position in 0..3 {
        it.clock.advance(LEASE / 2);
        it.log.append(append(&held, position, &started("a"), Status::Running)).await.unwrap();
        it.clock.advance(LEASE / 2);
        assert!(it.claim().await.is_empty());
    }
}

async fn a_stale_epoch_is_refused_and_writes_nothing(it: Fixture) {
    it.begin(1, "test").await;
    let stale = it.claim().await.remove(0);
    it.clock.advance(LEASE);
    let held = it.claim().await.remove(0);

    let refused = it.log.append(append(&stale, 0, &started("a"), Status::Completed)).await;
    assert!(matches!(refused, Err(LogError::Stale)), "{refused:?}");
    let refused = it.log.release(stale.id, stale.epoch, Duration::ZERO).await;
    assert!(matches!(refused, Err(LogError::Stale)), "{refused:?}");

    it.log.append(append(&held, 0, &started("b"), Status::Running)).await.unwrap();
    it.clock.advance(LEASE);
    assert_eq!(it.claim().await[0].entries, [started("b")]);
}

async fn entries_read_back_in_order(it: Fixture) {
    it.begin(1, "test").await;
    let held = it.claim().await.remove(0);
    let failure = Failure::refused("NO", "'quoted'; -- 🦀");
    let entries: Vec<_> = (0..12)
        .map(|n| started(&format!("step {n}")))
        .chain([Entry::Failed { step: "last".to_owned(), failure }])
        .collect();
    for (position, entry) in entries.iter().enumerate() {
        it.log.append(append(&held, position, entry, Status::Running)).await.unwrap();
    }
    it.log.release(held.id, held.epoch, Duration::ZERO).await.unwrap();
    assert_eq!(it.claim().await[0].entries, entries);
}

async fn a_position_is_written_once(it: Fixture) {
    it.begin(1, "test").await;
    let held = it.claim().await.remove(0);
    it.log.append(append(&held, 0, &started("a"), Status::Running)).await.unwrap();
    let again = it.log.append(append(&held, 0, &started("b"), Status::Completed)).await;
    assert!(matches!(again, Err(LogError::Stale)), "{again:?}");
    // Nothing was written: the saga is still running.
    it.log.release(held.id, held.epoch, Duration::ZERO).await.unwrap();
    assert_eq!(it.claim().await[0].entries, [started("a")]);
}

async fn an_ended_saga_is_never_claimed(it: Fixture) {
    for (id, status) in [(1, Status::Completed), (2, Status::Undone), (3, Status::Stuck)] {
        it.begin(id, "test").await;
        let held = it.claim().await.remove(0);
        it.log.append(append(&held, 0, &started("a"), status)).await.unwrap();
        it.clock.advance(LEASE * 100);
        assert!(it.claim().await.is_empty(), "{status:?}");
        let late = it.log.release(held.id, held.epoch, Duration::ZERO).await;
        assert!(matches!(late, Err(LogError::Stale)), "{late:?}");
    }
}

async fn a_released_saga_pauses(it: Fixture) {
    it.begin(1, "test").await;
    let held = it.claim().await.remove(0);
    it.log.release(held.id, held.epoch, Duration::from_secs(60)).await.unwrap();
    it.clock.advance(Duration::from_secs(59));
    assert!(it.claim().await.is_empty());
    it.clock.advance(Duration::from_secs(1));
    assert_eq!(it.claim().await[0].epoch, 2);
}

async fn a_claim_takes_the_oldest_of_a_name_up_to_its_limit(it: Fixture) {
    for (id, name) in [(3, "test"), (1, "other"), (4, "test"), (2, "test")] {
        it.begin(id, name).await;
    }
    assert_eq!(ids(&it.log.claim(&["test"], 2, LEASE).await.unwrap()), [2, 3]);
    assert_eq!(ids(&it.log.claim(&["test"], 2, LEASE).await.unwrap()), [4]);
    assert_eq!(ids(&it.log.claim(&["other"], 2, LEASE).await.unwrap()), [1]);
}

async fn concurrent_claims_never_share_a_saga(it: Fixture) {
    for id in 0..20 {
        it.begin(id, "test").await;
    }
    let (one, other) =
        tokio::join!(it.log.claim(&["test"], 15, LEASE), it.log.claim(&["test"], 15, LEASE));
    let mut all = [ids(&one.unwrap()), ids(&other.unwrap())].concat();
    all.sort_unstable();
    assert_eq!(all, (0..20).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_lease_of_another_replica_is_kept() {
    let it = Fixture::postgres().await;
    it.begin(1, "test").await;
    assert_eq!(ids(&it.claim().await), [1]);
    let log = SqlSagaLog::open(it.database.clone(), Arc::new(it.clock.clone())).await.unwrap();
    assert!(log.claim(&["test"], 9, LEASE).await.unwrap().is_empty());
    it.clock.advance(LEASE);
    assert_eq!(log.claim(&["test"], 9, LEASE).await.unwrap()[0].epoch, 2);
}

#[tokio::test]
async fn leases_of_an_ended_process_are_void() {
    let it = Fixture::sqlite().await;
    it.begin(1, "test").await;
    let held = it.claim().await.remove(0);
    it.log.append(append(&held, 0, &started("a"), Status::Running)).await.unwrap();
    it.database.close().await;

    let database = open(it.folder.as_ref().unwrap()).await;
    let log = SqlSagaLog::open(database, Arc::new(it.clock.clone())).await.unwrap();
    let resumed = log.claim(&["test"], 9, LEASE).await.unwrap().remove(0);
    assert_eq!((resumed.epoch, resumed.entries), (2, vec![started("a")]));
}

async fn an_unreadable_log_does_not_block_the_others(it: Fixture) {
    it.begin(1, "test").await;
    let held = it.claim().await.remove(0);
    it.log.append(append(&held, 0, &started("a"), Status::Running)).await.unwrap();
    it.log.release(held.id, held.epoch, Duration::ZERO).await.unwrap();
    it.begin(2, "test").await;
    execute(&it.database, "UPDATE saga_entries SET entry = '{}'").await.unwrap();
    assert_eq!(ids(&it.claim().await), [2]);
}
