//! Contract of the saga log, checked on SQLite.

use std::{sync::Arc, time::Duration};

use gantry_common_testing::repository::execute;
use gantry_order::{
    application::{OrderRepository, UnitOfWork},
    outbound::sqlite::{SqliteRepository, SqliteSagaLog},
};
use gantry_saga::{Append, Claimed, Context, Entry, Failure, Log, LogError, NewSaga, Status};
use gantry_sql::Sqlite;
use tempfile::TempDir;
use uuid::Uuid;

use crate::support::{ANN, TestClock, database, draft, open, unit};

const LEASE: Duration = Duration::from_secs(10);

struct Fixture {
    folder: TempDir,
    database: Sqlite,
    clock: TestClock,
    log: SqliteSagaLog,
}

impl Fixture {
    async fn new() -> Self {
        let (folder, database) = database().await;
        let clock = TestClock::default();
        let log = SqliteSagaLog::open(database.clone(), Arc::new(clock.clone())).await.unwrap();
        Self { folder, database, clock, log }
    }

    async fn begin(&self, id: u128, name: &'static str) {
        let saga = NewSaga::new(Uuid::from_u128(id), name, &"input", Context::default()).unwrap();
        let unit = UnitOfWork { saga: Some(saga), ..unit(draft(ANN, &[("mug", 1)])) };
        SqliteRepository::new(self.database.clone()).commit(unit).await.unwrap();
    }

    async fn claim(&self) -> Vec<Claimed> {
        self.log.claim(&["test"], 9, LEASE).await.unwrap()
    }
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

#[tokio::test]
async fn a_claimed_saga_is_held_until_its_lease_ends() {
    let it = Fixture::new().await;
    it.begin(1, "test").await;
    let held = it.claim().await.remove(0);
    assert_eq!((held.input.as_str(), held.epoch, held.entries.len()), ("\"input\"", 1, 0));
    it.clock.advance(LEASE - Duration::from_micros(1));
    assert!(it.claim().await.is_empty());
    it.clock.advance(Duration::from_micros(1));
    assert_eq!(it.claim().await[0].epoch, 2);
}

#[tokio::test]
async fn a_write_renews_the_lease() {
    let it = Fixture::new().await;
    it.begin(1, "test").await;
    let held = it.claim().await.remove(0);
    for position in 0..3 {
        it.clock.advance(LEASE / 2);
        it.log.append(append(&held, position, &started("a"), Status::Running)).await.unwrap();
        it.clock.advance(LEASE / 2);
        assert!(it.claim().await.is_empty());
    }
}

#[tokio::test]
async fn a_stale_epoch_is_refused_and_writes_nothing() {
    let it = Fixture::new().await;
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

#[tokio::test]
async fn entries_read_back_in_order() {
    let it = Fixture::new().await;
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

#[tokio::test]
async fn a_position_is_written_once() {
    let it = Fixture::new().await;
    it.begin(1, "test").await;
    let held = it.claim().await.remove(0);
    it.log.append(append(&held, 0, &started("a"), Status::Running)).await.unwrap();
    let again = it.log.append(append(&held, 0, &started("b"), Status::Completed)).await;
    assert!(matches!(again, Err(LogError::Stale)), "{again:?}");
    // Nothing was written: the saga is still running.
    it.log.release(held.id, held.epoch, Duration::ZERO).await.unwrap();
    assert_eq!(it.claim().await[0].entries, [started("a")]);
}

#[tokio::test]
async fn an_ended_saga_is_never_claimed() {
    for status in [Status::Completed, Status::Undone, Status::Stuck] {
        let it = Fixture::new().await;
        it.begin(1, "test").await;
        let held = it.claim().await.remove(0);
        it.log.append(append(&held, 0, &started("a"), status)).await.unwrap();
        it.clock.advance(LEASE * 100);
        assert!(it.claim().await.is_empty(), "{status:?}");
        let late = it.log.release(held.id, held.epoch, Duration::ZERO).await;
        assert!(matches!(late, Err(LogError::Stale)), "{late:?}");
    }
}

#[tokio::test]
async fn a_released_saga_pauses() {
    let it = Fixture::new().await;
    it.begin(1, "test").await;
    let held = it.claim().await.remove(0);
    it.log.release(held.id, held.epoch, Duration::from_secs(60)).await.unwrap();
    it.clock.advance(Duration::from_secs(59));
    assert!(it.claim().await.is_empty());
    it.clock.advance(Duration::from_secs(1));
    assert_eq!(it.claim().await[0].epoch, 2);
}

#[tokio::test]
async fn a_claim_takes_the_oldest_of_a_name_up_to_its_limit() {
    let it = Fixture::new().await;
    for (id, name) in [(3, "test"), (1, "other"), (4, "test"), (2, "test")] {
        it.begin(id, name).await;
    }
    assert_eq!(ids(&it.log.claim(&["test"], 2, LEASE).await.unwrap()), [2, 3]);
    assert_eq!(ids(&it.log.claim(&["test"], 2, LEASE).await.unwrap()), [4]);
    assert_eq!(ids(&it.log.claim(&["other"], 2, LEASE).await.unwrap()), [1]);
}

#[tokio::test]
async fn concurrent_claims_never_share_a_saga() {
    let it = Fixture::new().await;
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
async fn leases_of_an_ended_process_are_void() {
    let it = Fixture::new().await;
    it.begin(1, "test").await;
    let held = it.claim().await.remove(0);
    it.log.append(append(&held, 0, &started("a"), Status::Running)).await.unwrap();
    it.database.close().await;

    let database = open(&it.folder).await;
    let log = SqliteSagaLog::open(database, Arc::new(it.clock.clone())).await.unwrap();
    let resumed = log.claim(&["test"], 9, LEASE).await.unwrap().remove(0);
    assert_eq!((resumed.epoch, resumed.entries), (2, vec![started("a")]));
}

#[tokio::test]
async fn an_unreadable_log_does_not_block_the_others() {
    let it = Fixture::new().await;
    it.begin(1, "test").await;
    let held = it.claim().await.remove(0);
    it.log.append(append(&held, 0, &started("a"), Status::Running)).await.unwrap();
    it.log.release(held.id, held.epoch, Duration::ZERO).await.unwrap();
    it.begin(2, "test").await;
    execute(&it.database, "UPDATE saga_entries SET entry = '{}'").await.unwrap();
    assert_eq!(ids(&it.claim().await), [2]);
}
