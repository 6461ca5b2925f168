//! Contract of the saga log, checked on both engines.

use std::time::Duration;

use gantry_saga::{Append, Claimed, Context, Entry, Log, NewSaga, Status};
use gantry_sql::{Database, sagas};
use uuid::Uuid;

/// Declares the tests of the suite, on the logs that `$open` opens.
macro_rules! contract {
    ($open:path: $($test:ident)*) => {
        $(
            #[tokio::test]
            async fn $test() {
                let (_alive, logs) = $open().await;
                super::suite::$test(&logs).await;
            }
        )*
    };
    ($open:path) => {
        contract! { $open:
            a_claimed_saga_is_held_until_its_lease_ends
            a_write_renews_the_lease
            a_reserved_saga_is_claimed_by_name_until_its_time_is_over
            a_stale_epoch_writes_nothing
            entries_read_back_in_order
            a_position_is_written_once
            an_ended_saga_is_never_claimed
            a_released_saga_rests_for_the_pause
            the_oldest_of_the_names_are_claimed_first
            concurrent_claims_take_different_sagas
            an_unreadable_log_does_not_hold_up_others
            sagas_are_listed_newest_first
            a_history_has_its_context_and_times
            an_intervention_deposes_the_holder
            one_of_two_interventions_is_written
            a_unit_that_fails_begins_no_saga
            open_sagas_are_counted
            ended_sagas_are_purged_after_their_time
            sagas_are_purged_in_batches
        }
    };
}

mod engines;
mod postgres;
mod sqlite;
mod suite;

const LEASE: Duration = Duration::from_secs(10);

/// Two openings of the log of one database, as two replicas have them. On SQLite both are of one
/// process.
struct Logs {
    database: Database,
    one: sagas::SagaLog,
    other: sagas::SagaLog,
}

impl Logs {
    async fn open(database: Database, other: Database) -> Self {
        let one = sagas::SagaLog::open(database.clone()).await.unwrap();
        let other = sagas::SagaLog::open(other).await.unwrap();
        Self { database, one, other }
    }

    async fn begin(&self, id: u128, name: &'static str) {
        begin(&self.database, saga(id, name)).await.unwrap();
    }

    async fn claim(&self) -> Vec<Claimed> {
        self.one.claim(&["test"], 9, LEASE).await.unwrap()
    }

    async fn append(&self, saga: &Claimed, position: usize, entry: Entry, status: Status) {
        self.one.append(append(saga, position, &[entry], status)).await.unwrap();
    }

    /// Lets all leases end sooner.
    async fn advance(&self, by: Duration) {
        let by = i64::try_from(by.as_micros()).unwrap();
        let shifted: Result<u64, sqlx::Error> = self
            .database
            .write(by, |conn, by| {
                let shift = "UPDATE sagas SET lease_expire_time = lease_expire_time - $1";
                Box::pin(conn.query(shift).bind(*by).execute())
            })
            .await;
        shifted.unwrap();
    }
}

async fn begin(database: &Database, saga: NewSaga) -> Result<(), sqlx::Error> {
    database.write(saga, |conn, saga| Box::pin(sagas::begin(conn, saga))).await
}

fn context() -> Context {
    Context {
        actor: Some(r#"{"subject":"ann"}"#.to_owned()),
        trace: None,
        request_id: Some("r-1".to_owned()),
    }
}

fn saga(id: u128, name: &'static str) -> NewSaga {
    NewSaga::new(Uuid::from_u128(id), name, &"input", context()).unwrap()
}

fn started(step: &str) -> Entry {
    Entry::Started { step: step.to_owned() }
}

fn append<'a>(saga: &Claimed, position: usize, entries: &'a [Entry], status: Status) -> Append<'a> {
    Append { saga: saga.id, epoch: saga.epoch, position, entries, status, lease: LEASE }
}

fn ids(claimed: &[Claimed]) -> Vec<u128> {
    claimed.iter().map(|saga| saga.id.as_u128()).collect()
}
