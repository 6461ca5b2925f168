//! The suite. Each test gets two logs of an empty database.

use std::time::Duration;

use gantry_saga::{
    Append, Count, Entry, Failure, Filter, Intervention, Log, LogError, NewSaga, Recorded, Status,
};
use gantry_sql::sagas;
use uuid::Uuid;

use super::{LEASE, Logs, append, begin, context, ids, saga, started};

fn aborted() -> Entry {
    Entry::Aborted { by: "op".to_owned(), note: String::new() }
}

fn intervention(epoch: i64, position: usize, entry: &Entry) -> Intervention<'_> {
    Intervention { saga: Uuid::from_u128(1), epoch, position, entry, status: Status::Running }
}

pub(super) async fn a_claimed_saga_is_held_until_its_lease_ends(logs: &Logs) {
    logs.begin(1, "test").await;
    let held = logs.claim().await.remove(0);
    assert_eq!((held.name.as_str(), held.input.as_str()), ("test", "\"input\""));
    assert_eq!((held.context, held.epoch, held.entries), (context(), 1, vec![]));
    logs.advance(LEASE / 2).await;
    assert!(logs.claim().await.is_empty());
    logs.advance(LEASE / 2).await;
    assert_eq!(logs.claim().await[0].epoch, 2);
}

pub(super) async fn a_write_renews_the_lease(logs: &Logs) {
    logs.begin(1, "test").await;
    let held = logs.claim().await.remove(0);
    for position in 0..3 {
        logs.advance(LEASE / 2).await;
        logs.append(&held, position, started("a"), Status::Running).await;
        logs.advance(LEASE / 2).await;
        assert!(logs.claim().await.is_empty());
    }
}

pub(super) async fn a_reserved_saga_is_claimed_by_name_until_its_time_is_over(logs: &Logs) {
    for id in [1, 2] {
        let reserved = NewSaga { reserved: LEASE, ..saga(id, "test") };
        begin(&logs.database, reserved).await.unwrap();
    }
    let [one, unknown] = [1, 3].map(Uuid::from_u128);
    assert!(logs.other.claim(&["test"], 9, LEASE).await.unwrap().is_empty());
    assert!(logs.one.claim_new(&[one], &["other"], LEASE).await.unwrap().is_empty());
    let held = logs.one.claim_new(&[unknown, one], &["test"], LEASE * 3).await.unwrap();
    assert_eq!(ids(&held), [1]);
    assert_eq!((held[0].epoch, &held[0].context), (1, &context()));
    assert!(logs.other.claim_new(&[one], &["test"], LEASE).await.unwrap().is_empty());

    logs.advance(LEASE).await;
    assert_eq!(ids(&logs.other.claim(&["test"], 9, LEASE).await.unwrap()), [2]);
    logs.append(&held[0], 0, started("a"), Status::Running).await;
}

pub(super) async fn a_stale_epoch_writes_nothing(logs: &Logs) {
    logs.begin(1, "test").await;
    let stale = logs.claim().await.remove(0);
    logs.advance(LEASE).await;
    let held = logs.other.claim(&["test"], 9, LEASE).await.unwrap().remove(0);

    let entries = [started("a")];
    let refused = logs.one.append(append(&stale, 0, &entries, Status::Completed)).await;
    assert!(matches!(refused, Err(LogError::Stale)), "{refused:?}");
    let refused = logs.one.release(stale.id, stale.epoch, Duration::ZERO).await;
    assert!(matches!(refused, Err(LogError::Stale)), "{refused:?}");
    let refused = logs.one.intervene(intervention(stale.epoch, 0, &entries[0])).await;
    assert!(matches!(refused, Err(LogError::Stale)), "{refused:?}");

    let entries = [started("b")];
    logs.other.append(append(&held, 0, &entries, Status::Running)).await.unwrap();
    logs.advance(LEASE).await;
    assert_eq!(logs.claim().await[0].entries, entries);
}

pub(super) async fn entries_read_back_in_order(logs: &Logs) {
    logs.begin(1, "test").await;
    let held = logs.claim().await.remove(0);
    let failure = Failure::refused("NO", "'quoted'; -- 🦀");
    let entries: Vec<_> = (0..12)
        .map(|n| started(&format!("step {n}")))
        .chain([Entry::Failed { step: "last".to_owned(), failure }])
        .collect();
    let mut position = 0;
    for batch in entries.chunks(2) {
        let batch = append(&held, position, batch, Status::Running);
        logs.one.append(batch).await.unwrap();
        position += batch.entries.len();
    }
    logs.one.release(held.id, held.epoch, Duration::ZERO).await.unwrap();
    assert_eq!(logs.claim().await[0].entries, entries);
}

pub(super) async fn a_position_is_written_once(logs: &Logs) {
    logs.begin(1, "test").await;
    let held = logs.claim().await.remove(0);
    let entries = [started("a"), started("b")];
    logs.one.append(append(&held, 0, &entries, Status::Running)).await.unwrap();
    for position in [0, 1, 3] {
        let again = append(&held, position, &entries, Status::Completed);
        let again = logs.one.append(again).await;
        assert!(matches!(again, Err(LogError::Stale)), "{again:?}");
    }
    // Nothing was written: the saga is still running.
    logs.one.release(held.id, held.epoch, Duration::ZERO).await.unwrap();
    assert_eq!(logs.claim().await[0].entries, entries);
}

pub(super) async fn an_ended_saga_is_never_claimed(logs: &Logs) {
    for (id, status) in [(1, Status::Completed), (2, Status::Undone), (3, Status::Stuck)] {
        logs.begin(id, "test").await;
        let held = logs.claim().await.remove(0);
        logs.append(&held, 0, started("a"), status).await;
        logs.advance(LEASE * 100).await;
        assert!(logs.claim().await.is_empty(), "{status:?}");
        let late = logs.one.release(held.id, held.epoch, Duration::ZERO).await;
        assert!(matches!(late, Err(LogError::Stale)), "{late:?}");
    }
}

pub(super) async fn a_released_saga_rests_for_the_pause(logs: &Logs) {
    logs.begin(1, "test").await;
    let held = logs.claim().await.remove(0);
    logs.one.release(held.id, held.epoch, Duration::from_secs(3600)).await.unwrap();
    logs.advance(Duration::from_secs(3000)).await;
    assert!(logs.claim().await.is_empty());
    logs.advance(Duration::from_secs(600)).await;
    let held = logs.claim().await.remove(0);
    // An append with a lease of 0 releases it too.
    let entries = [started("a")];
    let released = append(&held, 0, &entries, Status::Running);
    logs.one.append(Append { lease: Duration::ZERO, ..released }).await.unwrap();
    assert_eq!(logs.claim().await[0].epoch, 3);
}

pub(super) async fn the_oldest_of_the_names_are_claimed_first(logs: &Logs) {
    for (id, name) in [(3, "test"), (1, "other"), (4, "test"), (2, "test"), (5, "third")] {
        logs.begin(id, name).await;
    }
    let claim = async |names: &[&str]| ids(&logs.one.claim(names, 2, LEASE).await.unwrap());
    assert_eq!(claim(&[]).await, [0_u128; 0]);
    assert_eq!(claim(&["test"]).await, [2, 3]);
    assert_eq!(claim(&["test", "other"]).await, [1, 4]);
    assert_eq!(claim(&["test", "other"]).await, [0_u128; 0]);
}

pub(super) async fn concurrent_claims_take_different_sagas(logs: &Logs) {
    for id in 0..20 {
        logs.begin(id, "test").await;
    }
    let names = ["test"];
    let (one, other) =
        tokio::join!(logs.one.claim(&names, 15, LEASE), logs.other.claim(&names, 15, LEASE));
    // A claimant skips what another one has locked.
    let rest = logs.one.claim(&names, 20, LEASE).await.unwrap();
    let mut all = [ids(&one.unwrap()), ids(&other.unwrap()), ids(&rest)].concat();
    all.sort_unstable();
    assert_eq!(all, (0..20).collect::<Vec<_>>());
}

pub(super) async fn an_unreadable_log_does_not_hold_up_others(logs: &Logs) {
    logs.begin(1, "test").await;
    let held = logs.claim().await.remove(0);
    logs.append(&held, 0, started("a"), Status::Running).await;
    logs.one.release(held.id, held.epoch, Duration::ZERO).await.unwrap();
    logs.begin(2, "test").await;
    let spoiled: Result<u64, sqlx::Error> = logs
        .database
        .write((), |conn, ()| {
            Box::pin(conn.query("UPDATE saga_entries SET entries = '{}'").execute())
        })
        .await;
    assert_eq!(spoiled.unwrap(), 1);
    assert_eq!(ids(&logs.claim().await), [2]);
    let shown = logs.one.find(Uuid::from_u128(1)).await;
    assert!(matches!(shown, Err(LogError::Unavailable(_))), "{shown:?}");
}

pub(super) async fn sagas_are_listed_newest_first(logs: &Logs) {
    for id in 1..=5 {
        logs.begin(id, if id == 2 { "other" } else { "test" }).await;
    }
    for (id, status) in [(1, Status::Stuck), (3, Status::Completed), (4, Status::Stuck)] {
        let claimed = logs.claim().await;
        for saga in claimed {
            if saga.id.as_u128() == id {
                logs.append(&saga, 0, started("a"), status).await;
            } else {
                logs.one.release(saga.id, saga.epoch, Duration::ZERO).await.unwrap();
            }
        }
    }
    let all = Filter { status: None, before: None, limit: 100 };
    let list = async |filter: Filter| {
        let listed = logs.other.list(&filter).await.unwrap();
        listed.iter().map(|saga| (saga.id.as_u128(), saga.status)).collect::<Vec<_>>()
    };
    let expected = [
        (5, Status::Running),
        (4, Status::Stuck),
        (3, Status::Completed),
        (2, Status::Running),
        (1, Status::Stuck),
    ];
    assert_eq!(list(all).await, expected);
    assert_eq!(list(Filter { limit: 2, ..all }).await, expected[..2]);
    let before = Some(Uuid::from_u128(3));
    assert_eq!(list(Filter { before, ..all }).await, expected[3..]);
    let status = Some(Status::Stuck);
    assert_eq!(list(Filter { status, ..all }).await, [expected[1], expected[4]]);
    assert_eq!(list(Filter { status, before, ..all }).await, [expected[4]]);
}

pub(super) async fn a_history_has_its_context_and_times(logs: &Logs) {
    let id = Uuid::from_u128(1);
    assert!(logs.one.find(id).await.unwrap().is_none());
    logs.begin(1, "test").await;
    let held = logs.claim().await.remove(0);
    let entries = [started("a"), started("b")];
    logs.one.append(append(&held, 0, &entries, Status::Running)).await.unwrap();
    let found = logs.other.find(id).await.unwrap().unwrap();
    assert_eq!((found.input.as_str(), found.epoch), ("\"input\"", 1));
    let summary = found.summary;
    assert_eq!((summary.id, summary.name.as_str()), (id, "test"));
    assert_eq!((summary.status, summary.context), (Status::Running, context()));
    let times: Vec<_> = found.entries.iter().map(|recorded| recorded.time).collect();
    assert!(summary.create_time <= times[0] && times[0] == times[1]);
    let recorded: Vec<_> =
        entries.map(|entry| Recorded { time: times[0], entry }).into_iter().collect();
    assert_eq!(found.entries, recorded);
}

pub(super) async fn an_intervention_deposes_the_holder(logs: &Logs) {
    logs.begin(1, "test").await;
    let held = logs.claim().await.remove(0);
    logs.append(&held, 0, started("a"), Status::Running).await;
    logs.other.intervene(intervention(held.epoch, 1, &aborted())).await.unwrap();
    let entries = [started("b")];
    for position in [1, 2] {
        let refused = append(&held, position, &entries, Status::Completed);
        let refused = logs.one.append(refused).await;
        assert!(matches!(refused, Err(LogError::Stale)), "{refused:?}");
    }
    let next = logs.claim().await.remove(0);
    assert_eq!((next.epoch, next.entries), (3, vec![started("a"), aborted()]));
}

pub(super) async fn one_of_two_interventions_is_written(logs: &Logs) {
    logs.begin(1, "test").await;
    let entry = aborted();
    let (one, other) = tokio::join!(
        logs.one.intervene(intervention(0, 0, &entry)),
        logs.other.intervene(intervention(0, 0, &entry)),
    );
    assert!(one.is_ok() != other.is_ok(), "{one:?} {other:?}");
    assert_eq!(logs.claim().await[0].entries, [entry]);
}

pub(super) async fn a_unit_that_fails_begins_no_saga(logs: &Logs) {
    let refused: Result<(), sqlx::Error> = logs
        .database
        .write(saga(1, "test"), |conn, saga| {
            Box::pin(async move {
                sagas::begin(conn, saga).await?;
                Err(sqlx::Error::RowNotFound)
            })
        })
        .await;
    assert!(refused.is_err());
    assert!(logs.claim().await.is_empty());
    logs.begin(1, "test").await;
    let twice = begin(&logs.database, saga(1, "test")).await;
    assert!(twice.is_err(), "its id is taken");
}

/// Ends a saga in this status.
async fn end(logs: &Logs, id: u128, status: Status) {
    logs.begin(id, "test").await;
    let held = logs.claim().await.remove(0);
    logs.append(&held, 0, started("a"), Status::Running).await;
    logs.append(&held, 1, started("b"), status).await;
}

pub(super) async fn open_sagas_are_counted(logs: &Logs) {
    assert_eq!(logs.one.count().await.unwrap(), []);
    for (id, status) in [(1, Status::Stuck), (2, Status::Completed), (3, Status::Undone)] {
        end(logs, id, status).await;
    }
    for (id, name) in [(4, "test"), (5, "test"), (6, "other")] {
        logs.begin(id, name).await;
    }
    let mut counts = logs.other.count().await.unwrap();
    counts.sort_by_key(|count| (count.name.clone(), count.status.as_str()));
    let count = |name: &str, status, number| Count { name: name.to_owned(), status, number };
    let expected = [
        count("other", Status::Running, 1),
        count("test", Status::Running, 2),
        count("test", Status::Stuck, 1),
    ];
    assert_eq!(counts, expected);
}

pub(super) async fn ended_sagas_are_purged_after_their_time(logs: &Logs) {
    for (id, status) in [(1, Status::Stuck), (2, Status::Completed), (3, Status::Undone)] {
        end(logs, id, status).await;
    }
    logs.begin(4, "test").await;
    let hour = Duration::from_secs(3600);
    assert_eq!(logs.one.purge(hour, 10).await.unwrap(), 0);
    assert_eq!(logs.one.purge(Duration::ZERO, 10).await.unwrap(), 2);
    for (id, is_left) in [(1, true), (2, false), (3, false), (4, true)] {
        assert_eq!(logs.one.find(Uuid::from_u128(id)).await.unwrap().is_some(), is_left, "{id}");
    }
    let count = "SELECT count(*) FROM saga_entries";
    let mut conn = logs.database.reader().await.unwrap();
    assert_eq!(conn.query(count).fetch_value::<i64>().await.unwrap(), 2, "of the stuck saga");
}

pub(super) async fn sagas_are_purged_in_batches(logs: &Logs) {
    for id in 0..7 {
        end(logs, id, Status::Completed).await;
    }
    // Two purges at once delete no saga whose entries the other one has not deleted yet.
    let purge = |log: &sagas::SagaLog| {
        let log = log.clone();
        async move { log.purge(Duration::ZERO, 3).await.unwrap() }
    };
    let (one, other) = tokio::join!(purge(&logs.one), purge(&logs.other));
    let mut purged = one + other;
    assert!((3..=6).contains(&purged), "{purged}");
    loop {
        let batch = purge(&logs.one).await;
        assert!(batch <= 3);
        purged += batch;
        if batch == 0 {
            break;
        }
    }
    assert_eq!(purged, 7);
}
